#!/usr/bin/python3
"""Writes other.safetensors: a file as another program writes it (from the format's description; struct, json and NumPy only).
Run: /usr/bin/python3 tests/data/bundle/make.py tests/data/bundle"""
import json
import struct
import sys
import numpy as np

tensors = [
    ("ids", "I64", np.array([-1, 2**62, 3], dtype="<i8")),
    ("weights", "F32", np.arange(6, dtype="<f4").reshape(2, 3) / 7),
    ("empty", "F32", np.zeros((0, 4), dtype="<f4")),
    ("scores", "F64", np.array([0.1, -1e-300, 5e-324, 1.7976931348623157e308], dtype="<f8")),
    ("scalar", "F64", np.array(2.5, dtype="<f8")),
]
header, data = {"__metadata__": {"format": "np", "Gruß": "Grüße"}}, b""
for name, dtype, values in tensors:
    header[name] = {"dtype": dtype, "shape": list(values.shape), "data_offsets": [len(data), len(data) + values.nbytes]}
    data += values.tobytes()
text = json.dumps(header, indent=1).encode()       # blanks, escapes, an unaligned header: all allowed
with open(sys.argv[1] + "/other.safetensors", "wb") as file:
    file.write(struct.pack("<Q", len(text)) + text + data)
