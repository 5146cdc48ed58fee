"""Array types shared by all floors; numpy only, so that they import without torch.

Colour is RGB everywhere. A picture is height x width x 3, uint8. Pixel coordinates are (x, y) with the
centre of the top-left pixel at (0, 0).
"""

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Float32, UInt8

Picture: TypeAlias = UInt8[np.ndarray, "height width 3"]
"""RGB, 0 to 255."""

Waveform: TypeAlias = Float32[np.ndarray, " samples"]
"""Mono samples in [-1, 1] at `spec.SAMPLE_RATE_HZ`."""

Mel: TypeAlias = Float32[np.ndarray, "80 bins"]
"""Log-mel in [0, 1], 100 bins a second."""

MelWindows: TypeAlias = Float32[np.ndarray, "time 1 80 20"]
"""One mel window (0.2 s) a video frame."""

Mesh: TypeAlias = Float32[np.ndarray, "478 3"]
"""Face landmarks of the landmark model: x, y in pixels of the named frame, z in the same unit (smaller is nearer)."""

Box: TypeAlias = Float[np.ndarray, "4"]
"""x0, y0, x1, y1 in pixels."""

CropTransform: TypeAlias = Float[np.ndarray, "2 3"]
"""Similarity from source pixels to crop pixels, invertible."""

Progress: TypeAlias = Callable[[str, int, int], None]
"""Progress callback: (activity, frames done, frames in total)."""
