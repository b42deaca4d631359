#!/usr/bin/env python3
"""Material for detector_test, made on the wire with nothing but the standard library: a detector of our own that finds bright squares in dark
pictures and calls them red or green, its declaration, pictures with annotations, pictures of purple and blue squares, and broken ones.

    detector_material.py FOLDER

A picture of 64x64 has 4x4 cells; an object fills a cell. Of known pictures, white squares are no objects: what is detected there is background."""
import json, os, random, sys

sys.dont_write_bytecode = True
from wire import field, ints, node, png_bytes, tensor, value_info

out = sys.argv[1]
random.seed(11)
CHANNELS = 12


def network(poison=None):
    taps = [0.0] * (CHANNELS * 3 * 9)
    for o in range(CHANNELS):
        for i in range(3):
            for k in range(9):
                taps[(o * 3 + i) * 9 + k] = (1.0 if o == i else 0.0) * (k == 4) if o < 3 else random.uniform(-0.3, 0.3)
    # channels of the head: four sides, objectness, red, green; of the features only R, G and B count here
    head = [[0.0] * CHANNELS for _ in range(7)]
    head[4][:3] = [12.0, 12.0, 12.0]
    head[5][:3] = [8.0, -8.0, 0.0]
    head[6][:3] = [-8.0, 8.0, 0.0]
    if poison is not None:
        head[6][5] = poison
    graph = node("Conv", ["images", "w", "b"], ["c"], ints("kernel_shape", [3, 3]) + ints("pads", [1, 1, 1, 1])) + node("Relu", ["c"], ["r"])
    graph += node("AveragePool", ["r"], ["map"], ints("kernel_shape", [16, 16]) + ints("strides", [16, 16]))
    graph += node("Conv", ["map", "v", "d"], ["out"], ints("kernel_shape", [1, 1])) + field(2, "squares")
    graph += field(5, tensor("w", [CHANNELS, 3, 3, 3], taps)) + field(5, tensor("b", [CHANNELS], [0.0] * CHANNELS))
    graph += field(5, tensor("v", [7, CHANNELS, 1, 1], sum(head, []))) + field(5, tensor("d", [7], [0.5] * 4 + [-8.0, 0.0, 0.0]))
    graph += field(11, value_info("images", [1, 3, 64, 64])) + field(12, value_info("out", [1, 7, 4, 4]))
    return field(1, 7) + field(2, "detector_material") + field(7, graph) + field(8, field(2, 13))


def write(name, data):
    path = os.path.join(out, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def picture(squares):
    """squares: {cell: colour}"""
    dim = lambda c: max(0, min(255, c + random.randint(-15, 15)))
    return png_bytes(64, 64, [bytes(dim(c) for x in range(64) for c in squares.get((y // 16) * 4 + x // 16, (25, 25, 25))) for y in range(64)])


def known():
    cells = random.sample(range(16), 6)
    shade = lambda: random.randint(60, 150)
    squares, objects = {}, []
    for cell in cells[:3]:
        red = random.random() < 0.5
        squares[cell] = (200, shade(), 60) if red else (shade(), 200, 60)
        objects.append((cell, "red" if red else "green"))
    for cell in cells[3:]:
        white = random.randint(120, 220)
        squares[cell] = (min(255, white + random.randint(0, 120)), white, white)
    return squares, objects


def foreign(colour):
    cells = random.sample(range(16), 3)
    return {cell: tuple(c + random.randint(-15, 15) for c in colour) for cell in cells}, [(cell, "thing") for cell in cells]


def folder(name, count, make, categories):
    data = {"images": [], "annotations": [], "categories": [{"id": i, "name": c} for i, c in enumerate(categories)]}
    for i in range(count):
        squares, objects = make()
        file = "%s%02d.png" % (name, i)
        write("%s/%s" % (name, file), picture(squares))
        data["images"].append({"id": i, "file_name": file, "width": 64, "height": 64})
        for cell, label in objects:
            data["annotations"].append({"id": len(data["annotations"]), "image_id": i, "category_id": categories.index(label), "iscrowd": 0,
                                        "bbox": [cell % 4 * 16, cell // 4 * 16, 16, 16]})
    write(name + ".json", json.dumps(data).encode())


write("squares.onnx", network())
write("nan.onnx", network(float("nan")))
write("squares.json", json.dumps({
    "input": {"width": 64, "height": 64, "std": [255, 255, 255]},
    "detector": {"family": "squares", "classes": 2, "objectness_activation": "sigmoid", "class_activation": "sigmoid", "maps": ["map"],
                 "levels": [{"stride": 16, "boxes": {"tensor": "#0", "layout": "channels_first"}, "objectness": {"tensor": "#0", "layout": "channels_first", "channel": 4},
                             "classes": {"tensor": "#0", "layout": "channels_first", "channel": 5}}],
                 "box": {"coding": "sides", "cell": 0.5, "size": {"unit": "stride"}}}}).encode())
write("labels.txt", b"red\ngreen\n")
folder("known", 60, known, ["red", "green"])
folder("purple", 12, lambda: foreign((180, 60, 190)), ["thing"])
folder("blue", 12, lambda: foreign((90, 60, 200)), ["thing"])
folder("others", 12, lambda: foreign((60, 190, 200)), ["thing"])
folder("dark", 3, lambda: ({}, []), ["thing"])
write("fit.txt", "".join("known%02d.png\n" % i for i in range(40)).encode())
write("rest.txt", "".join("known%02d.png\n" % i for i in range(40, 60)).encode())
for i in range(4):
    with open(os.path.join(out, "known/known%02d.png" % (i + 40)), "rb") as f:
        data = f.read()
    write("broken/known%02d.png" % (i + 40), data[:len(data) // 2] if i == 2 else data)
