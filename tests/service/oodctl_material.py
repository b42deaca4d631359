#!/usr/bin/env python3
"""Material for oodctl_test, made on the wire with nothing but the standard library: a tiny network that tells red, green and
blue, its pictures as class folders, shards and a list, and broken ones of each.

    oodctl_material.py FOLDER"""
import gzip, io, json, os, random, sys, tarfile, zlib

sys.dont_write_bytecode = True
from wire import png_bytes, field, ints, node, tensor, value_info

out = sys.argv[1]
random.seed(7)

weights = {}


def network(classes=3, poison=None, size=8, middle="Relu"):
    taps = [0.0] * (8 * 3 * 9)
    for o in range(8):
        for i in range(3):
            for k in range(9):
                taps[(o * 3 + i) * 9 + k] = (1.0 if o == i and k == 4 else 0.0) if o < 3 else random.uniform(-0.2, 0.2)
    order = [2, 1, 0]                              # classes in the order of their names: blue, green, red
    last = [6.0 if c < 3 and order[c] == d else random.uniform(-0.1, 0.1) for c in range(classes) for d in range(8)]
    if poison is not None:
        last[0] = poison
    weights.update({classes: (taps, last)})
    graph = node("Conv", ["input", "w", "b"], ["c"], ints("kernel_shape", [3, 3]) + ints("pads", [1, 1, 1, 1]))
    graph += node(middle, ["c"], ["r"]) + node("GlobalAveragePool", ["r"], ["g"]) + node("Flatten", ["g"], ["features"])
    graph += node("Gemm", ["features", "v", "d"], ["logits"], field(5, field(1, "transB") + field(3, 1) + field(20, 2)))
    graph += field(2, "tiny")
    graph += field(5, tensor("w", [8, 3, 3, 3], taps)) + field(5, tensor("b", [8], [0.1] * 8))
    graph += field(5, tensor("v", [classes, 8], last)) + field(5, tensor("d", [classes], [0.0] * classes))
    graph += field(11, value_info("input", ["n", 3, size, size])) + field(12, value_info("logits", ["n", classes]))
    return field(1, 7) + field(2, "oodctl_material") + field(7, graph) + field(8, field(2, 13))


def network_16(bias, centre, right, pad):
    """Two convolutions, the second of 16 to 16 channels: its taps are `centre` and `right` of the same channel and a little of the
    others, on maps around `bias`."""
    first = [(1.0 if o % 3 == i and k == 4 else random.uniform(-0.1, 0.1)) for o in range(16) for i in range(3) for k in range(9)]
    second = [({4: centre, 5: right}.get(k, 0.0) if o == i else 0.0) + (random.uniform(-0.02, 0.02) if pad else 0.0)
              for o in range(16) for i in range(16) for k in range(9)]
    last = [2.0 if d % 3 == 2 - c else random.uniform(-0.1, 0.1) for c in range(3) for d in range(16)]
    conv = lambda name, source, pads: node("Conv", [source, "w" + name, "b" + name], ["c" + name], ints("kernel_shape", [3, 3]) + ints("pads", [pads] * 4))
    graph = conv("1", "input", 1) + node("Relu", ["c1"], ["r1"]) + conv("2", "r1", pad) + node("Relu", ["c2"], ["r2"])
    graph += node("GlobalAveragePool", ["r2"], ["g"]) + node("Flatten", ["g"], ["features"])
    graph += node("Gemm", ["features", "v", "d"], ["logits"], field(5, field(1, "transB") + field(3, 1) + field(20, 2)))
    graph += field(2, "sixteen")
    graph += field(5, tensor("w1", [16, 3, 3, 3], first)) + field(5, tensor("b1", [16], [bias] * 16))
    graph += field(5, tensor("w2", [16, 16, 3, 3], second)) + field(5, tensor("b2", [16], [0.1] * 16))
    graph += field(5, tensor("v", [3, 16], last)) + field(5, tensor("d", [3], [0.0] * 3))
    graph += field(11, value_info("input", ["n", 3, 8, 8])) + field(12, value_info("logits", ["n", 3]))
    return field(1, 7) + field(2, "oodctl_material") + field(7, graph) + field(8, field(2, 13))


# ---- pictures ----
pixels = []                                        # of every picture made, in order


def png(base, size=8, spread=60):
    lines = [bytes(max(0, min(255, c + random.randint(-spread, spread))) for _ in range(size) for c in base) for _ in range(size)]
    pixels.append(list(b"".join(lines)))
    return png_bytes(size, size, lines)


