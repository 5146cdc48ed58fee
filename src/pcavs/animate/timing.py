"""How a film is laid out in time and space: its frames, mel windows, pose order and crops.

`DefaultTiming` is this project's own; `PublishedTiming` repeats the published code's, defects included, for
`--compat published`. The choice is made once for each film, and no other code distinguishes the two. See
docs/decisions/0003.
"""

from collections.abc import Iterator
from itertools import repeat
from typing import Final, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float32

from pcavs.animate.options import Compat
from pcavs.errors import InputError
from pcavs.face.align import Square, clip_transform, crop_picture, published_crop, published_mesh_transforms
from pcavs.face.track import TrackPolicy
from pcavs.media.mel import count_mel_bins, padded_mel, published_mel
from pcavs.media.timeline import (
    MEL_LEAD_BINS,
    PUBLISHED_LEAD_FRAMES,
    bounce_index,
    count_frames,
    count_whole_windows,
    doubling_bounce_index,
)
from pcavs.pose.codes import PoseCodes
from pcavs.pose.measure import LARGEST_SIDE_PX
from pcavs.spec import CropSpec, MelSpec, TalkerSpec
from pcavs.types import CropTransform, Mel, Picture, Waveform

Meshes: TypeAlias = Float32[np.ndarray, "time 478 3"]
"""Landmarks of a face in consecutive frames, in pixels of the frames."""

_SMOOTHING_KERNEL: Final = np.array([1, 4, 6, 4, 1], np.float64) / 16
"""Binomial low-pass for pose codes. It keeps 97 % of a motion's size at 1 Hz and 88 % at 2 Hz, and halves white noise
(computed)."""
_PLACEMENT_S: Final = 60.0
"""Length of the part of a pose video whose mean landmarks place the crop: its track is held in memory. Tuned by hand;
not measured."""


@runtime_checkable
class Timing(Protocol):
    """The layout of a film."""

    offset: int
    """Frames by which the picture is ahead of its sound."""
    remark: str
    """What the film's metadata says about the layout; may be empty."""
    policy: TrackPolicy
    """How a face is followed through a video."""
    placement_s: float | None
    """Length, from its start, of the part of a pose video whose mean landmarks place the crop; None is all of it."""
    lead_bins: int
    """Silent mel bins in front of the speech. Frame k's window begins at bin 4 k of the mel with these bins."""
    largest_side_px: int | None
    """Larger side to which the frames of pose videos are reduced; None leaves them as they are."""

    def count_frames(self, num_samples: int, spec: MelSpec) -> int:
        """Returns the number of frames of a film whose speech has `num_samples` samples at 16 kHz."""
        ...

    def mel(self, waveform: Waveform, num_frames: int, spec: MelSpec) -> Mel:
        """Computes the mel spectrogram in which frame k's window begins at bin 4 k."""
        ...

    def count_poses(self, num_frames: int) -> int:
        """Returns the number of poses that a film of `num_frames` can use."""
        ...

    def pose_index(self, t: int, num_poses: int) -> int:
        """Returns the index of the pose that frame t takes; if poses are too few, they are used more than once."""
        ...

    def smooth(self, codes: PoseCodes) -> PoseCodes:
        """Smooths pose codes that were encoded frame by frame."""
        ...

    def crop_transforms(self, meshes: Meshes, crop: CropSpec, side_px: int) -> Iterator[CropTransform]:
        """Yields the crop transform of each frame of a clip.

        Args:
            meshes: Landmarks of the face in the clip's frames.
            crop: Template that the face is aligned with.
            side_px: Side of the crop.
        """
        ...

    def crop(self, picture: Picture, transform: CropTransform, side_px: int) -> Square:
        """Resamples the crop of one frame."""
        ...


def choose_timing(compat: Compat | None, spec: TalkerSpec) -> Timing:
    """Returns the timing for the setting `compat`.

    Raises:
        InputError: `compat` is set, and the talker is not a `paper` talker.
    """
    if compat is None:
        return DefaultTiming()
    if spec.kind != "paper":
        raise InputError(
            f"compat published is for paper talkers, and these weights hold a {spec.kind} talker; "
            "leave compat out, or give weights made of the published checkpoints"
        )
    return PublishedTiming()


