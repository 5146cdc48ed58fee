"""Colour spaces: FFmpeg's codes (ITU-T H.273), and the conversion to sRGB, the space of all pictures here.

Video that the package encodes is BT.709 with limited range. High dynamic range (PQ, HLG) is mapped to the range of SDR.
"""

import functools
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, Shaped, UInt8

from pcavs.types import Picture

BT709: Final = 1
"""Code of BT.709, for colour space, primaries and transfer characteristics."""
LIMITED_RANGE: Final = 1
"""Code of limited ("MPEG") range."""
PQ: Final = 16
"""Code of the transfer characteristics of SMPTE ST 2084."""
HLG: Final = 18
"""Code of the transfer characteristics of hybrid log-gamma (ARIB STD-B67)."""
BT2020: Final = 9
"""Code of the primaries of BT.2020."""
ADOBE_RGB: Final = -1
"""Stands for the primaries of Adobe RGB (1998), and its gamma; H.273 has no code for them."""

_LINEAR: Final = 8
"""Code of linear transfer characteristics."""

_D65: Final = (0.3127, 0.3290)
_PRIMARIES: Final = {
    BT709: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),
    BT2020: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),  # DCI-P3
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),  # Display P3
    ADOBE_RGB: ((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), _D65),
}
"""Chromaticities x, y of red, green, blue and white, by code. Those of standard definition (4 to 7) are so near to
BT.709 that players ignore the difference, and so does this module."""
_ADOBE_GAMMA: Final = 563 / 256
"""Exponent of Adobe RGB (1998)."""

_REFERENCE_WHITE_NITS: Final = 203.0
"""Luminance of diffuse white in HDR video (ITU-R BT.2408): white of SDR before highlights are compressed."""
_PQ_PEAK_NITS: Final = 10_000.0
_HLG_PEAK_NITS: Final = 1000.0
"""Luminance of the display for which HLG's system gamma is 1.2 (BT.2100)."""
_HLG_GAMMA: Final = 1.2
_KNEE: Final = 0.6
"""Share of reference white from which highlights are compressed, so that lights brighter than white keep shape. Chosen
by eye: skin in normal light lies below it."""
_CURVE_STEPS: Final = 4096
"""Entries of the table that encodes linear light as sRGB, spaced evenly in the square root of the light."""
_STRIP_ROWS: Final = 64
"""Rows that are converted at once, which keeps intermediate floats in the processor's cache."""


class ColourTags(NamedTuple):
    """What a file states about its colours, in FFmpeg's codes; 2 is unspecified."""

    primaries: int = 2
    transfer: int = 2

    @property
    def is_hdr(self) -> bool:
        """Tells whether the picture has a high dynamic range."""
        return self.transfer in (PQ, HLG)

    @property
    def is_srgb(self) -> bool:
        """Tells whether the pixels can be shown as sRGB as they are."""
        return not self.is_hdr and self.transfer != _LINEAR and self.primaries not in _PRIMARIES.keys() - {BT709}


def to_srgb(pixels: Shaped[np.ndarray, "height width 3"], tags: ColourTags) -> Picture:
    """Converts RGB of any colour space to sRGB.

    Colours outside sRGB are clipped. HDR is scaled so that its diffuse white (203 cd/m2) becomes white; highlights are
    compressed from 60 % of it on by one factor for all three channels, which keeps their hue.

    Args:
        pixels: RGB, 8 or 16 bits (0 to 255 or 65535), full range.
        tags: The colour space.

    Reference: ITU-R BT.2100 (PQ, HLG), BT.2408 (reference white).
    """
    if tags.is_srgb:
        return pixels if pixels.dtype == np.uint8 else (pixels >> 8).astype(np.uint8)
    decode = _decoding_table(tags, pixels.dtype.itemsize)
    matrix = _to_bt709(tags.primaries)
    picture = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), _STRIP_ROWS):
        light = decode[pixels[top : top + _STRIP_ROWS]]
        if tags.transfer == HLG:
            light *= _hlg_gain(light)[..., None]
        light = cv2.transform(light, matrix)
        if tags.is_hdr:
            light *= _compression(light.max(axis=2))[..., None]
        picture[top : top + _STRIP_ROWS] = _encode(light)
    return picture


def _compression(peak: Float32[np.ndarray, "rows width"]) -> Float32[np.ndarray, "rows width"]:
    """Returns the factor on each pixel that maps the brightest channel from [0, infinity) to [0, 1)."""
    over = np.maximum(peak - np.float32(_KNEE), 0)
    room = np.float32(1 - _KNEE)
    # 1 up to the knee; beyond, an exponential that approaches 1 and continues with the same slope.
    return np.where(over > 0, (np.float32(_KNEE) + room * (1 - np.exp(-over / room))) / np.maximum(peak, 1e-6), 1)


def _hlg_gain(light: Float32[np.ndarray, "rows width 3"]) -> Float32[np.ndarray, "rows width"]:
    """Returns the factor from scene light (0 to 1) to displayed light in units of reference white (BT.2100, OOTF)."""
    luminance = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
    return np.maximum(luminance, 1e-6) ** np.float32(_HLG_GAMMA - 1) * np.float32(
        _HLG_PEAK_NITS / _REFERENCE_WHITE_NITS
    )


def _encode(light: Float32[np.ndarray, "rows width 3"]) -> Picture:
    """Encodes linear light (1 is white) as 8-bit sRGB."""
    steps = np.sqrt(light.clip(0, 1)) * np.float32(_CURVE_STEPS - 1) + np.float32(0.5)
    return _encoding_table()[steps.astype(np.uint16)]


@functools.cache
def _encoding_table() -> UInt8[np.ndarray, " steps"]:
    light = (np.arange(_CURVE_STEPS) / (_CURVE_STEPS - 1)) ** 2
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return np.rint(curve * 255).astype(np.uint8)


@functools.cache
def _decoding_table(tags: ColourTags, bytes_each: int) -> Float32[np.ndarray, " values"]:
    """Returns linear light for each code value: 1 is white, reference white for PQ, and the brightest scene for HLG."""
    code = np.linspace(0, 1, 256**bytes_each)
    return _linear(code, tags).astype(np.float32)


def _linear(code: Float[np.ndarray, " values"], tags: ColourTags) -> Float[np.ndarray, " values"]:
    if tags.transfer == PQ:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = code ** (1 / m2)
        return (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1) * (_PQ_PEAK_NITS / _REFERENCE_WHITE_NITS)
    if tags.transfer == HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    if tags.transfer == _LINEAR:
        return code
    if tags.primaries == ADOBE_RGB:
        return code**_ADOBE_GAMMA
    # sRGB, BT.709 and the gammas of television: displays show all of them by about the same curve.
    return np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)


@functools.cache
def _to_bt709(primaries: int) -> Float32[np.ndarray, "3 3"]:
    """Returns the matrix from linear RGB of some primaries to that of BT.709."""
    known = primaries if primaries in _PRIMARIES else BT709
    return (np.linalg.inv(_to_xyz(BT709)) @ _to_xyz(known)).astype(np.float32)


def _to_xyz(primaries: int) -> Float[np.ndarray, "3 3"]:
    """Returns the matrix from linear RGB to CIE XYZ, in which white has Y = 1."""
    *colours, white = (np.array([x / y, 1, (1 - x - y) / y]) for x, y in _PRIMARIES[primaries])
    columns = np.stack(colours, axis=1)
    return columns * np.linalg.solve(columns, white)
