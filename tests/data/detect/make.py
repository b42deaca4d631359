#!/usr/bin/python3
"""Records what torchvision 0.14 (roi_align, nms) and OpenCV 4.6 (resize) say: roi_align.safetensors, resize.safetensors.
Needs Debian's python3-torchvision, python3-opencv, python3-numpy. Run: /usr/bin/python3 tests/data/detect/make.py tests/data/detect"""
import os
import sys

import cv2
import numpy as np
import torch
import torchvision

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from record import write


def roi_align():
    random = np.random.RandomState(1)
    tensors = {}
    for name, (channels, height, width, stride) in {"square": (5, 11, 11, 32), "wide": (3, 8, 10, 32), "fine": (2, 40, 30, 8),
                                                    "one": (2, 1, 1, 64)}.items():
        values = random.randn(1, channels, height, width).astype(np.float32)
        w, h = width * stride, height * stride
        boxes = [[0, 0, w, h], [0.25, 0.5, 3.75, 2], [w - 5, h - 5, w, h], [w / 3, h / 4, w / 3 + 1e-3, h / 4 + 1e-3],
                 [-stride * 3, -10, w + stride * 3, h + 10], [-200, -200, -100, -100], [w / 2, h / 2, w / 2, h / 2]]
        for _ in range(9):
            x, y = np.sort(random.uniform(0, w, 2)), np.sort(random.uniform(0, h, 2))
            boxes.append([x[0], y[0], x[1], y[1]])
        boxes = np.array(boxes, dtype=np.float32)
        out = torchvision.ops.roi_align(torch.from_numpy(values), [torch.from_numpy(boxes)], 7, 1.0 / stride, 2, True)
        tensors[name + ".map"] = values[0]
        tensors[name + ".boxes"] = boxes
        tensors[name + ".bins"] = out.numpy()
        tensors[name + ".mean"] = out.numpy().mean(axis=(2, 3))
    return tensors


def resize():
    random = np.random.RandomState(2)
    tensors = {}
    for i, (h, w, oh, ow) in enumerate([(37, 53, 16, 16), (20, 20, 10, 10), (9, 7, 31, 20), (48, 64, 12, 16), (1, 5, 3, 3), (6, 1, 2, 4),
                                        (50, 41, 49, 42), (33, 90, 8, 44)]):
        source = random.randint(0, 256, (h, w, 3)).astype(np.uint8)
        tensors["%d.source" % i] = source
        tensors["%d.resized" % i] = cv2.resize(source, (ow, oh), interpolation=cv2.INTER_LINEAR)
    return tensors


def nms():
    """Random boxes with scores; kept: torchvision.ops.nms' indices in its order."""
    random = np.random.RandomState(3)
    at, size = random.uniform(0, 80, (120, 2)), random.uniform(5, 40, (120, 2))
    boxes = np.concatenate([at, at + size], axis=1).astype(np.float32)
    scores = random.permutation(120).astype(np.float32) / 120
    classes = random.randint(0, 3, 120)
    b, s, c = torch.from_numpy(boxes), torch.from_numpy(scores), torch.from_numpy(classes)
    return {"boxes": boxes, "scores": scores, "classes": classes, "agnostic": torchvision.ops.nms(b, s, 0.45).numpy(),
            "class_wise": torchvision.ops.batched_nms(b, s, c, 0.45).numpy()}


write(sys.argv[1] + "/roi_align.safetensors", roi_align())
write(sys.argv[1] + "/resize.safetensors", resize())
write(sys.argv[1] + "/nms.safetensors", nms())
