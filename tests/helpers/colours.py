"""ICC profiles that tests embed in photographs, and the true conversion of their colours to sRGB."""

import struct

import numpy as np

DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), 2.2
ADOBE_RGB = ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060)), 563 / 256
PROPHOTO = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)), 1.8
"""Chromaticities of red, green and blue, and exponent; white is D65, which for ProPhoto is not the real one."""
_SRGB = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060))
_D65 = (0.3127, 0.3290)
_BRADFORD_TO_D50 = np.array([[1.04788, 0.02292, -0.05022], [0.02959, 0.99048, -0.01708], [-0.00925, 0.01508, 0.75168]])


def matrix_profile(space):
    """The bytes of an ICC profile of version 2 for RGB with these primaries and this gamma."""
    primaries, gamma = space
    columns = (_BRADFORD_TO_D50 @ _to_xyz(primaries)).T
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    tags = {
        b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78),
        b"cprt": b"text" + bytes(4) + b"none\0",
        b"wtpt": _xyz((0.9642, 1.0, 0.8249)),
        b"rXYZ": _xyz(columns[0]),
        b"gXYZ": _xyz(columns[1]),
        b"bXYZ": _xyz(columns[2]),
        **dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve),
    }
    table, body = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        data += bytes(-len(data) % 4)
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data
    size = start + len(body)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + bytes(28)
    head += struct.pack(">3i", *(round(value * 65536) for value in (0.9642, 1.0, 0.8249)))
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def to_srgb(pixels, space):
    """Converts pixels (0 to 255) of a colour space to sRGB, by the definitions alone."""
    primaries, gamma = space
    light = (pixels / 255) ** gamma @ (np.linalg.inv(_to_xyz(_SRGB)) @ _to_xyz(primaries)).T
    light = light.clip(0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055) * 255


def _to_xyz(primaries):
    red, green, blue, white = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in (*primaries, _D65))
    columns = np.stack([red, green, blue], axis=1)
    return columns * np.linalg.solve(columns, white)


def _xyz(values):
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(value * 65536) for value in values))
