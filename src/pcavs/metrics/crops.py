"""Cuts mouth crops, the input of the sync judge, out of the frames of a video.

The constants below are part of the judge: its crops must be cut in the same way as those that it was trained on. They
were tuned by hand and not measured; changing one needs a new judge (`scripts/train_judge.py`).
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from pcavs.types import Picture

MOUTH_PX: Final = 48
"""Side of a mouth crop in pixels: about the resolution of the mouth in a face crop of 128 px."""

MouthCrops: TypeAlias = UInt8[np.ndarray, "time 48 48"]
"""Grey levels, 0 to 255."""

_MOUTH_CORNERS: Final = [61, 291]
_LEFT_EYE_CORNERS: Final = [33, 133]
_RIGHT_EYE_CORNERS: Final = [362, 263]

_SIDE_IN_EYE_DISTANCES: Final = 1.5
"""Side of the crop as a multiple of the distance between the eye centres: from below the nose to the chin of an open
mouth."""
_DROP_IN_EYE_DISTANCES: Final = 0.12
"""Distance of the crop's centre below the midpoint of the mouth corners, in the same unit, because the jaw opens the
mouth downwards."""
_SMOOTHING_FRAMES: Final = 9
"""Window of the moving average of the crop's place (0.36 s). The crop follows the head and not the lips."""
_BLUR_SIGMA_PER_STEP: Final = 0.4
"""Standard deviation of the low-pass filter before downsampling, as a multiple of the sampling step in pixels."""


def mouth_crops(pictures: Sequence[Picture], meshes: Float32[np.ndarray, "time 478 3"]) -> MouthCrops:
    """Cuts the mouth out of every frame, with the head's position, size and roll removed.

    A crop is level with the eyes and 1.5 eye distances wide. Its place is smoothed over nine frames, so that it does
    not move with the lips. Pixels outside the picture repeat its border.

    Args:
        pictures: Frames of one size.
        meshes: Their landmarks, in pixels of the frames.
    """
    centre, side, along = (_smoothed(values) for values in _places(meshes))
    return np.stack([_crop(*place) for place in zip(pictures, centre, side, along, strict=True)])


def standardised(crops: MouthCrops) -> Float32[np.ndarray, "time 48 48"]:
    """Removes brightness and contrast of a clip: zero mean and unit standard deviation over all of its crops."""
    values = crops.astype(np.float32)
    return (values - values.mean()) / (values.std() + 1)


def _places(
    meshes: Float32[np.ndarray, "time 478 3"],
) -> tuple[Float[np.ndarray, "time 2"], Float[np.ndarray, "time 1"], Float[np.ndarray, "time 2"]]:
    """Returns the crop's centre and side in pixels, and the unit vector from the left to the right eye."""
    eyes = meshes[:, _RIGHT_EYE_CORNERS].mean(axis=1) - meshes[:, _LEFT_EYE_CORNERS].mean(axis=1)
    # In three dimensions, because the distance in the picture shrinks when the head turns.
    distance = np.linalg.norm(eyes, axis=1, keepdims=True)
    along = eyes[:, :2] / np.linalg.norm(eyes[:, :2], axis=1, keepdims=True)
    down = np.column_stack([-along[:, 1], along[:, 0]])
    centre = meshes[:, _MOUTH_CORNERS, :2].mean(axis=1) + _DROP_IN_EYE_DISTANCES * distance * down
    return centre, _SIDE_IN_EYE_DISTANCES * distance, along


def _smoothed(values: Float[np.ndarray, "time n"]) -> Float[np.ndarray, "time n"]:
    """Averages over `_SMOOTHING_FRAMES` centred frames; the ends repeat."""
    reach = _SMOOTHING_FRAMES // 2
    padded = np.pad(values.astype(np.float64), ((reach, reach), (0, 0)), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, _SMOOTHING_FRAMES, axis=0).mean(axis=-1)


def _crop(
    picture: Picture, centre: Float[np.ndarray, "2"], side: Float[np.ndarray, "1"], along: Float[np.ndarray, "2"]
) -> UInt8[np.ndarray, "48 48"]:
    step = float(side[0]) / MOUTH_PX
    x, y = along / np.linalg.norm(along) * step
    # The transform maps crop pixels to picture pixels, which is what WARP_INVERSE_MAP expects.
    middle = (MOUTH_PX - 1) / 2
    linear = np.array([[x, -y], [y, x]])
    transform = np.column_stack([linear, centre - linear @ [middle, middle]])
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if step > 1:
        grey = cv2.GaussianBlur(grey, (0, 0), _BLUR_SIGMA_PER_STEP * step)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(grey, transform, (MOUTH_PX, MOUTH_PX), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)
