#!/usr/bin/python3
"""Records what torchvision 0.14 says of roi_align in every form that ONNX's RoiAlign has: roi_forms.safetensors. Needs Debian's python3-torchvision,
python3-numpy. Run: /usr/bin/python3 tests/data/ops/make.py tests/data/ops"""
import os
import sys

import numpy as np
import torch
import torchvision

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
from record import write


def roi_forms():
    """NAME.form: scale, rows, columns, samples, half_pixel; maps and bins channels last."""
    random = np.random.RandomState(4)
    tensors = {}
    for i, (scale, rows, columns, samples, aligned) in enumerate([
            (0.125, 7, 7, 2, True), (0.125, 7, 7, 2, False), (0.125, 7, 7, 0, False), (0.125, 7, 7, 0, True), (1.0, 5, 3, 0, False),
            (0.25, 2, 6, 3, True), (0.0625, 1, 1, 0, True), (0.0625, 14, 14, 1, False)]):
        channels, height, width = 3, 12, 9
        values = random.randn(1, channels, height, width).astype(np.float32)
        w, h = width / scale, height / scale
        boxes = [[0, 0, w, h], [w / 3, h / 3, w / 3, h / 3], [w / 3, h / 4, w / 3 + 0.01, h / 4 + 0.02], [-w / 2, -h / 3, w * 1.5, h * 1.2],
                 [-3 * w, -h, -2 * w, -h / 2], [w / 2, h / 2, w / 4, h / 4], [w - 2, h - 2, w, h]]
        for _ in range(8):
            x, y = np.sort(random.uniform(0, w, 2)), np.sort(random.uniform(0, h, 2))
            boxes.append([x[0], y[0], x[1], y[1]])
        boxes = np.array(boxes, dtype=np.float32)
        out = torchvision.ops.roi_align(torch.from_numpy(values), [torch.from_numpy(boxes)], (rows, columns), scale, samples, aligned)
        tensors["%d.form" % i] = [scale, rows, columns, samples, aligned]
        tensors["%d.map" % i] = values[0].transpose(1, 2, 0)
        tensors["%d.boxes" % i] = boxes
        tensors["%d.bins" % i] = out.numpy().transpose(0, 2, 3, 1)
    return tensors


write(sys.argv[1] + "/roi_forms.safetensors", roi_forms())
