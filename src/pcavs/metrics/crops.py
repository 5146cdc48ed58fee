"""The part of a film that tells what is being said: grey squares around the mouth, turned and scaled with the head."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from pcavs.types import Picture

MOUTH_PX: Final = 48
"""Side of a mouth crop: about the mouth's own pixels in a face of 128."""

MouthCrops: TypeAlias = UInt8[np.ndarray, "time 48 48"]
"""Grey levels."""

_MOUTH_CORNERS: Final = [61, 291]
_LEFT_EYE_CORNERS: Final = [33, 133]
_RIGHT_EYE_CORNERS: Final = [362, 263]

_SIDE: Final = 1.5
"""Side of the crop in distances between the eye centres: from below the nose to the chin of an open mouth."""
_DROP: Final = 0.12
"""How far the crop's middle lies below the mouth corners, in the same unit: an opening mouth opens downwards."""
_SMOOTHING_FRAMES: Final = 9
"""The crop follows the head, not the lips: what is faster than a third of a second stays visible."""


def mouth_crops(pictures: Sequence[Picture], meshes: Float32[np.ndarray, "time 478 3"]) -> MouthCrops:
    """Cuts the mouth out of every frame.

    Level with the eyes and as large as 1.5 distances between them, so that the head's place, size and lean are
    gone. The place is smoothed over nine frames: it must not move with the lips.

    Args:
        pictures: All of one size.
        meshes: Landmarks in the pictures' pixels.
    """
    centre, side, turn = (_smoothed(values) for values in _places(meshes))
    return np.stack([_crop(*place) for place in zip(pictures, centre, side, turn, strict=True)])


def without_light(crops: MouthCrops) -> Float32[np.ndarray, "time 48 48"]:
    """Takes the light out of a clip's crops: zero mean and unit spread over the whole clip."""
    values = crops.astype(np.float32)
    return (values - values.mean()) / (values.std() + 1)


def _places(
    meshes: Float32[np.ndarray, "time 478 3"],
) -> tuple[Float[np.ndarray, "time 2"], Float[np.ndarray, "time 1"], Float[np.ndarray, "time 2"]]:
    """Middle, side, and the unit vector along the eyes."""
    eyes = meshes[:, _RIGHT_EYE_CORNERS].mean(axis=1) - meshes[:, _LEFT_EYE_CORNERS].mean(axis=1)
    # In space: a turned head is no smaller.
    distance = np.linalg.norm(eyes, axis=1, keepdims=True)
    along = eyes[:, :2] / np.linalg.norm(eyes[:, :2], axis=1, keepdims=True)
    down = np.column_stack([-along[:, 1], along[:, 0]])
    centre = meshes[:, _MOUTH_CORNERS, :2].mean(axis=1) + _DROP * distance * down
    return centre, _SIDE * distance, along


def _smoothed(values: Float[np.ndarray, "time n"]) -> Float[np.ndarray, "time n"]:
    reach = _SMOOTHING_FRAMES // 2
    padded = np.pad(values.astype(np.float64), ((reach, reach), (0, 0)), mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, _SMOOTHING_FRAMES, axis=0).mean(axis=-1)


def _crop(
    picture: Picture, centre: Float[np.ndarray, "2"], side: Float[np.ndarray, "1"], along: Float[np.ndarray, "2"]
) -> UInt8[np.ndarray, "48 48"]:
    step = float(side[0]) / MOUTH_PX
    x, y = along / np.linalg.norm(along) * step
    # From crop pixels to picture pixels: warpAffine's inverse map.
    middle = (MOUTH_PX - 1) / 2
    linear = np.array([[x, -y], [y, x]])
    transform = np.column_stack([linear, centre - linear @ [middle, middle]])
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if step > 1:
        # Averages what the crop would otherwise skip.
        grey = cv2.GaussianBlur(grey, (0, 0), 0.4 * step)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(grey, transform, (MOUTH_PX, MOUTH_PX), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(crop, np.uint8)