class DefaultTiming:
    """One frame for each 40 ms of speech, in sync with it; one crop transform for each clip."""

    offset = 0
    remark = ""
    policy = TrackPolicy()
    placement_s: float | None = _PLACEMENT_S
    lead_bins = MEL_LEAD_BINS
    largest_side_px: int | None = LARGEST_SIDE_PX

    def count_frames(self, num_samples: int, spec: MelSpec) -> int:
        """Returns floor(25 x samples / 16000 + 1/2)."""
        return count_frames(num_samples)

    def mel(self, waveform: Waveform, num_frames: int, spec: MelSpec) -> Mel:
        """Pads the mel with silence, so that each frame's window is centred on the frame."""
        return padded_mel(waveform, num_frames, spec)

    def count_poses(self, num_frames: int) -> int:
        """Returns one pose for each frame."""
        return num_frames

    def pose_index(self, t: int, num_poses: int) -> int:
        """Plays the poses forwards and backwards without repeating the end frames."""
        return bounce_index(t, num_poses)

    def smooth(self, codes: PoseCodes) -> PoseCodes:
        """Low-passes the codes with a centred five-frame binomial kernel, so without lag; end frames are repeated."""
        radius = len(_SMOOTHING_KERNEL) // 2
        padded = np.pad(codes.astype(np.float64), ((radius, radius), (0, 0)), mode="edge")
        smooth = sum(weight * padded[shift : shift + len(codes)] for shift, weight in enumerate(_SMOOTHING_KERNEL))
        return np.asarray(smooth, np.float32)

    def crop_transforms(self, meshes: Meshes, crop: CropSpec, side_px: int) -> Iterator[CropTransform]:
        """Yields the same transform for every frame: the head's motion inside the crop is part of its pose."""
        return repeat(clip_transform(meshes, crop, side_px))

    def crop(self, picture: Picture, transform: CropTransform, side_px: int) -> Square:
        """Resamples bicubically, after area averaging if it shrinks the picture; repeats the picture's edge outside."""
        return crop_picture(picture, transform, side_px)


class PublishedTiming:
    """The published code's layout, defects included; docs/animate.md lists the differences."""

    offset = PUBLISHED_LEAD_FRAMES
    remark = "published timing and alignment"
    policy = TrackPolicy(smoothed=False)
    placement_s: float | None = None
    lead_bins = 0
    largest_side_px: int | None = None

    def count_frames(self, num_samples: int, spec: MelSpec) -> int:
        """Returns (ceil(samples / 160) + 7) // 4 - 4: the frames whose window lies inside the speech."""
        return count_whole_windows(count_mel_bins(num_samples, spec))

    def mel(self, waveform: Waveform, num_frames: int, spec: MelSpec) -> Mel:
        """Pads nothing: the first frame's window begins with the sound, so the picture is 80 ms ahead."""
        return published_mel(waveform, spec)

    def count_poses(self, num_frames: int) -> int:
        """Returns one pose for each frame, and the first two, which are skipped."""
        return num_frames + PUBLISHED_LEAD_FRAMES

    def pose_index(self, t: int, num_poses: int) -> int:
        """Plays the poses forwards and backwards from pose 2 on, with each end frame twice."""
        return doubling_bounce_index(t + PUBLISHED_LEAD_FRAMES, num_poses)

    def smooth(self, codes: PoseCodes) -> PoseCodes:
        """Returns the codes as they are."""
        return codes

    def crop_transforms(self, meshes: Meshes, crop: CropSpec, side_px: int) -> Iterator[CropTransform]:
        """Yields a transform that moves each frame's mouth to one place; the template is the published script's."""
        return iter(published_mesh_transforms(meshes))

    def crop(self, picture: Picture, transform: CropTransform, side_px: int) -> Square:
        """Resamples twice, bilinearly: the published crop, then the network's inner crop; outside is black."""
        return published_crop(picture, transform, side_px)
