#!/usr/bin/env python3
"""A small detector of two stages with seeded random weights, made with nothing but the standard library: proposals by NonMaxSuppression, a head behind
RoiAlign, suppression by class and NonZero inside the graph, as torchvision's exports have them. How many boxes there are, the picture decides; a
picture of one colour holds none.

    toy_two_stage.py FOLDER: detector.onnx, detector.json, labels.txt, black.png"""
import random, sys

sys.dont_write_bytecode = True
from toy_detector import LABELS, SIDE, STRIDE, WIDE, filters, make
from wire import field, integer, integers, ints, node, real, tensor, value_info

BINS = 2
CELLS = SIDE // STRIDE


def weights():
    first = filters()
    objectness = [abs(random.gauss(0, 0.8)) for _ in range(WIDE)]           # the more there is to see
    deltas = [random.gauss(0, 2) for _ in range(4 * WIDE)]
    head = [random.gauss(0, 1.5) for _ in range((len(LABELS) + 1) * WIDE * BINS * BINS)]
    return first, objectness, deltas, head


def anchors():
    rows = []
    for y in range(CELLS):
        for x in range(CELLS):
            cx, cy = (x + 0.5) * STRIDE, (y + 0.5) * STRIDE
            rows += [cx - 10, cy - 10, cx + 10, cy + 10]
    return rows


def first_stage():
    """The map, boxes, and the proposals: "rois" of any number."""
    many = CELLS * CELLS
    graph = node("Conv", ["images", "w", "w0"], ["c"], ints("kernel_shape", [STRIDE] * 2) + ints("strides", [STRIDE] * 2)) + node("Relu", ["c"], ["map"])
    graph += node("Conv", ["map", "o", "o0"], ["raw"]) + node("Sigmoid", ["raw"], ["seen"]) + node("Reshape", ["seen", "one_row"], ["seen_row"])
    graph += node("Conv", ["map", "d"], ["moved"]) + node("Tanh", ["moved"], ["turn"]) + node("Transpose", ["turn"], ["last"], ints("perm", [0, 2, 3, 1]))
    graph += node("Reshape", ["last", "four"], ["deltas"]) + node("Mul", ["deltas", "eight"], ["shifts"]) + node("Add", ["shifts", "anchors"], ["moved_boxes"])
    graph += node("Clip", ["moved_boxes", "zero", "side"], ["boxes_0"]) + node("Unsqueeze", ["boxes_0", "axis_0"], ["boxes_1"])
    graph += node("NonMaxSuppression", ["boxes_1", "seen_row", "most", "iou", "least"], ["chosen"])
    graph += node("Gather", ["chosen", "two"], ["rows"], integer("axis", 1)) + node("Gather", ["boxes_0", "rows"], ["rois"], integer("axis", 0))
    graph += field(5, integers("one_row", [1, 1, many])) + field(5, integers("four", [many, 4])) + field(5, tensor("eight", [1], [8.0]))
    graph += field(5, tensor("anchors", [many, 4], anchors())) + field(5, tensor("zero", [], [0.0])) + field(5, tensor("side", [], [float(SIDE)]))
    return graph


