"""How speech, head motion and pictures are laid out in time and space: the house's way, and the published code's.

Chosen once a film; nothing else asks which of the two it is.
"""

from collections.abc import Iterator
from itertools import repeat
from typing import Final, Protocol, runtime_checkable

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
from pcavs.spec import CropSpec, MelSpec, TalkerSpec
from pcavs.types import CropTransform, Mel, Picture, Waveform

Meshes = Float32[np.ndarray, "time 478 3"]

_SMOOTHING: Final = np.array([1, 4, 6, 4, 1], np.float64) / 16


@runtime_checkable
class Timing(Protocol):
    """Everything about a film that the published code did otherwise."""

    offset: int
    """Frames by which the picture is early."""
    remark: str
    """What the film's metadata says of it; empty where nothing need be said."""
    policy: TrackPolicy
    """How a face is followed."""
    place_s: float | None
    """How much of a pose source decides where the crop lies; None is all of it."""
    lead_bins: int
    """Silent bins of mel in front of the speech: frame k's window begins at bin 4 k."""
    largest_side_px: int | None
    """To which a pose source's frames are reduced; None leaves them."""

    def count_frames(self, num_samples: int, spec: MelSpec) -> int:
        """Counts the film's frames."""
        ...

    def mel(self, waveform: Waveform, num_frames: int, spec: MelSpec) -> Mel:
        """Makes the mel spectrogram in which frame k's window begins at bin 4 k."""
        ...

    def count_poses(self, num_frames: int) -> int:
        """Counts the frames of a pose source that a film can need."""
        ...

    def pose_index(self, t: int, num_poses: int) -> int:
        """Gives the pose that frame t takes."""
        ...

    def settle(self, codes: PoseCodes) -> PoseCodes:
        """Makes poses of what the encoder said of each frame."""
        ...

    def transforms(self, meshes: Meshes, crop: CropSpec, side_px: int) -> Iterator[CropTransform]:
        """Places the frames of a clip, one after the other."""
        ...

    def cut(self, picture: Picture, transform: CropTransform, side_px: int) -> Square:
        """Cuts a frame's crop."""
        ...


def choose_timing(compat: Compat | None, spec: TalkerSpec) -> Timing:
    """Gives the timing that a user asked for.

    Raises:
        InputError: The published code never had such a talker.
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
    """The house's way: a frame for each 40 ms of speech, on its sound, from one crop a clip."""

    offset = 0
    remark = ""
    policy = TrackPolicy()
    place_s: float | None = 60.0
    """The crop's place is that of the face over the first minute: longer films would need their whole track at once."""
    lead_bins = MEL_LEAD_BINS
    largest_side_px: int | None = 1280
    """A face need not be larger than the networks' crop."""

    def count_frames(self, num_samples: int, spec: MelSpec) -> int:
        """Counts floor(25 x samples / 16000 + 1/2) frames."""
        return count_frames(num_samples)

    def mel(self, waveform: Waveform, num_frames: int, spec: MelSpec) -> Mel:
        """Pads with silence, so that each frame's window is centred on it."""
        return padded_mel(waveform, num_frames, spec)

    def count_poses(self, num_frames: int) -> int:
        """Takes a pose a frame."""
        return num_frames

    def pose_index(self, t: int, num_poses: int) -> int:
        """Walks to and fro without a jump and without a halt."""
        return bounce_index(t, num_poses)

    def settle(self, codes: PoseCodes) -> PoseCodes:
        """Takes the encoder's frame-to-frame noise out with a five-frame binomial, which moves nothing in time.

        Motion keeps 97 % of its size at 1 Hz and 88 % at 2 Hz; white noise is halved. The ends are continued.
        """
        reach = len(_SMOOTHING) // 2
        padded = np.pad(codes.astype(np.float64), ((reach, reach), (0, 0)), mode="edge")
        smooth = sum(weight * padded[shift : shift + len(codes)] for shift, weight in enumerate(_SMOOTHING))
        return np.asarray(smooth, np.float32)

    def transforms(self, meshes: Meshes, crop: CropSpec, side_px: int) -> Iterator[CropTransform]:
        """Places every frame alike: what the head does inside the crop is its pose."""
        return repeat(clip_transform(meshes, crop, side_px))

    def cut(self, picture: Picture, transform: CropTransform, side_px: int) -> Square:
        """Cuts without flicker; outside of the picture its edge is repeated."""
        return crop_picture(picture, transform, side_px)


class PublishedTiming:
    """The published code's way, its defects included, for comparing with it (docs/animate.md lists all of them)."""

    offset = PUBLISHED_LEAD_FRAMES
    remark = "published timing and alignment"
    policy = TrackPolicy(smoothed=False)
    place_s: float | None = None
    lead_bins = 0
    largest_side_px: int | None = None

    def count_frames(self, num_samples: int, spec: MelSpec) -> int:
        """Counts (ceil(samples / 160) + 7) // 4 - 4 frames: those whose window lies inside the speech."""
        return count_whole_windows(count_mel_bins(num_samples, spec))

    def mel(self, waveform: Waveform, num_frames: int, spec: MelSpec) -> Mel:
        """Puts nothing in front: the first frame's window begins with the sound, so the picture leads by 80 ms."""
        return published_mel(waveform, spec)

    def count_poses(self, num_frames: int) -> int:
        """Takes a pose a frame, and the two that are passed over."""
        return num_frames + PUBLISHED_LEAD_FRAMES

    def pose_index(self, t: int, num_poses: int) -> int:
        """Walks to and fro with doubled ends, beginning at pose 2."""
        return doubling_bounce_index(t + PUBLISHED_LEAD_FRAMES, num_poses)

    def settle(self, codes: PoseCodes) -> PoseCodes:
        """Takes them as they are."""
        return codes

    def transforms(self, meshes: Meshes, crop: CropSpec, side_px: int) -> Iterator[CropTransform]:
        """Pins each frame's mouth; the template is the published script's, whatever the weights say."""
        return iter(published_mesh_transforms(meshes))

    def cut(self, picture: Picture, transform: CropTransform, side_px: int) -> Square:
        """Cuts twice, the second time hidden; outside of the picture is black."""
        return published_crop(picture, transform, side_px)
