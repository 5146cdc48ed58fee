"""Says why no face was found and what would help: the picture may be too small, too dark, empty, or show none."""

import dataclasses
from typing import Final

import numpy as np

from pcavs.types import Picture

_MIN_SIDE_PX: Final = 64
"""Shorter side below which a picture is too small. A face half as wide has 5 px in the detector's first, whole view of
128 px, and of its landmarks nothing is left. Tuned by hand."""
_DARK: Final = 40
"""Level, 0 to 255, that the brightest parts of a dark picture do not reach. Tuned by hand."""
_BRIGHT: Final = 240
"""Level that the darkest parts of an overexposed picture exceed. Tuned by hand."""
_MIN_RANGE: Final = 16
"""Difference of the brightest and darkest parts below which a picture shows nothing. Tuned by hand."""
_PARTS: Final = (2, 98)
"""Percentiles that count as the darkest and the brightest parts."""
_CANDIDATE: Final = 0.2
"""Score from which a candidate may be a face in bad view; noise reaches it, too. Tuned by hand; not measured."""
_MAX_SAMPLES_A_SIDE: Final = 256
"""Pixels in each direction whose levels are taken."""


@dataclasses.dataclass
class Unseen:
    """What the frames in which no face was found look like; the best of them counts."""

    side_px: int = 0
    """Largest shorter side."""
    brightest: float = 0.0
    """Highest level of the brightest parts, 0 to 255."""
    darkest: float = 255.0
    """Lowest level of the darkest parts."""
    contrast: float = 0.0
    """Largest difference of both in one frame."""

    def add(self, frame: Picture) -> None:
        """Considers a frame, RGB."""
        step = max(1, max(frame.shape[:2]) // _MAX_SAMPLES_A_SIDE)
        dark, bright = np.percentile(frame[::step, ::step].mean(axis=2), _PARTS)
        self.side_px = max(self.side_px, min(frame.shape[:2]))
        self.brightest, self.darkest = max(self.brightest, float(bright)), min(self.darkest, float(dark))
        self.contrast = max(self.contrast, float(bright - dark))

    def advice(self, best_score: float, min_score: float, kind: str) -> str:
        """Returns what to do, with the reason if one is seen.

        Args:
            best_score: Highest score of a candidate.
            min_score: Score from which a candidate counts as found.
            kind: What was given: picture or video.
        """
        if self.side_px < _MIN_SIDE_PX:
            return f"the {kind} has only {self.side_px} px on its shorter side; give a larger one"
        if self.brightest < _DARK:
            return f"the {kind} is dark; give a brighter one"
        if self.darkest > _BRIGHT:
            return f"the {kind} is overexposed; give a darker one"
        if self.contrast < _MIN_RANGE:
            return f"the {kind} is of one colour; give one of a person"
        if best_score >= min_score:
            return f"the face is covered, cut off or blurred; give a {kind} that shows all of it"
        if best_score >= _CANDIDATE:
            return f"the face may be small, covered, blurred or turned away; give a sharp {kind} with both eyes in view"
        return f"nothing in it looks like a face; give a {kind} of a person's face"
