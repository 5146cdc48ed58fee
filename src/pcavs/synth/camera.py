"""What a camera and a film's compression do to a picture: softness, grain, and the traces of a codec."""

import dataclasses
from typing import Any

import cv2
import numpy as np

from pcavs.types import Picture


@dataclasses.dataclass(frozen=True, kw_only=True)
class Camera:
    """Faults of one clip's camera; the defaults have none."""

    softness_px: float = 0.0
    """Standard deviation of the blur."""
    resolution: float = 1.0
    """The picture is recorded this many times smaller and enlarged again."""
    grain: float = 0.0
    """Standard deviation of the noise, grey levels."""
    quality: int = 100
    """JPEG quality of a frame, 1 to 100; 100 leaves it as it is."""

    def photograph(self, picture: Picture, random: np.random.Generator) -> Picture:
        """Applies softness, grain and compression, in the order in which they happen."""
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
        """The settings, for the file beside the clip."""
        return dataclasses.asdict(self)


def random_camera(random: np.random.Generator) -> Camera:
    """Draws a camera: half are as good as none, so that training sees what sharp skin looks like."""
    if random.random() < 0.5:
        return Camera()
    return Camera(
        softness_px=float(max(random.uniform(-0.8, 0.9), 0.0)),
        resolution=float(random.uniform(0.6, 1.0)) if random.random() < 0.25 else 1.0,
        grain=float(max(random.uniform(-3.0, 6.0), 0.0)),
        quality=int(random.integers(35, 95)) if random.random() < 0.6 else 100,
    )
