#!/usr/bin/python3
"""Small detectors with seeded random weights, exported in the layouts of well-known families, for the presets: FOLDER/NAME.onnx, 3 classes, inputs of 128x128.
Needs Debian's python3-torch and python3-onnx. Run: /usr/bin/python3 tests/data/detect/exports.py FOLDER"""
import sys

import torch
from torch import nn

K = 3


class Backbone(nn.Module):
    """Maps of stride 8, 16, 32."""

    def __init__(self):
        super().__init__()
        wide = [3, 8, 16, 16, 24, 32]
        self.steps = nn.ModuleList(nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.SiLU()) for a, b in zip(wide, wide[1:]))

    def forward(self, x):
        maps = []
        for step in self.steps:
            x = step(x)
            maps.append(x)
        return maps[2:]


def grid(n, device=None):
    y, x = torch.meshgrid(torch.arange(n), torch.arange(n), indexing="ij")
    return torch.stack([x, y], -1).float()


class Detector(nn.Module):
    def __init__(self, family):
        super().__init__()
        self.family = family
        self.backbone = Backbone()
        channels = {"yolov5": 3 * (5 + K), "yolov8": 4 * 16 + K, "yolox": 5 + K, "ssd": 2 * (4 + K + 1), "retinanet": 2 * (4 + K)}[family]
        self.heads = nn.ModuleList(nn.Conv2d(c, channels, 1) for c in (16, 24, 32))

    def forward(self, x):
        boxes, scores, rows = [], [], []
        for head, m, stride in zip(self.heads, self.backbone(x), (8, 16, 32)):
            n, o = 128 // stride, head(m) * (12 if self.family in ("yolov5", "ssd") else 3)      # so that some are confident
            g = grid(n)
            if self.family == "yolov5":
                o = o.view(1, 3, 5 + K, n, n).permute(0, 1, 3, 4, 2).sigmoid()
                rows.append(torch.cat([(o[..., :2] * 2 - 0.5 + g) * stride, (o[..., 2:4] * 2) ** 2 * 2 * stride, o[..., 4:]], -1).view(1, -1, 5 + K))
            elif self.family == "yolov8":
                o = o.view(1, 4 * 16 + K, -1)
                d = (o[:, :64].view(1, 4, 16, -1).softmax(2) * torch.arange(16.0).view(1, 1, 16, 1)).sum(2)
                point = (g + 0.5).view(-1, 2).t()
                low, high = point - d[:, :2], point + d[:, 2:]
                rows.append(torch.cat([(low + high) / 2 * stride, (high - low) * stride, o[:, 64:].sigmoid()], 1))
            elif self.family == "yolox":
                o = o.view(1, 5 + K, -1).permute(0, 2, 1)
                rows.append(torch.cat([o[..., :4], o[..., 4:].sigmoid()], -1))
            else:
                extra = 1 if self.family == "ssd" else 0
                o = o.view(1, 2, 4 + K + extra, -1).permute(0, 3, 1, 2).reshape(1, -1, 4 + K + extra)
                centre = ((g.view(-1, 1, 2) + 0.5) * stride).expand(-1, 2, 2).reshape(1, -1, 2) + 2 * o[..., :2]
                half = stride * torch.exp(0.1 * o[..., 2:4])
                box = torch.cat([centre - half, centre + half], -1)
                boxes.append(box / 128 if extra else box)
                scores.append(o[..., 4:].softmax(-1) if extra else o[..., 4:].sigmoid())
        if rows:
            return torch.cat(rows, 2 if self.family == "yolov8" else 1)
        return torch.cat(boxes, 1), torch.cat(scores, 1)


for name in ("yolov5", "yolov8", "yolox", "ssd", "retinanet"):
    torch.manual_seed(5)
    torch.onnx.export(Detector(name).eval(), torch.zeros(1, 3, 128, 128), "%s/%s.onnx" % (sys.argv[1], name), opset_version=12, input_names=["images"])
