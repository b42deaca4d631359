#!/usr/bin/env python3
"""Writes png/*.png, one of every colour type, depth and kind of transparency, plain and interlaced, and pngs.tsv: what they
must look like on white. Encoder and pixels are this script's own (zlib and NumPy), so no decoder is its own witness.

Run in this folder with python3-numpy."""
import hashlib
import os
import struct
import zlib

import numpy as np

WIDTH, HEIGHT = 13, 11
CHANNELS = {"grey": (0, 1), "rgb": (2, 3), "palette": (3, 1), "grey_alpha": (4, 2), "rgba": (6, 4)}
DEPTHS = {"grey": (1, 2, 4, 8, 16), "rgb": (8, 16), "palette": (1, 2, 4, 8), "grey_alpha": (8, 16), "rgba": (8, 16)}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def rows(samples, depth):
    """Rows of packed samples; each row another filter of those that need no neighbour (0) or only the left one (1)."""
    out = b""
    for y, row in enumerate(samples.reshape(samples.shape[0], -1)):
        if depth == 16:
            packed = row.astype(">u2").tobytes()
        elif depth == 8:
            packed = row.astype(np.uint8).tobytes()
        else:
            bits = "".join(format(int(v), f"0{depth}b") for v in row)
            bits += "0" * (-len(bits) % 8)
            packed = bytes(int(bits[i:i + 8], 2) for i in range(0, len(bits), 8))
        if y % 2 == 1:
            step = max(1, samples.shape[2] * depth // 8)
            left = bytes(step) + packed[:-step] if len(packed) > step else bytes(len(packed))
            packed = bytes((a - b) % 256 for a, b in zip(packed, left))
        out += bytes([y % 2]) + packed
    return out


def encode(samples, colour_type, depth, interlaced, extra):
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colour_type, 0, 0, interlaced)
    if interlaced:
        passes = [samples[y::dy, x::dx] for x, y, dx, dy in ADAM7]
        body = b"".join(rows(p, depth) for p in passes if p.size)
    else:
        body = rows(samples, depth)
    data = zlib.compress(body)
    half = len(data) // 2                   # two IDAT chunks
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra + chunk(b"IDAT", data[:half]) +
            chunk(b"IDAT", data[half:]) + chunk(b"IEND", b""))


def top_byte(samples, depth):
    samples = samples.astype(int)
    return samples >> 8 if depth == 16 else samples * 255 // (2 ** depth - 1)


def on_white(colour, alpha):
    return (colour * alpha + 255 * (255 - alpha) + 127) // 255           # to the nearest


def make(kind, depth, transparent, random):
    colour_type, channels = CHANNELS[kind]
    samples = random.integers(0, 2 ** depth, (HEIGHT, WIDTH, channels))
    alpha = np.full((HEIGHT, WIDTH, 1), 255)
    extra = b""
    if kind == "palette":
        entries = random.integers(0, 256, (2 ** depth, 3))
        extra = chunk(b"PLTE", entries.astype(np.uint8).tobytes())
        colour = entries[samples[:, :, 0]]
        if transparent:                     # for all but the last entry: that one is opaque
            alphas = np.append(random.integers(0, 256, 2 ** depth - 1), 255)
            extra += chunk(b"tRNS", alphas[:-1].astype(np.uint8).tobytes())
            alpha = alphas[samples]
    elif kind in ("grey_alpha", "rgba"):
        colour, alpha = top_byte(samples[:, :, :-1], depth), top_byte(samples[:, :, -1:], depth)
    else:
        colour = top_byte(samples, depth)
        if transparent:                     # a pixel whose top byte alone agrees stays opaque
            key = samples[3, 4].copy()
            samples[5, 6] = key
            colour[5, 6] = top_byte(key, depth)
            if depth == 16:
                samples[7, 8] = key ^ 1
                colour[7, 8] = top_byte(key, depth)
            extra = chunk(b"tRNS", key.astype(">u2").tobytes())
            alpha = np.where((samples == key).all(axis=2, keepdims=True), 0, 255)
    pixels = np.broadcast_to(on_white(colour, alpha), (HEIGHT, WIDTH, 3))
    return colour_type, samples, extra, pixels.astype(np.uint8).tobytes()


random = np.random.default_rng(12)
os.makedirs("png", exist_ok=True)
with open("pngs.tsv", "w") as table:
    print("# made by pngs.py: file, width, height, SHA-256 of RGB", file=table)
    for kind in CHANNELS:
        for depth in DEPTHS[kind]:
            for transparent in (False, True) if kind in ("grey", "rgb", "palette") else (False,):
                colour_type, samples, extra, pixels = make(kind, depth, transparent, random)
                for interlaced in 0, 1:
                    name = f"{kind}_{depth}{'_trns' if transparent else ''}{'_adam7' if interlaced else ''}.png"
                    with open("png/" + name, "wb") as file:
                        file.write(encode(samples, colour_type, depth, interlaced, extra))
                    print("../picture/png/" + name, WIDTH, HEIGHT, hashlib.sha256(pixels).hexdigest(), sep="\t", file=table)