def second_stage():
    """Of the proposals: class probabilities, of the best class those above 0.3, suppressed by class."""
    graph = node("Shape", ["rows"], ["count"]) + node("ConstantOfShape", ["count"], ["pictures"], field(5, field(1, "value") + field(5, integers("", [0])) + field(20, 4)))
    graph += node("RoiAlign", ["map", "rois", "pictures"], ["pooled"], integer("output_height", BINS) + integer("output_width", BINS) +
                  integer("sampling_ratio", 2) + real("spatial_scale", 1 / STRIDE))
    graph += node("Flatten", ["pooled"], ["flat"]) + node("Gemm", ["flat", "h", "h0"], ["logits"], integer("transB", 1)) + node("Softmax", ["logits"], ["all"], integer("axis", 1))
    graph += node("Slice", ["all", "one_1", "end", "one_1"], ["known"]) + node("ReduceMax", ["known"], ["best"], ints("axes", [1]) + integer("keepdims", 0))
    graph += node("ArgMax", ["known"], ["index"], integer("axis", 1) + integer("keepdims", 0)) + node("Add", ["index", "one"], ["label"])
    graph += node("Greater", ["best", "least_2"], ["above"]) + node("NonZero", ["above"], ["places"]) + node("Squeeze", ["places", "axis_0"], ["kept"])
    graph += b"".join(node("Gather", [a, "kept"], [b], integer("axis", 0)) for a, b in (("rois", "boxes_2"), ("best", "scores_2"), ("label", "labels_2")))
    graph += node("Cast", ["labels_2"], ["apart"], integer("to", 1)) + node("Mul", ["apart", "far"], ["offset"]) + node("Unsqueeze", ["offset", "one_1"], ["offsets"])
    graph += node("Add", ["boxes_2", "offsets"], ["boxes_3"]) + node("Unsqueeze", ["boxes_3", "axis_0"], ["boxes_4"]) + node("Unsqueeze", ["scores_2", "zero_one"], ["scores_4"])
    graph += node("NonMaxSuppression", ["boxes_4", "scores_4", "most", "iou"], ["last_chosen"]) + node("Gather", ["last_chosen", "two"], ["final"], integer("axis", 1))
    graph += b"".join(node("Gather", [a + "_2", "final"], [a], integer("axis", 0)) for a in ("boxes", "scores", "labels"))
    graph += field(5, integers("one_1", [1])) + field(5, integers("end", [100])) + field(5, integers("zero_one", [0, 1])) + field(5, integers("one", [1]))
    return graph + field(5, tensor("least_2", [], [0.3])) + field(5, tensor("far", [], [1000.0]))


def network(single=False):
    """single: takes a picture as it is, 3x64x64, as some of torchvision's exports do."""
    random.seed(16)
    first, objectness, deltas, head = weights()
    classes = len(LABELS) + 1
    graph = (node("Unsqueeze", ["picture", "axis_0"], ["images"]) if single else b"") + first_stage() + second_stage() + field(2, "toy_two_stage")
    graph += field(5, tensor("w", [WIDE, 3, STRIDE, STRIDE], first)) + field(5, tensor("w0", [WIDE], [0.0] * WIDE))
    graph += field(5, tensor("o", [1, WIDE, 1, 1], objectness)) + field(5, tensor("o0", [1], [-2.5])) + field(5, tensor("d", [4, WIDE, 1, 1], deltas))
    graph += field(5, tensor("h", [classes, WIDE * BINS * BINS], head)) + field(5, tensor("h0", [classes], [0.0] * classes))
    graph += field(5, integers("most", [10])) + field(5, tensor("iou", [1], [0.5])) + field(5, tensor("least", [1], [0.4]))
    graph += field(5, integers("axis_0", [0])) + field(5, integers("two", 2))
    graph += field(11, value_info("picture", [3, SIDE, SIDE]) if single else value_info("images", [1, 3, SIDE, SIDE]))
    graph += field(12, value_info("boxes", ["n", 4])) + field(12, value_info("scores", ["n"])) + field(12, value_info("labels", ["n"], 7))
    return field(1, 7) + field(2, "toy_two_stage") + field(7, graph) + field(8, field(2, 13))


DECLARATION = {
    "input": {"width": SIDE, "height": SIDE, "resize": "letterbox", "filter": "bilinear", "scale": 1 / 255},
    "detector": {
        "family": "two_stage", "classes": len(LABELS), "background": "first", "class_head": "sigmoid",
        "levels": [{"boxes": {"tensor": "boxes"}, "classes": {"tensor": "scores"}, "labels": {"tensor": "labels"}}],
        "box": {"coding": "corners"}, "suppression": "none", "limit": 0.35, "maps": ["map"],
    },
}


if __name__ == "__main__":
    make(sys.argv[1], network(), DECLARATION)
