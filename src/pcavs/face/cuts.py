"""Where a film cuts from one shot to another."""

from typing import Final

import cv2
import numpy as np
from jaxtyping import Float32

from pcavs.types import Picture


class CutFinder:
    """Tells hard cuts from movement: a cut changes which colours there are, a shaken head or camera only moves them."""

    _LEAST: Final = 0.2
    """Half the summed change of the three colour histograms; movement stays below 0.09, cuts begin at 0.4."""

    def __init__(self) -> None:
        """Has seen nothing yet."""
        self._last: Float32[np.ndarray, "3 18"] | None = None

    def step(self, picture: Picture) -> bool:
        """Whether this frame begins a new shot; False for the first."""
        stride = max(1, min(picture.shape[0] // 72, picture.shape[1] // 128))
        small = cv2.resize(np.ascontiguousarray(picture[::stride, ::stride]), (64, 36), interpolation=cv2.INTER_AREA)
        colours = np.stack([cv2.calcHist([small], [channel], None, [16], [0, 256])[:, 0] for channel in range(3)])
        # Neighbouring bins share a little, so that a small change of light does not look like other colours.
        spread = np.stack([np.convolve(row, [0.25, 0.5, 0.25]) for row in colours]).astype(np.float32)
        last, self._last = self._last, spread / spread.sum()
        return last is not None and float(np.abs(self._last - last).sum()) > self._LEAST
