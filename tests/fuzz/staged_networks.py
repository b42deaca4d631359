#!/usr/bin/env python3
"""Small networks whose shapes hang on data, and one file with weights large enough to be read in pieces, made with nothing but the standard library:
the seeds of stages_fuzz and slim_fuzz, and material of tests/mutation.

    staged_networks.py STAGES.IN SLIM.IN"""
import os, random, sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../service"))
import toy_two_stage
from wire import field, integer, integers, ints, node, real, tensor, text, value_info


def model(graph, inputs, outputs, opset=13):
    """inputs: (name, dims) or (name, dims, kind)."""
    graph += b"".join(field(11, value_info(*i)) for i in inputs) + b"".join(field(12, value_info(o, [])) for o in outputs)
    return field(1, 7) + field(2, "seed") + field(7, graph + field(2, "g")) + field(8, field(2, opset))


def branch(name, graph, output):
    return field(5, field(1, name) + field(6, graph + field(2, name) + field(12, value_info(output, []))) + field(20, 5))


def rows():
    """The rows whose sum is above t, through a Gemm and a Softmax."""
    random.seed(1)
    graph = node("ReduceSum", ["x", "last"], ["sums"]) + node("Greater", ["sums", "t"], ["above"]) + node("Squeeze", ["above", "last"], ["flat"])
    graph += node("NonZero", ["flat"], ["places"]) + node("Squeeze", ["places", "first"], ["rows"]) + node("Gather", ["x", "rows"], ["chosen"])
    graph += node("Gemm", ["chosen", "w", "b"], ["logits"]) + node("Softmax", ["logits"], ["y"])
    graph += field(5, integers("last", [-1])) + field(5, integers("first", [0]))
    graph += field(5, tensor("w", [6, 3], [random.gauss(0, 1) for _ in range(18)])) + field(5, tensor("b", [3], [0.5, -1, 2]))
    return model(graph, [("x", [12, 6]), ("t", [1])], ["y", "rows"])


def shapes():
    """Range of x0 numbers, reshaped to x2 and x3."""
    graph = b"".join(node("Gather", ["x", "i" + str(i)], ["x" + str(i)]) + field(5, integers("i" + str(i), i)) for i in range(2))
    graph += node("Gather", ["x", "pair"], ["x23"]) + node("Cast", ["x23"], ["sizes"], integer("to", 7)) + node("Range", ["zero", "x0", "one"], ["r"])
    graph += node("Add", ["r", "x1"], ["s"]) + node("Reshape", ["s", "sizes"], ["y"])
    graph += field(5, integers("pair", [2, 3])) + field(5, tensor("zero", [], [0.0])) + field(5, tensor("one", [], [1.0]))
    return model(graph, [("x", [4])], ["y"])


def branches():
    """An If in a branch of an If, both by computed conditions; branches read values from outside and have constants of their own."""
    inner = branch("then_branch", node("Mul", ["x", "two"], ["m"]) + node("Conv", ["m", "v"], ["c"]) + field(5, tensor("two", [1], [2.0])), "c")
    inner += branch("else_branch", node("MaxPool", ["x"], ["p"], ints("kernel_shape", [3, 3]) + ints("strides", [1, 1])), "p")
    outer = branch("then_branch", node("Greater", ["least", "t"], ["deeper"]) + node("If", ["deeper"], ["z"], inner), "z")
    outer += branch("else_branch", node("Relu", ["x"], ["r"]), "r")
    graph = node("ReduceMax", ["x"], ["most"], integer("keepdims", 0)) + node("ReduceMin", ["x"], ["least"], integer("keepdims", 0))
    graph += node("Greater", ["most", "t"], ["above"]) + node("If", ["above"], ["y"], outer) + node("GlobalAveragePool", ["y"], ["q"])
    graph += field(5, tensor("v", [2, 2, 3, 3], [(i % 7 - 3) / 4 for i in range(36)])) + field(5, tensor("t", [], [-0.5]))
    return model(graph, [("x", [1, 2, 6, 6])], ["q", "y"])


def known_branch():
    """An If whose condition a shape decides: read as a whole."""
    graph = node("Shape", ["x"], ["s"]) + node("Gather", ["s", "one"], ["n"]) + node("Equal", ["n", "one"], ["c"])
    graph += node("If", ["c"], ["y"], branch("then_branch", node("Squeeze", ["x", "axis"], ["a"]), "a") + branch("else_branch", node("Identity", ["x"], ["b"]), "b"))
    graph += field(5, integers("one", 1)) + field(5, integers("axis", [1]))
    return model(graph, [("x", ["n", 1, 4])], ["y"])


