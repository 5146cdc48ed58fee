"""Pastes a rendered head into the photograph, or the video, that its crop was cut from.

The last step before a frame is written, with `--full-frame`. If a video is dubbed, `dub` does this step instead.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Float32, Float64, Shaped, UInt8

from pcavs.animate.identity import Identity, SourceCrop
from pcavs.animate.options import FilmOptions
from pcavs.errors import InputError
from pcavs.face.align import Square, covered_box, invert
from pcavs.media.still import is_still
from pcavs.media.timeline import frame_time_s
from pcavs.media.video import count_pictures, read_frames
from pcavs.numeric import smoothstep
from pcavs.types import Picture

_FEATHER: Final = 0.18
"""Width of the seam, where the head fades into the picture, as a share of the crop's side. Chosen by eye."""
_UNUSED_EDGE: Final = 0.02
"""Width, as a share of the crop's side, of its outermost part, which is never used: beyond the photograph the crop
repeats its edge. Chosen by eye."""
_SUPERELLIPSE_EXPONENT: Final = 6
"""Exponent of the superellipses that are the mask's contours: squares with round corners. Chosen by eye."""
_SEAM: Final = (0.02, 0.98)
"""Values of the mask between which a pixel counts as part of the seam. Tuned by hand; not measured."""

_BORDER: Final = 0.5
"""Width of the border between the territories of two faces, in radii of a face. Chosen by eye."""
_STRIP_ROWS: Final = 128
"""Rows that are computed at once, which bounds the memory for real numbers."""


@runtime_checkable
class PasteTarget(Protocol):
    """The frames that the head is pasted into."""

    def frames(self, num_frames: int) -> Iterator[Picture]:
        """Yields one frame for each frame of the film, all of one even size. They must not be changed."""
        ...


class PhotographTarget:
    """The photograph, for every frame."""

    def __init__(self, picture: Picture) -> None:
        """Takes the photograph; an odd last row or column is cut off, as films have none."""
        self._picture = crop_to_even(picture)

    def frames(self, num_frames: int) -> Iterator[Picture]:
        """Yields the same picture for every frame."""
        for _ in range(num_frames):
            yield self._picture


class VideoTarget:
    """A video of the person, from its beginning."""

    def __init__(self, path: Path, largest_side_px: int, *, loop: bool = False) -> None:
        """Takes the video.

        Args:
            path: The video.
            largest_side_px: Larger side to which its frames are reduced: that of its first frame as it was read for the
                identity.
            loop: Plays the video again from its beginning if it is shorter than the speech.
        """
        self._path, self._largest_side_px, self._loop = path, largest_side_px, loop
        self.notes: tuple[str, ...] = ()
        """What `check` found, for the user."""

    def check(self, num_frames: int) -> None:
        """Compares the lengths of video and speech.

        Raises:
            InputError: The video is shorter and must not be repeated.
        """
        available = count_pictures(self._path, 0.0, None)
        lengths = f"{self._path} lasts {frame_time_s(available):.2f} s and the speech {frame_time_s(num_frames):.2f} s"
        if available < num_frames:
            if not self._loop:
                raise InputError(f"{lengths}; give a longer video of the person, an --end, or --loop")
            self.notes = (f"{lengths}; the video is repeated",)
        elif available > num_frames:
            self.notes = (f"{lengths}; the film ends with the speech",)

    def frames(self, num_frames: int) -> Iterator[Picture]:
        """Reads the frames; without `loop`, the last one is repeated if there are fewer than the header says."""
        return self.small_frames(num_frames, self._largest_side_px)

    def small_frames(self, num_frames: int, largest_side_px: int) -> Iterator[Picture]:
        """Reads the same frames, reduced to another larger side."""
        picture: Picture | None = None
        num_read = 0
        while picture is None or (self._loop and num_read < num_frames):
            length_s = frame_time_s(num_frames - num_read)
            for picture in read_frames(self._path, 0.0, length_s, largest_side_px):
                num_read += 1
                yield crop_to_even(picture)
        for _ in range(num_frames - num_read):
            yield crop_to_even(picture)


class Region(NamedTuple):
    """A face's place in the picture."""

    centre: Float64[np.ndarray, "2"]
    """Pixels of the picture."""
    radius_px: float


class Territory(NamedTuple):
    """The part of a picture that belongs to one of its people: where their face is the nearest, in radii of each."""

    own: Region
    others: tuple[Region, ...]

    def share(self, box: tuple[int, int, int, int]) -> Float32[np.ndarray, "rows columns"]:
        """Returns how far each pixel of a box belongs to the person: 1, softly 0 where another face is nearer."""
        x0, y0, x1, y1 = box
        y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)

        def distance(region: Region) -> Float32[np.ndarray, "rows columns"]:
            offset = np.hypot(x - np.float32(region.centre[0]), y - np.float32(region.centre[1]))
            return offset / np.float32(region.radius_px)

        own, share = distance(self.own), np.ones_like(x)
        for other in self.others:
            share *= smoothstep(0.5 + (distance(other) - own) / _BORDER).astype(np.float32)
        return share