def write(name, data):
    path = os.path.join(out, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as f:
        f.write(data)


def add(tar, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    tar.addfile(info, io.BytesIO(data))


write("tiny.onnx", network())


def named(names, key="names"):
    return network_bytes + field(14, field(1, key) + field(2, names))


network_bytes = open(os.path.join(out, "tiny.onnx"), "rb").read()
write("four.onnx", network(classes=4))
write("garbage.onnx", b"\x0a\xff\xff\xff\xff\x0f garbage")
colours = {"blue": (60, 60, 190), "green": (60, 190, 60), "red": (190, 60, 60)}
pictures = [(name, i, png(base)) for name, base in colours.items() for i in range(20)]
for name, i, data in pictures:
    write("images/%s/%02d.png" % (name, i), data)
    if name == "red":
        write("one_class/red/%02d.png" % i, data)
    if i < 4:
        write("few/%s/%02d.png" % (name, i), data)
    write("flat/%s%02d.png" % (name, i), data)
    write("broken/%s/%02d.png" % (name, i), data[:len(data) // 2] if i == 5 and name == "green" else data)
for i in range(6):
    write("outliers/%d.png" % i, png((200, 200, 40)))
    write("outliers/%d.avif" % i, b"no picture we read")
write("reference.json", json.dumps({"pixels": pixels[:66], "taps": weights[3][0], "last": weights[3][1]}).encode())
write("sixteen.onnx", network_16(0.1, 1.0, 0.0, 1))
# Neighbours that differ by a few units on maps around 100,000: what Winograd's transforms round away is what counts here.
write("cancelling.onnx", network_16(1e5, 1.0, -1.0, 0))
write("nan.onnx", network(poison=float("nan")))
write("large.png", png((60, 60, 190), size=64))
write("labels.txt", b"blue\ngreen\nred\n")
# Class names in the file: as Ultralytics writes them, in another order than their letters', of which a list calls pictures.
write("named.onnx", named("{0: 'zaffre', 1: 'moss', 2: \"artist's red\"}"))
write("named_json.onnx", named('{"0": "blue", "1": "green", "2": "red"}', "id2label"))
write("named_two.onnx", named("['a', 'b']"))
write("named_badly.onnx", named("{0: blue}"))
other = {"blue": "zaffre", "green": "moss", "red": "artist's red"}
write("other.txt", "".join("images/%s/%02d.png\t%s\n" % (name, i, other[name]) for name, i, _ in pictures).encode())
write("stranger.txt", "".join("images/%s/%02d.png\t%s\n" % (name, i, "teal" if i == 3 else other[name]) for name, i, _ in pictures).encode())
write("list.txt", "".join("images/%s/%02d.png\t%s\n" % (name, i, name) for name, i, _ in pictures).encode())
os.makedirs(os.path.join(out, "shards"))
for shard in range(2):
    with tarfile.open(os.path.join(out, "shards", "train-%d.tar%s" % (shard, ".gz" if shard else "")), "w:gz" if shard else "w") as tar:
        for at, (name, i, data) in enumerate(pictures):
            if at % 2 == shard:
                add(tar, "%06d.cls" % at, str(sorted(colours).index(name)).encode())
                add(tar, "%06d.png" % at, data)
                add(tar, "%06d.json" % at, b"{}")
write("only.txt", "".join("train-%d/%06d\n" % (at % 2, at) for at in range(60) if at % 20 < 14).encode())
write("only_missing.txt", b"train-0/000000\ntrain-7/000001\n")
whole = open(os.path.join(out, "shards", "train-0.tar"), "rb").read()
write("hostile/cut.tar", whole[:1900])
write("hostile/garbage.tar", bytes(random.randint(0, 255) for _ in range(4096)))
with tarfile.open(os.path.join(out, "hostile", "twice.tar"), "w") as tar:
    add(tar, "a.png", pictures[0][2])
    add(tar, "a.jpg", pictures[0][2])
huge = tarfile.TarInfo("a.png")                     # a header that promises 7 GiB
huge.size = 7 << 30
write("hostile/huge.tar", huge.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 10240)
write("hostile/promise.tar.gz", gzip.compress(huge.tobuf(tarfile.USTAR_FORMAT)))
write("hostile/layers.tar.gz", gzip.compress(gzip.compress(whole)))
bomb = tarfile.TarInfo()                            # 300 MiB of nothing in 300 KiB
bomb.size = 100 << 20
packer, packed, zeros = zlib.compressobj(1, wbits=31), b"", bytes(1 << 20)
for member in range(3):
    bomb.name = "%d.npy" % member
    packed += packer.compress(bomb.tobuf(tarfile.USTAR_FORMAT))
    for megabyte in range(100):
        packed += packer.compress(zeros)
write("hostile/bomb.tar.gz", packed + packer.flush())
with tarfile.open(os.path.join(out, "hostile", "label.tar"), "w") as tar:
    add(tar, "a.cls", b"x" * 300)
    add(tar, "a.png", pictures[0][2])


# ---- ONNX test folders ----
def test_folder(name, op, expected):
    graph = node(op, ["x"], ["y"]) + field(2, name) + field(11, value_info("x", ["n", 4])) + field(12, value_info("y", ["n", 4]))
    write(name + "/model.onnx", field(1, 7) + field(7, graph) + field(8, field(2, 13)))
    write(name + "/test_data_set_0/input_0.pb", tensor("x", [2, 4], [-1, 2, -3, 4, 5, -6, 7, -8]))
    write(name + "/test_data_set_0/output_0.pb", tensor("y", [2, 4], expected))


test_folder("verify/right", "Relu", [0, 2, 0, 4, 5, 0, 7, 0])
test_folder("verify/wrong", "Relu", [0, 2, 0, 4, 5, 0, 7, 0.01])
test_folder("verify/nan", "Relu", [0, 2, 0, 4, 5, 0, 7, float("nan")])
test_folder("verify/unknown", "Frobnicate", [0] * 8)
os.makedirs(os.path.join(out, "verify/empty"))

# An operator without a backward pass.
write("untrainable.onnx", network(middle="Hardmax"))
