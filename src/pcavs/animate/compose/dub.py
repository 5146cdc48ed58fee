"""Puts a speaking mouth into a film of the same person: frame by frame, where the film has the face."""

from typing import Final, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.align import Square
from pcavs.face.pose import RIGID, head_pose
from pcavs.face.regions import MOUTH_AND_CHIN
from pcavs.types import CropTransform, Mesh, Picture

Light = Float32[np.ndarray, "3"]

_SOFT_CM: Final = 0.5
"""Width of the seam."""
_STEADY: Final = 0.25
"""Share of a frame's own light in the correction: the seam shall not flicker."""
_LEAST_SEAM_PX: Final = 20
_FAINTEST: Final = 1 / 255
_BLUR_SIGMAS: Final = 4
"""How far OpenCV's Gaussian reaches for pictures of floats."""

Box = tuple[slice, slice]


@runtime_checkable
class Follower(Protocol):
    """Finds the same face in one frame after the other; `face.track.FaceFollower` does."""

    def step(self, frame: Picture) -> Mesh | None:
        """Finds the face in the next frame; None where it is not seen."""
        ...


class MouthPaster:
    """Lays mouth and chin of made heads over a film's: eyes, hair and background stay the film's own.

    Both faces are found by landmarks in every frame, and the made one is put where the film has it, so nothing depends
    on how well a turn was followed. Frames in which the film's face is not seen are left as they are.
    """

    def __init__(self, film: Follower, heads: Follower) -> None:
        """Takes what follows the face of the film, and that of the made heads."""
        self._film, self._heads = film, heads
        self._offset: Light | None = None

    def paste(self, crop: Square, background: Picture) -> Picture:
        """Gives the whole frame; outside of the mask it is the background to the last bit.

        Args:
            crop: The made head.
            background: The next frame of the film.
        """
        there, made = self._film.step(background), self._heads.step(crop)
        if there is None or made is None:
            return background
        place = fitted(made, there)
        found = mouth_mask(there, made[:, :2] @ place[:, :2].T + place[:, 2], background.shape[:2])
        if found is None:
            return background
        box, mask = found
        over, share = _placed(crop, place, box, mask)
        under = background[box].astype(np.float32)
        over += self._light(under - over, share)
        frame = background.copy()
        frame[box] = np.rint((under + share[..., None] * (over - under)).clip(0, 255)).astype(np.uint8)
        return frame

    def _light(self, difference: Float32[np.ndarray, "rows columns 3"], share: np.ndarray) -> Light:
        """What the film is brighter by along the seam, hardly changing from frame to frame."""
        seam = (share > 0.05) & (share < 0.95)
        now = np.zeros(3, np.float32)
        if int(seam.sum()) >= _LEAST_SEAM_PX:
            now = np.median(difference[seam], axis=0).astype(np.float32)
        self._offset = now if self._offset is None else self._offset + np.float32(_STEADY) * (now - self._offset)
        return self._offset


def fitted(made: Mesh, there: Mesh) -> CropTransform:
    """Gives the affine map that lays one face's steady landmarks over another's."""
    points = np.column_stack([made[list(RIGID), :2].astype(np.float64), np.ones(len(RIGID))])
    found, *_ = np.linalg.lstsq(points, there[list(RIGID), :2].astype(np.float64), rcond=None)
    return found.T


def mouth_mask(
    there: Mesh, made: Float[np.ndarray, "478 2"], size: tuple[int, int]
) -> tuple[Box, Float32[np.ndarray, "rows columns"]] | None:
    """Masks mouth and chin, and what they will be: jaws sink and rise.

    Args:
        there: The film's face, in pixels of the film.
        made: The made face, in the same.
        size: Rows and columns of the film.

    Returns:
        The part of the film outside of which the mask is nought, and the mask there; None where it is nowhere.
    """
    outlines = [np.rint(points[list(MOUTH_AND_CHIN)]).astype(np.int32) for points in (there[:, :2], made)]
    sigma = max(_SOFT_CM / 2 * float(head_pose(there[None]).scale_px_per_cm[0]), 0.5)
    # Blurred in the box alone, with room for the whole of the blur: wide films are mostly something else.
    ends, room = np.concatenate(outlines), _BLUR_SIGMAS * sigma + 2
    first = np.maximum(np.floor(ends.min(axis=0) - room), 0).astype(int)
    last = np.minimum(np.ceil(ends.max(axis=0) + room), (size[1], size[0])).astype(int)
    if (first >= last).any():
        return None
    drawn = np.zeros((last[1] - first[1], last[0] - first[0]), np.uint8)
    for outline in outlines:
        cv2.fillPoly(drawn, [outline - first.astype(np.int32)], 255)
    soft = cv2.GaussianBlur(drawn.astype(np.float32) / 255, (0, 0), sigma)
    mask = np.where(soft > _FAINTEST, soft, np.float32(0))
    if not mask.any():
        return None
    return (slice(first[1], last[1]), slice(first[0], last[0])), mask


def _placed(
    crop: Square, place: CropTransform, box: Box, mask: Float32[np.ndarray, "rows columns"]
) -> tuple[Float32[np.ndarray, "_ _ 3"], Float32[np.ndarray, "_ _"]]:
    """The crop in the box, and how much of it is laid over: nothing where the crop ends."""
    rows, columns = box
    moved = place.copy()
    moved[:, 2] -= (columns.start, rows.start)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    over = cv2.warpAffine(crop, moved, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    known = np.ones(crop.shape[:2], np.float32)
    share = mask * cv2.warpAffine(known, moved, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return over.astype(np.float32), share
