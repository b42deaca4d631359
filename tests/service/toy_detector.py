#!/usr/bin/env python3
"""A small detector with seeded random weights, its declaration and class names, made with nothing but the standard library. Every cell
of 8 pixels of an input of 64x64 may hold an object; a black picture holds none.

    toy_detector.py FOLDER: detector.onnx, detector.json, labels.txt, black.png"""
import json, os, random, sys

sys.dont_write_bytecode = True
from wire import png_bytes, field, ints, node, tensor, value_info

LABELS = ["cat", "dog", "ship"]
SIDE, STRIDE, WIDE = 64, 8, 12


def filters():
    """WIDE x 3 x STRIDE x STRIDE random weights; each filter sees differences, not brightness."""
    plane = STRIDE * STRIDE
    made = [random.gauss(0, 0.3) for _ in range(WIDE * 3 * plane)]
    for at in range(0, len(made), plane):
        mean = sum(made[at:at + plane]) / plane
        made[at:at + plane] = [v - mean for v in made[at:at + plane]]
    return made


def network():
    random.seed(15)
    cells = SIDE // STRIDE
    first = filters()
    out = 5 + len(LABELS)
    second = [random.gauss(0, 1.0) for _ in range(out * WIDE)]
    second[4 * WIDE:5 * WIDE] = [abs(v) * 0.8 for v in second[4 * WIDE:5 * WIDE]]           # objectness: the more there is to see
    bias = [0.0] * 4 + [-2.5] + [0.0] * len(LABELS)
    graph = node("Conv", ["images", "w", "b"], ["c"], ints("kernel_shape", [STRIDE] * 2) + ints("strides", [STRIDE] * 2))
    graph += node("Relu", ["c"], ["map"])
    graph += node("Conv", ["map", "v", "d"], ["raw"], ints("kernel_shape", [1, 1])) + node("Sigmoid", ["raw"], ["found"])
    graph += field(2, "detector")
    graph += field(5, tensor("w", [WIDE, 3, STRIDE, STRIDE], first)) + field(5, tensor("b", [WIDE], [0.0] * WIDE))
    graph += field(5, tensor("v", [out, WIDE, 1, 1], second)) + field(5, tensor("d", [out], bias))
    graph += field(11, value_info("images", [1, 3, SIDE, SIDE])) + field(12, value_info("found", [1, out, cells, cells]))
    return field(1, 7) + field(2, "toy_detector") + field(7, graph) + field(8, field(2, 13))


DECLARATION = {
    "input": {"width": SIDE, "height": SIDE, "resize": "letterbox", "filter": "bilinear", "scale": 1 / 255},
    "detector": {
        "family": "small",
        "levels": [{"stride": STRIDE, "boxes": {"tensor": "#0", "layout": "channels_first"},
                    "objectness": {"tensor": "#0", "layout": "channels_first", "channel": 4},
                    "classes": {"tensor": "#0", "layout": "channels_first", "channel": 5}}],
        "box": {"coding": "center_size", "center": {"scale": 2, "shift": -0.5, "unit": "stride"}, "size": {"scale": 6, "unit": "stride"}},
        "limit": 0.5,
    },
}


def make(folder, onnx, declaration):
    for name, data in (("detector.onnx", onnx), ("detector.json", json.dumps(declaration).encode()),
                       ("labels.txt", "".join(label + "\n" for label in LABELS).encode()),
                       ("black.png", png_bytes(40, 30, [bytes(120)] * 30))):
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)


if __name__ == "__main__":
    make(sys.argv[1], network(), DECLARATION)
