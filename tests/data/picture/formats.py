#!/usr/bin/env python3
"""Writes formats/*: WebP, GIF, BMP and TIFF of every kind that is read, formats.tsv with what they must look like on white (width,
height, SHA-256 of RGB), and the seeds of tests/fuzz for each format. The picture is computed. Pillow decodes what it reads; the
rest, and what the script encodes itself, is computed by NumPy.

Run in this folder with Debian 12's python3-pil and python3-numpy."""
import hashlib
import io
import os
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

W, H = 20, 18
y, x = np.mgrid[0:H, 0:W]
RGB8 = np.stack([(x * 9 + y) % 256, (y * 11 + x * x // 7) % 256, (255 - 5 * x + 3 * y) % 256], 2).astype(np.uint8)
ALPHA8 = np.clip(x * 12 - 30 + y * 3, 0, 255).astype(np.uint8)
GREY8 = ((x * 7 + y * 5) % 256).astype(np.uint8)
rgb, rgba, grey = Image.fromarray(RGB8), Image.fromarray(np.dstack([RGB8, ALPHA8])), Image.fromarray(GREY8)
palette = rgb.quantize(37)
rows = []


def on_white(image):
    if "transparency" in image.info or image.mode in ("RGBA", "LA", "PA"):
        image = image.convert("RGBA")
        p = np.asarray(image).astype(np.uint32)
        a = p[:, :, 3:]
        s = p[:, :, :3] * a + 255 * (255 - a) + 128
        return ((s + (s >> 8)) >> 8).astype(np.uint8)
    return np.asarray(image.convert("RGB"))


def put(name, data, expected=None):
    """expected None: what Pillow decodes, which tells a picture's orientation apart from its pixels."""
    with open("formats/" + name, "wb") as file:
        file.write(data)
    if expected is None:
        image = Image.open(io.BytesIO(data))
        image.load()
        if name.endswith("webp"):
            image = ImageOps.exif_transpose(image)
        expected = on_white(image)
    expected = np.ascontiguousarray(expected)
    rows.append((name, expected.shape[1], expected.shape[0], hashlib.sha256(expected.tobytes()).hexdigest()))


def saved(image, form, **options):
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def turned(array, orientation):
    image = Image.fromarray(array)
    exif = image.getexif()
    exif[0x0112] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def exif(orientation):
    made = Image.Exif()
    made[0x0112] = orientation
    return made


# ---- WebP ----

def riff(*chunks):
    body = b"WEBP" + b"".join(kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2) for kind, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def le24(value):
    return struct.pack("<I", value)[:3]


def animation(image, canvas, at, alpha):
    """One frame, smaller than its canvas, and a second one over all of it."""
    def frame(picture, left, top):
        chunks = saved(picture, "WEBP", lossless=True)[12:]
        head = le24(left // 2) + le24(top // 2) + le24(picture.width - 1) + le24(picture.height - 1) + le24(100) + b"\2"
        return b"ANMF", head + chunks
    flags = 0x02 | (0x10 if alpha else 0)
    return riff((b"VP8X", bytes([flags, 0, 0, 0]) + le24(canvas[0] - 1) + le24(canvas[1] - 1)),
                (b"ANIM", struct.pack("<IH", 0xFF00FF00, 0)), frame(image, *at), frame(image.resize(canvas), 0, 0))


def webps():
    put("lossy.webp", saved(rgb, "WEBP", quality=80))
    put("lossy_odd.webp", saved(rgb.crop((0, 0, W - 1, H - 3)), "WEBP", quality=95))
    put("lossless.webp", saved(rgb, "WEBP", lossless=True))
    put("lossless_palette.webp", saved(palette.convert("RGB"), "WEBP", lossless=True))
    put("lossy_alpha.webp", saved(rgba, "WEBP", quality=70))
    put("lossless_alpha.webp", saved(rgba, "WEBP", lossless=True, exact=True))
    for orientation in range(1, 9):
        put("orientation_%d.webp" % orientation, saved(rgb, "WEBP", lossless=True, exif=exif(orientation)))
    body = exif(6).tobytes()                       # the same chunk without the marker of a JPEG's segment
    bare = saved(rgb, "WEBP", lossless=True)[12:]
    length = struct.unpack("<I", bare[4:8])[0]
    put("orientation_bare.webp", riff((b"VP8X", bytes([0x08, 0, 0, 0]) + le24(W - 1) + le24(H - 1)), (b"VP8L", bare[8:8 + length]),
                                      (b"EXIF", body[6:])), turned(RGB8, 6))
    put("animation.webp", saved(rgb, "WEBP", save_all=True, append_images=[grey.convert("RGB")], lossless=True))
    put("animation_part.webp", animation(rgb.crop((0, 0, 10, 8)), (W, H), (6, 4), False))
    put("animation_part_alpha.webp", animation(rgba.crop((4, 0, 18, 9)), (W, H), (6, 4), True))
    put("icc.webp", saved(rgb, "WEBP", lossless=True, icc_profile=b"\0" * 40))


# ---- GIF ----

def gif(frames, screen=(W, H), table=None, trailer=b";", version=b"GIF89a"):
    """Frames of (indices, left, top, local palette, transparent index, interlaced); stored, not compressed: a clear code before
    every 100 pixels of 8 bits."""
    def packed(pixels):
        codes = []
        for i in range(0, len(pixels), 100):
            codes += [256] + list(pixels[i:i + 100])
        bits = sum(code << (9 * i) for i, code in enumerate(codes + [257]))
        return bits.to_bytes((9 * (len(codes) + 1) + 7) // 8, "little")
    out = version + struct.pack("<HHBBB", *screen, 0xF7 if table is not None else 0x70, 0, 0) + (table or b"")
    for indices, left, top, local, transparent, interlaced in frames:
        if transparent is not None:
            out += b"!\xF9\x04" + bytes([1, 0, 0, transparent]) + b"\0"
        height, width = indices.shape
        out += b"," + struct.pack("<HHHHB", left, top, width, height, (0x87 if local else 0) | (0x40 if interlaced else 0)) + (local or b"")
        order = [k for first, step in ((0, 8), (4, 8), (2, 4), (1, 2)) for k in range(first, height, step)] if interlaced else range(height)
        data = packed(indices[list(order)].reshape(-1).tolist())
        out += b"\x08" + b"".join(bytes([len(data[i:i + 255])]) + data[i:i + 255] for i in range(0, len(data), 255)) + b"\0"
    return out + trailer


def gifs():
    table = bytes((i * k + j) % 256 for i in range(256) for j, k in ((3, 5), (70, 11), (9, 3)))
    other = bytes(255 - v for v in table)
    put("plain.gif", saved(palette, "GIF"))
    put("interlaced.gif", saved(palette, "GIF", interlace=1))
    put("two_colours.gif", saved(grey.convert("1"), "GIF"))
    put("transparent.gif", saved(palette, "GIF", transparency=5))
    put("frames.gif", saved(palette, "GIF", save_all=True, append_images=[palette.rotate(180), palette.transpose(0)]))
    put("stored_87a.gif", gif([(GREY8, 0, 0, None, None, False)], table=table, version=b"GIF87a"))
    put("local_palette.gif", gif([(GREY8, 0, 0, other, None, True)], table=table))
    put("part.gif", gif([(GREY8[:9, :11], 5, 4, None, None, False)], table=table))
    put("part_transparent.gif", gif([(GREY8[:9, :11], 5, 4, None, 77, True), (GREY8, 0, 0, other, 1, False)], table=table))
    put("beyond_screen.gif", gif([(GREY8, 3, 2, None, None, False)], screen=(9, 7), table=table))
    put("no_palette.gif", gif([(GREY8, 0, 0, None, None, False)]))
    for height in 1, 2, 3, 4, 5, 9:
        put("interlaced_%d.gif" % height, gif([(GREY8[:height], 0, 0, None, None, True)], screen=(W, height), table=table))
    small = gif([(GREY8 % 256, 0, 0, None, None, False)], table=table)
    small = small[:10] + bytes([0xF1]) + small[11:13] + table[:12] + small[13 + 768:]      # 4 colours, more used
    put("few_colours.gif", small)


# ---- BMP ----

def bmp(bits, pixels, width=W, height=H, compression=0, head=40, colours=(), masks=(), down=False, colours_used=None, gap=0):
    table = b"".join(bytes([b, g, r]) + (b"" if head == 12 else b"\0") for r, g, b in colours)
    packed = b"".join(struct.pack("<I", m) for m in masks)
    at = 14 + head + (len(packed) if head == 40 else 0) + len(table) + gap
    if head == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        info = struct.pack("<IiiHHIIiiII", head, width, -height if down else height, 1, bits, compression, len(pixels), 2835, 2835,
                           len(colours) if colours_used is None else colours_used, 0)
        info += packed if head == 40 else (packed + b"\0" * head)[:head - 40]
    return struct.pack("<2sIHHI", b"BM", at + len(pixels), 0, 0, at) + info + table + b"\0" * gap + pixels


def scan(values, bits):
    """Rows from the bottom up, each filled to 4 bytes."""
    out = b""
    for row in values[::-1]:
        line = np.packbits(np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - bits:].reshape(-1)).tobytes() if bits <= 8 else row.tobytes()
        out += line + b"\0" * (-len(line) % 4)
    return out


def bmps():
    bgr = RGB8[:, :, ::-1]
    many = [tuple(int(v) for v in ((i * 5) % 256, (70 + i * 11) % 256, (9 + i * 3) % 256)) for i in range(256)]
    put("rgb.bmp", saved(rgb, "BMP"))
    put("grey.bmp", saved(grey, "BMP"))
    put("bit.bmp", saved(grey.convert("1"), "BMP"))
    put("palette.bmp", saved(palette, "BMP"))
    put("palette_8.bmp", bmp(8, scan(GREY8, 8), colours=many))
    put("palette_4.bmp", bmp(4, scan(GREY8 % 16, 4), colours=many[:16]))
    put("palette_4_odd.bmp", bmp(4, scan(GREY8[:, :W - 1] % 16, 4), width=W - 1, colours=many[:16]))
    put("palette_1.bmp", bmp(1, scan(GREY8 % 2, 1), colours=many[3:5]))
    put("few_colours.bmp", bmp(8, scan(GREY8 % 64, 8), colours=many[:50], gap=8))
    put("core.bmp", bmp(24, scan(bgr, 24), head=12))
    put("core_4.bmp", bmp(4, scan(GREY8 % 16, 4), head=12, colours=many[:16]))
    put("os2.bmp", bmp(8, scan(GREY8, 8), head=64, colours=many))
    put("down.bmp", bmp(24, b"".join(row.tobytes() for row in bgr), down=True))
    v15 = ((RGB8[:, :, 0] >> 3).astype(np.uint16) << 10) | ((RGB8[:, :, 1] >> 3).astype(np.uint16) << 5) | (RGB8[:, :, 2] >> 3)
    v16 = ((RGB8[:, :, 0] >> 3).astype(np.uint16) << 11) | ((RGB8[:, :, 1] >> 2).astype(np.uint16) << 5) | (RGB8[:, :, 2] >> 3)
    put("rgb_555.bmp", bmp(16, scan(v15.astype("<u2"), 16)))
    put("rgb_555_fields.bmp", bmp(16, scan(v15.astype("<u2"), 16), compression=3, masks=(0x7C00, 0x3E0, 0x1F)))
    put("rgb_565.bmp", bmp(16, scan(v16.astype("<u2"), 16), compression=3, masks=(0xF800, 0x7E0, 0x1F)))
    four = np.dstack([bgr, ALPHA8])
    put("rgb_32.bmp", bmp(32, scan(four, 32)))
    put("rgb_32_fields.bmp", bmp(32, scan(four, 32), compression=3, masks=(0xFF0000, 0xFF00, 0xFF)))
    put("rgba_v4.bmp", bmp(32, scan(four, 32), compression=3, head=108, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)))
    put("rgba_v5.bmp", bmp(32, scan(np.dstack([RGB8, ALPHA8]), 32), compression=3, head=124, masks=(0xFF, 0xFF00, 0xFF0000, 0xFF000000)))
    red, green, blue = (RGB8[:, :, c].astype(np.uint32) for c in range(3))
    red, green, blue = red * 4 + 1, green * 4 + 2, blue >> 4
    wide = red << 22 | green << 12 | blue
    put("fields_10.bmp", bmp(32, scan(wide.astype("<u4"), 32), compression=3, masks=(0xFFC00000, 0x3FF000, 0xF)),
        np.dstack([red * 255 // 1023, green * 255 // 1023, blue * 17]).astype(np.uint8))
    # run lengths: runs, literal pixels of odd and even number, a move (which Pillow 9.4 misreads), ends of lines, an early end
    canvas = np.zeros((H, W), np.uint8)
    canvas[:9] = np.arange(9)[:, None]
    canvas[9, :5], canvas[11, 9:16], canvas[11, 16:20], canvas[12, :3] = (1, 2, 3, 4, 5), 0x63, range(4), 0x21
    runs = b"".join(bytes([W, k]) + b"\0\0" for k in range(9)) + b"\0\5" + bytes([1, 2, 3, 4, 5, 0]) + b"\0\2\4\2" + b"\7\x63" + b"\0\4" + bytes(range(4)) + b"\0\0\3\x21\0\1"
    put("runs_8.bmp", bmp(8, runs, compression=1, colours=many), np.array(many, np.uint8)[canvas[::-1]])
    canvas = np.zeros((H, W), np.uint8)
    canvas[:9, ::2], canvas[:9, 1::2] = np.arange(9)[:, None], np.arange(9)[:, None] + 1
    canvas[9, :6], canvas[11, 10:13], canvas[11, 13:17], canvas[12, :3] = range(1, 7), (6, 3, 6), range(9, 13), (2, 1, 2)
    runs = b"".join(bytes([W, k * 17 + 1]) + b"\0\0" for k in range(9)) + b"\0\6" + bytes([0x12, 0x34, 0x56, 0]) + b"\0\2\4\2" + b"\3\x63" + b"\0\4" + b"\x9A\xBC" + b"\0\0\3\x21\0\1"
    put("runs_4.bmp", bmp(4, runs, compression=2, colours=many[:16]), np.array(many[:16], np.uint8)[canvas[::-1]])
    full = b"\0\0".join(bytes([12, k, W - 12, 7]) for k in range(H))           # every pixel, and no end mark
    put("runs_full.bmp", bmp(8, full, compression=1, colours=many))
    odd = b"\0\5\x12\x34\x50\0\0\0\0\0" + b"\2\x67\0\1"                            # 5 pixels of 4 bits; an empty line by two ends
    lines = np.zeros((H, W), np.uint8)
    lines[0, :5] = 1, 2, 3, 4, 5
    lines[2, :2] = 6, 7
    put("runs_4_lines.bmp", bmp(4, odd, compression=2, colours=many[:16]), np.array(many[:16], np.uint8)[lines[::-1]])


# ---- TIFF ----

def tiff(tags, blocks, order="<"):
    """One directory at the end. tags: {tag: (type, values)}; blocks: the strips' or tiles' bytes; tags 273/279 or 324/325 are made."""
    sizes = {1: "B", 3: "H", 4: "I", 7: "B", 2: "B"}
    out = (b"II*\0" if order == "<" else b"MM\0*") + b"\0\0\0\0"
    offsets = []
    for block in blocks:
        offsets.append(len(out))
        out += block + b"\0" * (len(block) % 2)
    tiled = 322 in tags
    tags = {**tags, 324 if tiled else 273: (4, offsets), 325 if tiled else 279: (4, [len(b) for b in blocks])}
    entries = b""
    for tag, (kind, values) in sorted(tags.items()):
        packed = struct.pack(order + sizes[kind] * len(values), *values)
        if len(packed) > 4:
            at, out = len(out), out + packed + b"\0" * (len(packed) % 2)
            packed = struct.pack(order + "I", at)
        entries += struct.pack(order + "HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")
    return out[:4] + struct.pack(order + "I", len(out)) + out[8:] + struct.pack(order + "H", len(tags)) + entries + b"\0\0\0\0"


def plain(array, photometric, bits=8, order="<", planes=False, tile=None, strip=9, extra=None, compress=False, more=None):
    array = array if array.ndim == 3 else array[:, :, None]
    height, width, samples = array.shape
    typed = array.astype(order + "u2") if bits == 16 else array.astype(np.uint8)
    tags = {256: (4, [width]), 257: (3, [height]), 258: (3, [bits] * samples), 259: (3, [8 if compress else 1]), 262: (3, [photometric]),
            277: (3, [samples]), 284: (3, [2 if planes else 1])}
    if extra is not None:
        tags[338] = (3, extra)
    pieces = [typed[:, :, c:c + 1] for c in range(samples)] if planes else [typed]
    blocks = []
    for piece in pieces:
        if tile:
            padded = np.zeros((-(-height // tile) * tile, -(-width // tile) * tile, piece.shape[2]), piece.dtype)
            padded[:height, :width] = piece
            blocks += [padded[a:a + tile, b:b + tile].tobytes() for a in range(0, height, tile) for b in range(0, width, tile)]
        elif bits < 8:
            lines = [np.packbits(np.unpackbits(row.reshape(-1, 1).astype(np.uint8), axis=1)[:, 8 - bits:].reshape(-1)).tobytes() for row in piece]
            blocks += [b"".join(lines[a:a + strip]) for a in range(0, height, strip)]
        else:
            blocks += [piece[a:a + strip].tobytes() for a in range(0, height, strip)]
    if tile:
        tags.update({322: (3, [tile]), 323: (3, [tile])})
    else:
        tags[278] = (3, [strip])
    tags.update(more or {})
    return tiff(tags, [zlib.compress(b) for b in blocks] if compress else blocks, order)


def grey3(array):
    return np.dstack([array] * 3).astype(np.uint8)


def tiffs():
    for name in "raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "tiff_deflate":
        put(name + ".tif", saved(rgb, "TIFF", compression=name))
    put("predictor.tif", saved(rgb, "TIFF", compression="tiff_lzw", tiffinfo={317: 2}))
    put("jpeg_rgb.tif", saved(rgb, "TIFF", compression="jpeg", quality=90))
    put("jpeg_ycbcr.tif", saved(rgb.convert("YCbCr"), "TIFF", compression="jpeg", quality=90))
    put("jpeg_grey.tif", saved(grey, "TIFF", compression="jpeg"))
    put("grey.tif", saved(grey, "TIFF"))
    put("bit.tif", saved(grey.convert("1"), "TIFF"))
    for name in "group3", "group4", "tiff_ccitt":
        put(name + ".tif", saved(grey.convert("1"), "TIFF", compression=name))
    put("palette.tif", saved(palette, "TIFF"))
    put("rgba.tif", saved(rgba, "TIFF", compression="tiff_adobe_deflate"))
    put("grey_alpha.tif", saved(Image.fromarray(np.dstack([GREY8, ALPHA8]), "LA"), "TIFF"))
    put("cmyk.tif", saved(rgb.convert("CMYK"), "TIFF"))
    put("cmyk_ink.tif", saved(Image.fromarray(np.dstack([RGB8, GREY8]), "CMYK"), "TIFF", compression="tiff_lzw"))
    put("pages.tif", saved(rgb, "TIFF", save_all=True, append_images=[rgb.rotate(180)]))
    deep = RGB8.astype(np.uint16) * 256 + 255 - RGB8
    for order, name in ("<", "little"), (">", "big"):
        put("rgb_16_%s.tif" % name, plain(deep, 2, 16, order, compress=True))
        put("grey_16_%s.tif" % name, plain(deep[:, :, 0], 1, 16, order), grey3(RGB8[:, :, 0]))
        put("rgb_8_%s.tif" % name, plain(RGB8, 2, 8, order))
    put("white_is_zero.tif", plain(GREY8, 0))
    put("white_is_zero_16.tif", plain(deep[:, :, 0], 0, 16), grey3(255 - RGB8[:, :, 0]))
    for bits in 1, 2, 4:
        for photometric, name in (0, "white"), (1, "black"):
            put("grey_%d_%s.tif" % (bits, name), plain(GREY8 % (1 << bits), photometric, bits))
        colours = [(i * 40503 + 977) % 65536 for i in range(3 << bits)]
        put("palette_%d.tif" % bits, plain(GREY8 % (1 << bits), 3, bits, more={320: (3, colours)}))
    put("tiles.tif", plain(RGB8, 2, tile=16))
    put("tiles_planes.tif", plain(RGB8, 2, tile=16, planes=True, compress=True), RGB8)
    put("planes.tif", plain(RGB8, 2, planes=True, compress=True))
    put("planes_16.tif", plain(deep, 2, 16, planes=True), RGB8)
    four = np.dstack([RGB8, ALPHA8])
    put("rgbx.tif", plain(four, 2, extra=[0]))
    put("rgba_unsaid.tif", plain(four, 2))
    put("rgba_planes.tif", plain(four, 2, planes=True, extra=[2]), on_white(rgba))
    small = (RGB8 * (ALPHA8[:, :, None] / 255.0)).astype(np.uint8)
    put("rgba_premultiplied.tif", plain(np.dstack([small, ALPHA8]), 2, extra=[1]))
    put("rgba_16.tif", plain(np.dstack([deep, ALPHA8.astype(np.uint16) * 257]), 2, 16, extra=[2]))
    put("five_samples.tif", plain(np.dstack([four, GREY8]), 2, extra=[2, 0]))
    put("cmyk_16.tif", plain(np.dstack([deep, GREY8.astype(np.uint16) * 256]), 5, 16), on_white(Image.fromarray(np.dstack([RGB8, GREY8]), "CMYK")))
    put("fill_order.tif", plain(np.packbits(np.unpackbits(GREY8[:, :, None], axis=2)[:, :, ::-1], axis=2), 1, more={266: (3, [2])}), grey3(GREY8))
    for orientation in range(1, 9):
        put("orientation_%d.tif" % orientation, plain(RGB8, 2, more={274: (3, [orientation])}), turned(RGB8, orientation))
    # refused by name
    bad = {
        "float": plain(np.zeros((H, W, 4), np.uint8), 1, more={258: (3, [32]), 277: (3, [1]), 339: (3, [3])}),
        "signed": plain(GREY8, 1, more={339: (3, [2])}), "lab": plain(RGB8, 8), "bits_32": plain(four, 1, more={258: (3, [32]), 277: (3, [1])}),
        "ycbcr": plain(RGB8, 6, more={530: (3, [1, 1])}), "inks": plain(four, 5, more={332: (3, [2])}), "zstd": plain(RGB8, 2, more={259: (3, [50000])}),
        "twice": plain(RGB8, 2, more={278: (3, [H])}), "bits_12": plain(np.dstack([RGB8, RGB8])[:, :W], 1, more={258: (3, [12]), 277: (3, [1])}),
    }
    for name, data in bad.items():
        with open("formats/bad_%s.tif" % name, "wb") as file:
            file.write(data)


def seeds():
    """For each format's fuzz target: small files, each behind a byte that chooses the preparation."""
    for form in "webp", "gif", "bmp", "tif":
        folder = "../../fuzz/%s.in" % {"tif": "tiff"}.get(form, form)
        os.makedirs(folder, exist_ok=True)
        for place, name in enumerate(sorted(n for n in os.listdir("formats") if n.endswith("." + form))):
            with open("formats/" + name, "rb") as file:
                data = file.read()
            turn = "orientation" in name and "6" not in name
            if not turn and len(data) < 1300:
                with open("%s/%s" % (folder, name), "wb") as file:
                    file.write(bytes([place * 37 % 256]) + data)


if __name__ == "__main__":
    os.makedirs("formats", exist_ok=True)
    webps()
    gifs()
    bmps()
    tiffs()
    seeds()
    with open("formats.tsv", "w") as file:
        print("# made by formats.py: file, width, height, SHA-256 of RGB", file=file)
        for row in rows:
            print("../picture/formats/" + row[0], *row[1:], sep="\t", file=file)
