"""Detects cuts between the shots of a video."""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Float32

from pcavs.types import Picture

_MIN_CHANGE: Final = 0.2
"""Summed absolute change of the normalised colour histograms, 0 to 2, from which a frame begins a new shot. Measured on
talking-head videos: movement stays below 0.09, cuts begin at 0.4 (dev/LOG.md)."""
_SAMPLED_PX: Final = (128, 72)
"""Width and height to which a frame is subsampled at least, before it is averaged."""
_AVERAGED_PX: Final = (64, 36)
"""Width and height of the picture whose histograms are compared."""
_BINS: Final = 16
"""Histogram bins for each colour channel."""
_BIN_KERNEL: Final = (0.25, 0.5, 0.25)
"""Smooths the histograms over neighbouring bins, so that a small change of light does not move whole bins."""


class CutFinder:
    """Detects hard cuts by a change of colour histograms; head and camera motion hardly change which colours occur."""

    def __init__(self) -> None:
        """Starts before the first frame."""
        self._last: Float32[np.ndarray, "3 18"] | None = None

    def step(self, picture: Picture) -> bool:
        """Takes the next frame, RGB; returns True if it begins a new shot, and False for the first frame."""
        stride = max(1, min(picture.shape[0] // _SAMPLED_PX[1], picture.shape[1] // _SAMPLED_PX[0]))
        sampled = np.ascontiguousarray(picture[::stride, ::stride])
        small = cv2.resize(sampled, _AVERAGED_PX, interpolation=cv2.INTER_AREA)
        counts = [cv2.calcHist([small], [channel], None, [_BINS], [0, 256])[:, 0] for channel in range(3)]
        smoothed = np.stack([np.convolve(row, _BIN_KERNEL) for row in counts]).astype(np.float32)
        last, self._last = self._last, smoothed / smoothed.sum()
        return last is not None and float(np.abs(self._last - last).sum()) > _MIN_CHANGE
