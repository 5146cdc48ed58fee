"""Encodes what the mouth in each frame of a film shows, as content: the mouth source of `--mouth`.

Content is one space for heard and for seen speech, so a film can drive a mouth as a voice does. The motion encoder sees
crops that are aligned as those it was trained on; its content head encodes them.
"""

import itertools
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32

from pcavs.animate.encode_pose import batches
from pcavs.animate.identity import FaceReader
from pcavs.face.align import clip_transform, crop_picture
from pcavs.face.track import FaceFollower, TrackPolicy, fill_gaps
from pcavs.media.timeline import bounce_index, frame_time_s
from pcavs.media.video import count_pictures, read_frames
from pcavs.pose.measure import LARGEST_SIDE_PX
from pcavs.types import Mesh, Progress


class SeenMouth(NamedTuple):
    """What the mouth of a film shows."""

    contents: Float32[np.ndarray, "time content"]
    """Content of each frame of the new film; a film that is shorter is played backwards and forwards."""
    notes: tuple[str, ...]
    """Messages for the user, one line each."""


def encode_mouth(path: Path, num_frames: int, reader: FaceReader, progress: Progress) -> SeenMouth:
    """Encodes the mouth in each frame of a film. It is read twice: to place the crop, and to encode the frames.

    Frames without a face take the content of the nearest one before.

    Args:
        path: The film.
        num_frames: Length of the new film.
        reader: Reads faces; its policy chooses one.
        progress: Called while frames are read.

    Raises:
        FaceError: No frame shows a face.
        InputError: The film cannot be read.
    """
    spec, end_s = reader.runtime.spec, frame_time_s(num_frames)
    total = 2 * count_pictures(path, 0.0, end_s)
    follower = FaceFollower(reader.landmarker, reader.policy or TrackPolicy(), path.name)
    meshes: list[Mesh | None] = []
    for frame in read_frames(path, 0.0, end_s, LARGEST_SIDE_PX):
        meshes.append(follower.step(frame))
        progress("reading the mouth", len(meshes), total)
    follower.check_found()
    transform = clip_transform(fill_gaps(meshes, held=True), spec.crop, spec.sizes.frame_px)
    crops = (
        crop_picture(frame, transform, spec.sizes.frame_px)
        for frame in itertools.islice(read_frames(path, 0.0, end_s, LARGEST_SIDE_PX), len(meshes))
    )
    encoded = np.concatenate([reader.runtime.encode_lips(np.stack(batch)) for batch in batches(crops)])
    found = np.array([mesh is not None for mesh in meshes])
    shown = np.maximum.accumulate(np.where(found, np.arange(len(found)), int(found.argmax())))
    notes = [*follower.notes]
    if not found.all():
        notes.append(f"the face in {path.name} was not found in {(~found).sum()} of {len(found)} frames: held")
    index = [bounce_index(t, len(encoded)) for t in range(num_frames)]
    return SeenMouth(encoded[shown][index], tuple(notes))
