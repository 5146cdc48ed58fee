"""Pastes mouth and chin of rendered heads into a video of the same person, frame by frame: dubbing.

Used instead of `paste` where the identity is a video and its head motion is kept. See docs/decisions/0013.
"""

from typing import Final, Protocol, TypeAlias, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.align import Square
from pcavs.face.pose import RIGID, head_pose
from pcavs.face.regions import MOUTH_AND_CHIN
from pcavs.types import CropTransform, Mesh, Picture

_SEAM_CM: Final = 0.5
"""Width of the mask's soft edge on an average head: two standard deviations of its blur. Chosen by eye."""
_MIN_SIGMA_PX: Final = 0.5
"""Smallest standard deviation of that blur. Tuned by hand; not measured."""
_OFFSET_SMOOTHING: Final = 0.25
"""Smoothing coefficient of the seam colour offset (exponential moving average): a frame's own share. Chosen by eye, so
that the seam does not flicker."""
_SEAM: Final = (0.05, 0.95)
"""Values of the mask between which a pixel counts as part of the seam. Tuned by hand; not measured."""
_MIN_SEAM_PIXELS: Final = 20
"""With fewer pixels in the seam a frame's colour offset is taken as 0. Tuned by hand; not measured."""
_MASK_THRESHOLD: Final = 1 / 255
"""Smaller values of the mask are set to 0, so that pixels outside it stay exactly as they are."""
_GAUSSIAN_REACH_SIGMAS: Final = 4
"""Radius of OpenCV's Gaussian kernel for float images, in standard deviations."""
_BOX_MARGIN_PX: Final = 2
"""Further margin of the box around the blurred mask, against rounding."""

ColourOffset: TypeAlias = Float32[np.ndarray, "3"]
"""RGB, in levels of 255."""
Window: TypeAlias = tuple[slice, slice]
"""Rows and columns of a part of a frame."""


@runtime_checkable
class Follower(Protocol):
    """Finds the same face in consecutive frames; implemented by `face.track.FaceFollower`."""

    def step(self, frame: Picture) -> Mesh | None:
        """Returns the face's landmarks in the next frame; None if the face is not found."""
        ...


class MouthPaster:
    """Pastes mouth and chin of rendered heads; eyes, hair and background stay the video's own.

    Landmarks are found on the video and on the rendered head in every frame, and an affine map between them places the
    mouth, so the result does not depend on how exactly the rendered head follows the video's pose. Frames in which
    either face is not found are not changed.
    """

    def __init__(self, video: Follower, heads: Follower) -> None:
        """Stores the trackers of the face in the video and of the face in the rendered heads."""
        self._video, self._heads = video, heads
        self._offset: ColourOffset | None = None

    def follow(self, target: Picture) -> Mesh | None:
        """Returns the landmarks of the face in the next frame of the video; None if the face is not found.

        It is called for every frame of the video, and may be called for later ones while `paste` is at work.
        """
        return self._video.step(target)

    def paste(self, crop: Square, target: Picture, target_mesh: Mesh | None) -> Picture:
        """Returns a copy of the target frame with the mouth in it; where the mask is 0 it equals the target exactly.

        Args:
            crop: The next rendered head.
            target: The frame of the video that it belongs to.
            target_mesh: What `follow` returned for that frame.
        """
        rendered_mesh = self._heads.step(crop)
        if target_mesh is None or rendered_mesh is None:
            return target
        to_target = fit_affine(rendered_mesh, target_mesh)
        placed = rendered_mesh[:, :2] @ to_target[:, :2].T + to_target[:, 2]
        masked = mouth_mask(target_mesh, placed, target.shape[:2])
        if masked is None:
            return target
        window, mask = masked
        foreground, alpha = _warp_crop(crop, to_target, window, mask)
        background = target[window].astype(np.float32)
        foreground += self._update_offset(background - foreground, alpha)
        frame = target.copy()
        blended = background + alpha[..., None] * (foreground - background)
        frame[window] = np.rint(blended.clip(0, 255)).astype(np.uint8)
        return frame

    def end_shot(self) -> None:
        """Forgets the light of the frames so far: the next shot has its own."""
        self._offset = None

    def _update_offset(self, difference: Float32[np.ndarray, "rows columns 3"], alpha: np.ndarray) -> ColourOffset:
        """Returns the smoothed median of the colour difference along the seam, target minus rendered head."""
        seam = (alpha > _SEAM[0]) & (alpha < _SEAM[1])
        current = np.zeros(3, np.float32)
        if int(seam.sum()) >= _MIN_SEAM_PIXELS:
            current = np.median(difference[seam], axis=0).astype(np.float32)
        previous = current if self._offset is None else self._offset
        self._offset = previous + np.float32(_OFFSET_SMOOTHING) * (current - previous)
        return self._offset


