#!/usr/bin/env python3
"""Records what Pillow (resize, decoding) and torchvision (Resize, CenterCrop) make of tests/data/samples.

Run in this folder with Debian 12's python3-pil, python3-numpy, python3-torchvision and the shared material's folder as the
argument: writes decoded.tsv, resized.tsv, chains.tsv, photographs.tsv and crops.tsv, and the seeds of tests/fuzz/picture_fuzz.
Each line of a table ends in the SHA-256 of the bytes, so the comparison is exact and the files stay small.
"""
import hashlib
import io
import os
import sys

import numpy as np
from PIL import Image, ImageOps
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

SAMPLES = "../samples/"
FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
MODES = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}


def sha(data):
    return hashlib.sha256(data).hexdigest()


def picture(name):
    return ImageOps.exif_transpose(Image.open(SAMPLES + name)).convert("RGB")


def write(name, head, rows):
    with open(name, "w") as file:
        print("# made by make.py: " + head, file=file)
        for row in rows:
            print(*row, sep="\t", file=file)


def decoded():
    for name in sorted(os.listdir(SAMPLES + "expected")):
        image = Image.open(SAMPLES + "expected/" + name)
        assert image.mode in ("RGB", "L"), image.mode
        image = image.convert("RGB")
        yield "expected/" + name, *image.size, sha(image.tobytes())
    for name in sorted(os.listdir("jpeg")):           # made by odd_jpegs.c
        if name.startswith("sampling"):
            image = picture("../picture/jpeg/" + name)
            yield "../picture/jpeg/" + name, *image.size, sha(image.tobytes())


BOXES = [
    # box, out
    ((0, 0, 227, 189), (32, 32)), ((0, 0, 227, 189), (227, 189)), ((0, 0, 227, 189), (454, 378)),
    ((0, 0, 227, 189), (1, 1)), ((0, 0, 227, 189), (113, 94)), ((0, 0, 227, 189), (227, 50)),
    ((0, 0, 227, 189), (50, 189)), ((0, 0, 227, 189), (300, 17)), ((0, 0, 227, 189), (17, 300)),
    ((0, 0, 227, 189), (226, 188)), ((0, 0, 227, 189), (228, 190)), ((0, 0, 227, 189), (224, 224)),
    ((10, 20, 110, 80), (32, 32)), ((10, 20, 110, 80), (100, 60)), ((10, 20, 110, 80), (100, 61)),
    ((0.5, 0.25, 226.625, 188.75), (64, 48)), ((3.3, 7.7, 4.1, 9.2), (20, 20)), ((226, 188, 227, 189), (7, 5)),
    ((0.1, 0.2, 200.7, 180.9), (301, 299)), ((100, 0, 101, 189), (1, 19)),
]


def resized():
    image = picture("expected/base.png")
    for filter_name, code in FILTERS.items():
        for box, out in BOXES:
            made = image.resize(out, code, box=box)
            yield "expected/base.png", filter_name, *box, *out, sha(made.tobytes())


def normalised(image, channels, layout, scale, mean, std):
    values = np.asarray(image.convert("L") if channels == "grey" else image, dtype=np.float32)
    values = values.reshape(image.height, image.width, -1)
    if channels == "bgr":
        values = values[:, :, ::-1]
    count = values.shape[2]
    values = (values * np.float32(scale) - np.float32(mean[:count])) / np.float32(std[:count])
    if layout == "nchw":
        values = values.transpose(2, 0, 1)
    return np.ascontiguousarray(values, dtype="<f4").tobytes()


