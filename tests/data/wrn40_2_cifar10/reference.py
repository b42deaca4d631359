#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# Writes test_data_set_*/output_0.pb: what PyTorch makes of input_0.pb with an ONNX file of the operators a WideResNet is made of.
#     tests/data/wrn40_2_cifar10/reference.py deploy/models/cifar10/model.onnx
# Needs Debian's python3-torch and python3-onnx. Each node is run by PyTorch's own function, in float32, one after the other, nothing folded.
import glob
import os
import sys

import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper


def attributes(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def convolution(a, x, weight, bias=None):
    top, left, bottom, right = a.get("pads", [0, 0, 0, 0])
    return F.conv2d(F.pad(x, (left, right, top, bottom)), weight, bias, a.get("strides", [1, 1]))


def average(a, x):
    assert not any(a.get("pads", [0]))
    return F.avg_pool2d(x, a["kernel_shape"], a.get("strides", [1, 1]))


OPERATORS = {
    "Add": lambda a, x, y: x + y,
    "AveragePool": average,
    "BatchNormalization": lambda a, x, scale, shift, mean, variance: F.batch_norm(x, mean, variance, scale, shift, eps=a.get("epsilon", 1e-5)),
    "Constant": lambda a: torch.from_numpy(numpy_helper.to_array(a["value"]).copy()),
    "Conv": convolution,
    "Flatten": lambda a, x: x.flatten(a.get("axis", 1)),
    "Gemm": lambda a, x, weight, bias: F.linear(x, weight if a.get("transB") else weight.T, bias),
    "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
    "Identity": lambda a, x: x,
    "Relu": lambda a, x: F.relu(x),
    "Reshape": lambda a, x, shape: x.reshape([size if size else x.shape[i] for i, size in enumerate(shape.tolist())]),
}


def run(graph, x):
    values = {t.name: torch.from_numpy(numpy_helper.to_array(t).copy()) for t in graph.initializer}
    values[next(i.name for i in graph.input if i.name not in values)] = x
    for node in graph.node:
        values[node.output[0]] = OPERATORS[node.op_type](attributes(node), *(values[name] for name in node.input))
    return graph.output[0].name, values[graph.output[0].name]


def main():
    graph = onnx.load(sys.argv[1]).graph
    for folder in sorted(glob.glob(os.path.join(os.path.dirname(os.path.abspath(__file__)), "test_data_set_*"))):
        with open(os.path.join(folder, "input_0.pb"), "rb") as file:
            x = torch.from_numpy(numpy_helper.to_array(onnx.TensorProto.FromString(file.read())).copy())
        with torch.no_grad():
            name, logits = run(graph, x)
        path = os.path.join(folder, "output_0.pb")
        with open(path, "rb") as file:
            before = numpy_helper.to_array(onnx.TensorProto.FromString(file.read()))
        print(f"{path}: the largest difference from what stood there is {abs(before - logits.numpy()).max():.3g}")
        with open(path, "wb") as file:
            file.write(numpy_helper.from_array(logits.numpy(), name).SerializeToString())


main()
