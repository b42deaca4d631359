#!/usr/bin/python3
"""Writes bundle.in/: seeds for bundle_fuzz, each a small bundle written by another program from docs/INTERFACE.md section 2.
Run: /usr/bin/python3 tests/fuzz/bundle_seeds.py tests/fuzz/bundle.in"""
import copy
import hashlib
import json
import os
import struct
import sys


def safetensors(tensors, metadata=None):
    header, data = {}, b""
    if metadata is not None:
        header["__metadata__"] = metadata
    for name, dtype, shape, values in tensors:
        packed = struct.pack("<%d%s" % (len(values), {"F32": "f", "F64": "d", "I64": "q"}[dtype]), *values)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(packed)]}
        data += packed
    text = json.dumps(header, separators=(",", ":")).encode()
    return struct.pack("<Q", len(text)) + text + data


def sealed(model):
    text = json.dumps(model, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    text = '{"seal":"' + "0" * 64 + '",' + text[1:]
    return text.replace("0" * 64, hashlib.sha256(text.encode()).hexdigest(), 1).encode()


scores = [-2 + i / 8 for i in range(20)]
prototypes = [("calibration_scores", "F64", [20], scores), ("prototypes", "F32", [2, 2], [1, 0, 0, -1])]
selftest = [("energy", "F64", [1], [-3.5]), ("representation_score", "F64", [1], [0.25]), ("score", "F64", [1], [1.5]),
            ("inputs", "F32", [1, 3], [0, 0.5, -1])]
model = {
    "schema": 1, "name": "seed", "labels": ["a", "ä"],
    "input": {"tensor": "x", "width": 1, "height": 1, "channels": "rgb", "layout": "nchw", "resize": "short_side",
              "resize_to": 0, "filter": "bilinear", "crop": "center", "fill": [0, 0, 0], "scale": 0.00392156862745098,
              "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
    "taps": {"logits": "l", "features": "f"},
    "score": {"temperature": 1, "distance": "nearest", "beta": 0.5, "beta_from": "default", "energy_mean": -3.0,
              "energy_std": 0.5, "representation_mean": 0.25, "representation_std": 0.125},
    "decision": {"alpha": 0.05, "alpha_review": 0.1, "threshold": -2.0, "review_threshold": -1.875, "per_class": False,
                 "calibration_items": 20},
    "engine": {"convolution": "direct", "checked_against": None, "largest_difference": None},
    "provenance": {"command": "seed"}, "files": {},
}


def seed(name, model, prototypes, selftest, isa="avx2"):
    first, second = safetensors(prototypes), safetensors(selftest, {"isa": isa})
    model = copy.deepcopy(model)
    model["files"] = {"model.onnx": "0" * 63 + "1", "prototypes.safetensors": hashlib.sha256(first).hexdigest(),
                      "selftest.safetensors": hashlib.sha256(second).hexdigest()}
    text = sealed(model)
    with open(os.path.join(sys.argv[1], name), "wb") as file:
        file.write(struct.pack("<II", len(text), len(first)) + text + first + second)


os.makedirs(sys.argv[1], exist_ok=True)
seed("plain", model, prototypes, selftest)
other = copy.deepcopy(model)
other["decision"]["per_class"] = True
seed("per_class", other, prototypes + [("calibration_classes", "I64", [20], [1] * 19 + [0])], selftest)
other = copy.deepcopy(model)
other["input"].update(channels="grey", layout="nhwc", resize="letterbox", filter="bicubic", mean=[0], std=[1], fill=[1, 2, 3], width=3)
other["engine"] = {"convolution": "winograd", "checked_against": "direct", "largest_difference": 1e-5}
other["score"].update(distance="predicted", beta_from="outliers", temperature=2.5)
seed("choices", other, prototypes, selftest)
seed("wrong_shape", model, [prototypes[0], ("prototypes", "F32", [1, 4], [1, 0, 0, -1])], selftest)
seed("not_finite", model, prototypes, [("energy", "F64", [1], [float("nan")])] + selftest[1:])
seed("too_many", model, prototypes + [("x", "F64", [], [1.0])], selftest)
other = copy.deepcopy(model)
other["provenance"] = {"deep": [[[[[[[[{"a": [1e300, -0.0, 5e-324, 2**62, "\u0001\u007f\U0001f600"]}]]]]]]]]}
seed("provenance", other, prototypes, selftest)