def short_side(image, width, height, resize_to, filter_name):
    if resize_to == 0 and width == height:
        resize_to = width
    if resize_to != 0:
        image = Resize(resize_to, interpolation=MODES[filter_name])(image)
    else:                                    # to cover: the side that needs the larger ratio is met exactly
        w, h = image.size
        size = (width, width * h // w) if width * h >= height * w else (height * w // h, height)
        image = image.resize(size, FILTERS[filter_name])
    return CenterCrop((height, width))(image)


def letterbox(image, width, height, filter_name, fill):
    """Ultralytics' LetterBox (auto=False, scaleup=True, center=True), with Pillow's filter."""
    ratio = min(height / image.height, width / image.width)
    new = int(round(image.width * ratio)), int(round(image.height * ratio))
    left, top = (width - new[0]) / 2, (height - new[1]) / 2
    out = Image.new("RGB", (width, height), fill)
    out.paste(image.resize(new, FILTERS[filter_name]), (int(round(left - 0.1)), int(round(top - 0.1))))
    return out


CIFAR = (1 / 255, (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
IMAGENET = (1 / 255, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
YOLO = (1 / 255, (0, 0, 0), (1, 1, 1))
CAFFE = (1, (103.939, 116.779, 123.68), (1, 1, 1))
CHAINS = [
    # file, resize, width, height, resize_to, filter, channels, layout, numbers
    ("expected/base.png", "short_side", 32, 32, 0, "bilinear", "rgb", "nchw", CIFAR),
    ("expected/base.png", "short_side", 32, 32, 0, "bicubic", "rgb", "nhwc", CIFAR),
    ("expected/base.png", "short_side", 224, 224, 256, "bilinear", "rgb", "nchw", IMAGENET),
    ("expected/base.png", "short_side", 224, 224, 232, "bicubic", "bgr", "nchw", CAFFE),
    ("expected/base.png", "short_side", 64, 48, 0, "bilinear", "grey", "nchw", CIFAR),
    ("expected/base.png", "short_side", 48, 64, 0, "bilinear", "grey", "nhwc", CIFAR),
    ("expected/base.png", "short_side", 96, 33, 101, "bilinear", "bgr", "nhwc", CAFFE),
    ("expected/base.png", "exact", 55, 77, 0, "bilinear", "rgb", "nchw", IMAGENET),
    ("expected/base.png", "exact", 227, 189, 0, "bilinear", "rgb", "nchw", IMAGENET),
    ("expected/base.png", "letterbox", 320, 320, 0, "bilinear", "rgb", "nchw", YOLO),
    ("expected/base.png", "letterbox", 101, 64, 0, "bicubic", "bgr", "nhwc", CAFFE),
    ("expected/base.png", "letterbox", 227, 189, 0, "bilinear", "rgb", "nchw", YOLO),
    ("expected/exif_orientation_6.png", "short_side", 33, 33, 0, "bilinear", "rgb", "nchw", CIFAR),
    ("interlaced.png", "short_side", 31, 31, 40, "bilinear", "rgb", "nchw", CIFAR),
    ("exif_orientation_5.jpg", "short_side", 70, 70, 0, "bilinear", "rgb", "nchw", CIFAR),
    ("exif_orientation_8.jpg", "short_side", 75, 51, 77, "bicubic", "rgb", "nchw", CIFAR),
    ("progressive.jpg", "short_side", 112, 112, 115, "bilinear", "rgb", "nchw", IMAGENET),
    ("cmyk_adobe.jpg", "short_side", 128, 128, 0, "bilinear", "rgb", "nchw", IMAGENET),
    ("grey.jpg", "exact", 120, 100, 0, "bicubic", "grey", "nchw", CIFAR),
]


def chains():
    for file, resize, width, height, to, filter_name, channels, layout, numbers in CHAINS:
        image = picture(file)
        if resize == "short_side":
            image = short_side(image, width, height, to, filter_name)
        elif resize == "exact":
            image = image.resize((width, height), FILTERS[filter_name])
        else:
            image = letterbox(image, width, height, filter_name, (114, 115, 116))
        assert image.size == (width, height)
        scale, mean, std = numbers
        yield (file, resize, width, height, to, filter_name, channels, layout, repr(scale), *mean, *std,
               sha(normalised(image, channels, layout, scale, mean, std)))


def reduced(name, side):
    """Short side to `side` from a JPEG decoded at 1/2, 1/4 or 1/8 where both sides stay at least twice the result's."""
    image = Image.open(name)
    w, h = image.size
    size = (side, side * h // w) if w <= h else (side * w // h, side)
    image.draft("RGB", (2 * size[0], 2 * size[1]))
    scale = next((s for s in (8, 4, 2, 1) if image.size == ((w + s - 1) // s, (h + s - 1) // s)))
    image = image.convert("RGB").resize(size, Image.BILINEAR, box=(0, 0, w / scale, h / scale))
    return scale, CenterCrop((side, side))(image)


def photographs():
    """JPEGs of debian_pictures, all of in/ and every eighth of out/, and the one of 12 megapixels: presets cifar, imagenet."""
    folder = sys.argv[1] + "/data/"
    names = []
    for part, step in ("in", 1), ("out", 8):
        top = "debian_pictures/" + part
        names += sorted(f"{top}/{kind}/{file}" for kind in os.listdir(folder + top) if kind != "people"
                        for file in os.listdir(f"{folder}{top}/{kind}") if file.endswith(".jpg"))[::step]
    for name in names + ["samples/photo_12mp.jpg"]:
        scale, small = reduced(folder + name, 32)
        image = ImageOps.exif_transpose(Image.open(folder + name)).convert("RGB")
        large = sha(normalised(short_side(image, 224, 224, 256, "bilinear"), "rgb", "nchw", *IMAGENET))
        if reduced(folder + name, 256)[0] != 1:
            large = "-"
        yield name, *image.size, scale, sha(normalised(small, "rgb", "nchw", *CIFAR)), large


def seeds(folder):
    """Small files of many kinds for tests/fuzz, each behind a byte that chooses the preparation."""
    base = picture("expected/base.png").resize((29, 23))
    clear = base.convert("RGBA")
    clear.putalpha(base.convert("L"))
    palette = base.quantize(7)
    deep = Image.fromarray(np.asarray(base.convert("L")).astype(np.uint16) * 257)
    exif = Image.Exif()
    exif[0x0112] = 6
    kinds = {
        "baseline.jpg": (base, dict(quality=80)), "full_chroma.jpg": (base, dict(quality=60, subsampling=0)),
        "progressive.jpg": (base, dict(progressive=True)), "grey.jpg": (base.convert("L"), {}),
        "ink.jpg": (base.convert("CMYK"), {}), "turned.jpg": (base, dict(exif=exif)),
        "rgb.png": (base, {}), "alpha.png": (clear, {}), "grey_alpha.png": (clear.convert("LA"), {}),
        "palette.png": (palette, dict(transparency=bytes([0, 99, 255]))), "bits.png": (palette, dict(bits=4)),
        "bit.png": (base.convert("1"), {}), "deep.png": (deep, {}), "grey_key.png": (base.convert("L"), dict(transparency=9)),
    }
    os.makedirs(folder, exist_ok=True)
    for place, (name, (image, options)) in enumerate(kinds.items()):
        out = io.BytesIO()
        image.save(out, "PNG" if name.endswith("png") else "JPEG", **options)
        with open(f"{folder}/{name}", "wb") as file:
            file.write(bytes([place * 37 % 256]) + out.getvalue())


CROPS = [
    # box, resize, width, height, resize_to, filter: cut as Image.crop does it, behind the edge of the picture nothing
    ((0, 0, 227, 189), "short_side", 32, 32, 0, "bilinear"), ((10, 20, 110, 80), "short_side", 32, 32, 0, "bilinear"),
    ((10.5, 20.5, 110.5, 81.5), "short_side", 32, 32, 0, "bilinear"), ((11.5, 21.49, 111.49, 80.5), "exact", 32, 32, 0, "bilinear"),
    ((-40, -7.5, 60, 50), "exact", 40, 24, 0, "bicubic"), ((150, 100, 400, 1000), "letterbox", 64, 64, 0, "bilinear"),
    ((100, 90, 132, 122), "short_side", 32, 32, 0, "bilinear"), ((3, 5, 4, 6), "short_side", 32, 32, 0, "bilinear"),
    ((0, 0, 1, 189), "short_side", 32, 32, 0, "bilinear"), ((5, 100, 225, 103), "letterbox", 48, 40, 0, "bicubic"),
    ((20, 10, 200, 180), "short_side", 224, 224, 256, "bilinear"), ((226, 188, 227, 189), "exact", 8, 8, 0, "bilinear"),
]


def crops():
    for file in "expected/base.png", "exif_orientation_5.jpg", "exif_orientation_6.jpg", "progressive.jpg", "interlaced.png":
        image = picture(file)
        for box, resize, width, height, to, filter_name in CROPS:
            inside = (max(box[0], 0), max(box[1], 0), min(box[2], image.width), min(box[3], image.height))
            if inside[0] >= inside[2] or inside[1] >= inside[3]:
                continue
            cut = image.crop(inside)
            if resize == "short_side":
                made = short_side(cut, width, height, to, filter_name)
            elif resize == "exact":
                made = cut.resize((width, height), FILTERS[filter_name])
            else:
                made = letterbox(cut, width, height, filter_name, (114, 115, 116))
            yield file, *box, resize, width, height, to, filter_name, sha(made.tobytes())


if __name__ == "__main__":
    write("decoded.tsv", "file, width, height, SHA-256 of RGB", decoded())
    write("resized.tsv", "file, filter, box, width, height, SHA-256 of RGB", resized())
    write("chains.tsv", "file, resize, width, height, resize_to, filter, channels, layout, scale, mean, std, SHA-256 of floats",
          chains())
    write("photographs.tsv", "file, width, height, reduction for cifar, SHA-256 of cifar's floats, and of imagenet's (unreduced)",
          photographs())
    seeds("../../fuzz/picture.in")
    write("crops.tsv", "file, box, resize, width, height, resize_to, filter, SHA-256 of RGB", crops())
