"""Array types that all packages share; NumPy only, so importing them needs no torch.

Conventions: colour is RGB. Pixel coordinates are (x, y), x to the right and y down, with the centre of the top-left
pixel at (0, 0). Shapes are checked in the tests (jaxtyping and beartype).
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Float32, UInt8

Picture: TypeAlias = UInt8[np.ndarray, "height width 3"]
"""RGB, 0 to 255."""

Cutout: TypeAlias = UInt8[np.ndarray, "height width 4"]
"""RGBA, 0 to 255, with colours as they are (straight alpha), as files store them."""

Layer: TypeAlias = UInt8[np.ndarray, "height width 4"]
"""RGBA, 0 to 255, with colours multiplied by opacity (premultiplied alpha), as they are warped and blended."""

Waveform: TypeAlias = Float32[np.ndarray, " samples"]
"""Mono samples in [-1, 1] at `spec.SAMPLE_RATE_HZ`."""

Mel: TypeAlias = Float32[np.ndarray, "80 bins"]
"""Log-mel spectrogram in [0, 1]; row 0 is the lowest band. One bin is 10 ms."""

MelWindows: TypeAlias = Float32[np.ndarray, "time 1 80 20"]
"""One mel window of 0.2 s for each video frame, with a channel axis of length 1; log-mel in [0, 1]."""

SpeechWindows: TypeAlias = Float32[np.ndarray, "time ..."]
"""What a speech encoder hears of each video frame: mel windows (1, 80, 20), or states (states, dim)."""

States: TypeAlias = Float32[np.ndarray, "states dim"]
"""States of the pretrained speech encoder (`spec.FeatureSpec`), 50 a second."""

Mesh: TypeAlias = Float32[np.ndarray, "478 3"]
"""Landmarks of one face: x and y in pixels of the frame that the context names; z in the same unit, smaller is nearer
to the camera, relative to the head. `face.regions` names groups of the points."""

Confidence: TypeAlias = UInt8[np.ndarray, "time 32 32"]
"""Confidence masks of square frames, over their whole area: 255 where a pixel comes from a photograph or film, 0 where
it was invented. Training lets what was invented count less. The side is `spec.CONFIDENCE_CELLS`."""

Box: TypeAlias = Float[np.ndarray, "4"]
"""Bounding box x0, y0, x1, y1 in pixels; x0 < x1 and y0 < y1."""

CropTransform: TypeAlias = Float[np.ndarray, "2 3"]
"""Similarity transform [A | t] from source pixels to crop pixels, p_crop = A p_source + t; invertible."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Progress callback: (activity, number done, number in total)."""
