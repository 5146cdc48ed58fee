"""Degrades rendered frames as a camera and a codec would: blur, low resolution, grain and JPEG.

The ranges below were chosen by eye.
"""

import dataclasses
from typing import Any, Final

import cv2
import numpy as np

from pcavs.types import Picture

_FAULTLESS_SHARE: Final = 0.5
"""Share of the clips without any fault, so that training sees sharp skin."""

_BLUR_PX, _GRAIN_LEVELS = (-0.8, 0.9), (-3.0, 6.0)
"""Ranges of blur and grain; a value below 0 means none."""

_RESOLUTION, _RESOLUTION_SHARE = (0.6, 1.0), 0.25
"""Range of the factor on the resolution, and share of the faulty clips to which it is applied."""

_QUALITY, _QUALITY_SHARE = (35, 95), 0.6
"""Range of the JPEG quality (upper end excluded), and share of the faulty clips to which it is applied."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class CameraFaults:
    """Faults of one clip's camera; the defaults leave pictures unchanged."""

    softness_px: float = 0.0
    """Standard deviation of the blur in pixels."""
    resolution: float = 1.0
    """Factor by which the picture is scaled down, to be enlarged again at the end."""
    grain: float = 0.0
    """Standard deviation of the noise in grey levels, equal in all channels."""
    quality: int = 100
    """JPEG quality, 1 to 100; 100 leaves the picture uncompressed."""

    def apply(self, picture: Picture, random: np.random.Generator) -> Picture:
        """Applies blur, low resolution, grain and compression, in the order in which a camera causes them."""
        height, width = picture.shape[:2]
        if self.softness_px > 0:
            picture = cv2.GaussianBlur(picture, (0, 0), self.softness_px)
        if self.resolution < 1:
            small = (round(width * self.resolution), round(height * self.resolution))
            picture = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
        if self.grain > 0:
            noise = random.standard_normal(picture.shape[:2], np.float32)[..., None] * self.grain
            picture = np.clip(np.round(picture + noise), 0, 255).astype(np.uint8)
        if self.quality < 100:
            _, data = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, self.quality))
            picture = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        if self.resolution < 1:
            picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.ascontiguousarray(picture, np.uint8)

    def truth(self) -> dict[str, Any]:
        """Returns the settings as the clip's truth file stores them."""
        return dataclasses.asdict(self)


def random_camera_faults(random: np.random.Generator) -> CameraFaults:
    """Draws the faults of a clip's camera."""
    if random.random() < _FAULTLESS_SHARE:
        return CameraFaults()
    return CameraFaults(
        softness_px=float(max(random.uniform(*_BLUR_PX), 0.0)),
        resolution=float(random.uniform(*_RESOLUTION)) if random.random() < _RESOLUTION_SHARE else 1.0,
        grain=float(max(random.uniform(*_GRAIN_LEVELS), 0.0)),
        quality=int(random.integers(*_QUALITY)) if random.random() < _QUALITY_SHARE else 100,
    )