class HeadPaster:
    """Pastes crops at their place in the photograph, with a soft seam and the colours of the photograph."""

    def __init__(self, source: SourceCrop, side_px: int, own: Square, territory: Territory | None = None) -> None:
        """Prepares the mask and the colour offset, which are the same for all frames, so that nothing flickers.

        Args:
            source: The photograph and the place of the crop in it.
            side_px: Side of the crop.
            own: The crop as the talker renders it for the photograph's own content and pose. The median by which its
                colours differ from the photograph's along the seam is added to every crop.
            territory: The part of the picture that belongs to this person; None if nobody else in it moves. Without it
                the crop of whoever is pasted last would put a neighbour's head back to where the photograph shows it.
        """
        picture = crop_to_even(source.picture)
        self._to_picture = invert(source.transform)
        self._box = covered_box(self._to_picture, side_px, picture)
        self._mask = np.ascontiguousarray(self._warp(feather_mask(side_px)))
        x0, y0, x1, y1 = self._box
        seam = (self._mask > _SEAM[0]) & (self._mask < _SEAM[1])
        difference = picture[y0:y1, x0:x1][seam].astype(np.float32) - self._warp(own)[seam]
        offset = np.median(difference, axis=0) if seam.any() else np.zeros(3, np.float32)
        # The colour of each level with the offset, for each channel.
        levels = np.arange(256, dtype=np.float32)[:, None] + offset
        self._levels = np.rint(levels.clip(0, 255)).astype(np.uint8)[None]
        self._keeps_colours = bool((np.rint(offset) == 0).all())
        if territory is not None:
            self._mask *= territory.share(self._box)
        self._rest = 1 - self._mask

    def paste(self, crop: Square, target: Picture) -> Picture:
        """Returns a copy of the target frame with the crop in it; where the mask is 0 it equals the target exactly."""
        x0, y0, x1, y1 = self._box
        warped, frame = self._warp(crop), target.copy()
        place = frame[y0:y1, x0:x1]
        if not self._keeps_colours:
            cv2.LUT(warped, self._levels, warped)
        cv2.blendLinear(warped, place, self._mask, self._rest, place)
        return frame

    def _warp(self, crop: np.ndarray) -> Shaped[np.ndarray, "rows columns *channels"]:
        """Warps a crop, or its mask, into the box of the photograph that it covers; 0 outside the crop."""
        x0, y0, x1, y1 = self._box
        to_box = self._to_picture.copy()
        to_box[:, 2] -= (x0, y0)
        size = (x1 - x0, y1 - y0)
        return cv2.warpAffine(crop, to_box, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def open_paste_target(options: FilmOptions, identity: Identity, num_frames: int) -> PasteTarget | None:
    """Opens the photograph or video that the head is pasted into; None without `full_frame`.

    Raises:
        InputError: The video of the person is too short.
    """
    if not options.full_frame:
        return None
    assert identity.source_crop is not None
    picture = identity.source_crop.picture
    if is_still(options.identity) or count_pictures(options.identity, 0.0, None) < 2:
        return PhotographTarget(picture)
    video = VideoTarget(options.identity, max(picture.shape[:2]), loop=options.loop)
    video.check(num_frames)
    return video


def feather_mask(side_px: int) -> Float32[np.ndarray, "side side"]:
    """Returns the mask of a crop: 1 in the middle, smoothly 0 towards its edges, with round corners."""
    offset = np.abs((np.arange(side_px) + 0.5) / side_px - 0.5) * 2  # from the middle: 1 is the edge
    exponent = _SUPERELLIPSE_EXPONENT
    mask = np.empty((side_px, side_px), np.float32)
    for top in range(0, side_px, _STRIP_ROWS):
        rows = offset[top : top + _STRIP_ROWS]
        distance = (rows[:, None] ** exponent + offset[None, :] ** exponent) ** (1 / exponent)
        mask[top : top + _STRIP_ROWS] = smoothstep((1 - 2 * _UNUSED_EDGE - distance) / (2 * _FEATHER))
    return mask


def crop_to_even(picture: Picture) -> UInt8[np.ndarray, "rows columns 3"]:
    """Cuts off an odd last row or column, which H.264 with 4:2:0 colour cannot store."""
    height, width = picture.shape[:2]
    return np.ascontiguousarray(picture[: height - height % 2, : width - width % 2])