def suppression():
    """Boxes of two classes, the best of them by TopK."""
    graph = node("NonMaxSuppression", ["b", "s", "most", "iou", "least"], ["chosen"], integer("center_point_box", 1))
    graph += node("Slice", ["chosen", "two", "three", "one"], ["column"]) + node("Squeeze", ["column", "one"], ["rows"])
    graph += node("Gather", ["b", "rows"], ["boxes"], integer("axis", 1)) + node("Split", ["boxes"], ["xy", "wh"], integer("axis", 2))
    graph += node("ReduceProd", ["wh"], ["area"], ints("axes", [2]) + integer("keepdims", 0)) + node("Shape", ["area"], ["n"]) + node("Gather", ["n", "one"], ["left"])
    graph += node("Min", ["left", "four"], ["k"]) + node("TopK", ["area", "k"], ["value", "place"], integer("axis", 1)) + node("Where", ["cond", "value", "value"], ["w"])
    graph += field(5, integers("most", [3])) + field(5, tensor("iou", [1], [0.4])) + field(5, tensor("least", [1], [0.1]))
    graph += b"".join(field(5, integers(n, [v])) for n, v in (("one", 1), ("two", 2), ("three", 3), ("four", 4)))
    graph += node("Greater", ["value", "least"], ["cond_0"]) + node("Not", ["cond_0"], ["cond"])
    return model(graph, [("b", [1, 8, 4]), ("s", [1, 2, 8])], ["w", "place", "boxes"])


def regions():
    """RoiAlign and Resize of what is above a limit, MaxPool and a product behind it."""
    graph = node("Greater", ["s", "t"], ["above"]) + node("NonZero", ["above"], ["places"]) + node("Transpose", ["places"], ["list"]) + node("Squeeze", ["list", "one"], ["rows"])
    graph += node("Gather", ["b", "rows"], ["rois"]) + node("Shape", ["rows"], ["n"]) + node("ConstantOfShape", ["n"], ["of"], field(5, field(1, "value") + field(5, integers("", [0])) + field(20, 4)))
    graph += node("RoiAlign", ["x", "rois", "of"], ["r"], integer("output_height", 3) + integer("output_width", 2) + text("mode", "max") + real("spatial_scale", 0.5))
    graph += node("Concat", ["n", "rest"], ["sizes"], integer("axis", 0)) + node("Resize", ["r", "", "", "sizes"], ["z"], text("mode", "linear"))
    graph += node("MaxPool", ["z"], ["p"], ints("kernel_shape", [2, 2])) + node("Flatten", ["p"], ["f"]) + node("MatMul", ["f", "w"], ["m"])
    graph += node("Expand", ["t", "n"], ["e"]) + node("Tile", ["m", "twice"], ["y"]) + field(5, tensor("t", [1], [0.2])) + field(5, integers("one", [1])) + field(5, integers("twice", [1, 2]))
    graph += field(5, integers("rest", [2, 4, 4])) + field(5, tensor("w", [18, 2], [(i % 5 - 2) / 3 for i in range(36)]))
    return model(graph, [("x", [1, 2, 6, 6]), ("b", [5, 4]), ("s", [5])], ["y", "e"])


def large():
    """A file that is mostly weights: two initialisers of which the raw data are left in the file, one that is copied."""
    graph = node("Gemm", ["x", "w", "b"], ["h"]) + node("Gemm", ["h", "v"], ["y"]) + node("Softmax", ["y"], ["z"])
    graph += field(5, tensor("w", [40, 32], [(i % 11 - 5) / 8 for i in range(1280)])) + field(5, tensor("b", [32], [0.5] * 32))
    return model(graph + field(5, tensor("v", [32, 32], [(i % 13 - 6) / 8 for i in range(1024)])), [("x", ["n", 40])], ["z"])


def main():
    made = {name: make() for name, make in (("rows", rows), ("shapes", shapes), ("branches", branches), ("known_branch", known_branch),
                                            ("suppression", suppression), ("regions", regions), ("two_stage", toy_two_stage.network))}
    for folder, networks in ((sys.argv[1], made), (sys.argv[2], {"large": large()})):
        for name, data in networks.items():
            with open(os.path.join(folder, name + ".onnx"), "wb") as file:
                file.write(data)


if __name__ == "__main__":
    main()
