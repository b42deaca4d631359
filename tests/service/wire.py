"""ONNX and PNG on the wire, with nothing but the standard library: what the scripts that make the service tests' material share."""
import struct, zlib


# ---- protobuf's wire format, as much of it as ONNX files need ----
def varint(n):
    n &= (1 << 64) - 1
    b = b""
    while True:
        b += bytes([n & 127 | (128 if n > 127 else 0)])
        n >>= 7
        if not n:
            return b


def field(number, payload):
    if isinstance(payload, int):
        return varint(number << 3) + varint(payload)
    if isinstance(payload, str):
        payload = payload.encode()
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def tensor(name, dims, values):
    return b"".join(field(1, d) for d in dims) + field(2, 1) + field(8, name) + field(9, struct.pack("<%df" % len(values), *values))


def integers(name, values):
    """An initialiser of int64: a list, or one number without dimensions."""
    numbers = values if isinstance(values, list) else [values]
    return (field(1, len(values)) if isinstance(values, list) else b"") + field(2, 7) + field(8, name) + field(9, struct.pack("<%dq" % len(numbers), *numbers))


def value_info(name, dims, kind=1):
    shape = b"".join(field(1, field(2, d) if isinstance(d, str) else field(1, d)) for d in dims)
    return field(1, name) + field(2, field(1, field(1, kind) + field(2, shape)))


def ints(name, values):
    return field(5, field(1, name) + b"".join(field(8, v) for v in values) + field(20, 7))


def integer(name, value):
    return field(5, field(1, name) + field(3, value) + field(20, 2))


def real(name, value):
    return field(5, field(1, name) + varint(2 << 3 | 5) + struct.pack("<f", value) + field(20, 1))


def text(name, value):
    return field(5, field(1, name) + field(4, value) + field(20, 3))


def node(op, inputs, outputs, attributes=b""):
    return field(1, b"".join(field(1, i) for i in inputs) + b"".join(field(2, o) for o in outputs) + field(3, op + "_" + outputs[0]) + field(4, op) + attributes)


# ---- PNG ----
def png_bytes(width, height, lines):
    """lines[height] of width RGB pixels."""
    rows = b"".join(b"\0" + line for line in lines)
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