def fit_affine(source: Mesh, target: Mesh) -> CropTransform:
    """Fits the affine map between two faces by least squares over the landmarks that expressions hardly move."""
    points = np.column_stack([source[list(RIGID), :2].astype(np.float64), np.ones(len(RIGID))])
    coefficients, *_ = np.linalg.lstsq(points, target[list(RIGID), :2].astype(np.float64), rcond=None)
    return coefficients.T


def mouth_mask(
    target: Mesh, rendered: Float[np.ndarray, "478 2"], shape: tuple[int, int]
) -> tuple[Window, Float32[np.ndarray, "rows columns"]] | None:
    """Computes the mask of mouth and chin: the union over both faces, because either jaw may be the lower one.

    Args:
        target: Landmarks of the video's face, in pixels of the video.
        rendered: Landmarks of the rendered face, in the same pixels.
        shape: Rows and columns of the video.

    Returns:
        The part of the frame outside which the mask is 0, and the mask there, 0 to 1; None if it is 0 everywhere.
    """
    outlines = [np.rint(points[list(MOUTH_AND_CHIN)]).astype(np.int32) for points in (target[:, :2], rendered)]
    sigma_px = max(_SEAM_CM / 2 * float(head_pose(target[None]).scale_px_per_cm[0]), _MIN_SIGMA_PX)
    # Only a box with room for the whole blur is blurred: in wide videos that is 20 times as fast.
    ends, room_px = np.concatenate(outlines), _GAUSSIAN_REACH_SIGMAS * sigma_px + _BOX_MARGIN_PX
    first = np.maximum(np.floor(ends.min(axis=0) - room_px), 0).astype(int)
    last = np.minimum(np.ceil(ends.max(axis=0) + room_px), (shape[1], shape[0])).astype(int)
    if (first >= last).any():
        return None
    filled = np.zeros((last[1] - first[1], last[0] - first[0]), np.uint8)
    for outline in outlines:
        cv2.fillPoly(filled, [outline - first.astype(np.int32)], 255)
    blurred = cv2.GaussianBlur(filled.astype(np.float32) / 255, (0, 0), sigma_px)
    mask = np.where(blurred > _MASK_THRESHOLD, blurred, np.float32(0))
    if not mask.any():
        return None
    return (slice(first[1], last[1]), slice(first[0], last[0])), mask


def _warp_crop(
    crop: Square, to_target: CropTransform, window: Window, mask: Float32[np.ndarray, "rows columns"]
) -> tuple[Float32[np.ndarray, "_ _ 3"], Float32[np.ndarray, "_ _"]]:
    """Warps the crop into a window of the frame; returns it and the mask, which is 0 where the crop ends."""
    rows, columns = window
    to_window = to_target.copy()
    to_window[:, 2] -= (columns.start, rows.start)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    warped = cv2.warpAffine(crop, to_window, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = np.ones(crop.shape[:2], np.float32)
    alpha = mask * cv2.warpAffine(inside, to_window, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    return warped.astype(np.float32), alpha
