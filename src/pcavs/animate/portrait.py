"""Finds the face to animate: in a photograph, or in the first frame of a video that shows it well."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pcavs.errors import FaceError
from pcavs.face.choice import Largest, Others
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import TrackPolicy, box_of, track_picture
from pcavs.face.usable import NoFaceError, check_face
from pcavs.media.image import read_picture
from pcavs.media.still import is_still
from pcavs.media.timeline import frame_time_s
from pcavs.media.video import read_frames
from pcavs.types import Box, Mesh, Picture

_SEARCHED_S: Final = 20.0
"""Part of a video that is searched for a face. Tuned by hand."""
_STEP_FRAMES: Final = 5
"""Frames from one that is searched to the next."""
_MAX_REFUSED: Final = 5
"""Places in a picture that are no face after which the search ends."""
_BRIGHTENING: Final = 1.03
"""Factor of a face's brightness in `_STEP_FRAMES` from which on the picture still fades in. Tuned by hand."""


class Portrait(NamedTuple):
    """A picture and the face in it."""

    picture: Picture
    mesh: Mesh
    """Pixels of the picture."""
    notes: tuple[str, ...]
    """Messages for the user, one line each."""


def find_portrait(path: Path, landmarker: FaceLandmarker, policy: TrackPolicy, max_side_px: int) -> Portrait:
    """Reads a photograph or a video, and finds the face to animate.

    Of a video the first frame is taken that shows a face; if it comes later than the first frame, the one in which the
    face has stopped becoming brighter.

    Args:
        path: The photograph or video.
        landmarker: The face networks.
        policy: Which face is chosen.
        max_side_px: Longer side to which pictures are reduced.

    Raises:
        FaceError: There is no face, or one that cannot be animated.
        InputError: The file cannot be read.
    """
    if is_still(path):
        return _portrait_of(read_picture(path, max_side_px), path.name, landmarker, policy)
    frames = _every(_STEP_FRAMES, path, max_side_px)
    failed: FaceError | None = None
    for number, frame in frames:
        try:
            first = _portrait_of(frame, path.name, landmarker, policy)
        except FaceError as error:
            failed = failed or error
            continue
        return first if number == 0 else _brightest(first, number, frames, (path.name, landmarker, policy))
    assert failed is not None
    raise FaceError(f"{failed} (of the first {_SEARCHED_S:g} s of a video)")


def _portrait_of(picture: Picture, name: str, landmarker: FaceLandmarker, policy: TrackPolicy) -> Portrait:
    """Finds the face of a picture; if the largest is none, as a cat's eye, the next is taken and noted."""
    refused: list[Box] = []
    failed: NoFaceError | None = None
    while True:
        others = policy if failed is None else dataclasses.replace(policy, choice=Others(policy.choice, refused))
        try:
            track = track_picture(picture, landmarker, name, others)
        except FaceError as error:
            raise (failed or error) from None
        mesh = track.meshes[0]
        try:
            notes = check_face(picture, mesh, landmarker, name)
        except NoFaceError as error:
            failed = failed or error
            refused.append(box_of(mesh))
            if not isinstance(policy.choice, Largest) or len(refused) > _MAX_REFUSED:
                raise failed from None
            continue
        if refused:
            notes = [f"what looks like the largest face in {name} is none; the next is taken", *notes]
        return Portrait(picture, mesh, (*track.notes, *notes))


def _brightest(
    first: Portrait, number: int, frames: Iterator[tuple[int, Picture]], given: tuple[str, FaceLandmarker, TrackPolicy]
) -> Portrait:
    """Follows a picture that fades in until the face does not become brighter; notes which frame is taken."""
    best, best_number = first, number
    for later, frame in frames:
        try:
            candidate = _portrait_of(frame, *given)
        except FaceError:
            break
        if _brightness(candidate) < _BRIGHTENING * _brightness(best):
            break
        best, best_number = candidate, later
    note = f"{given[0]} shows no face at its beginning; the frame at {frame_time_s(best_number):.2f} s is taken"
    return best._replace(notes=(*best.notes, note))


def _brightness(portrait: Portrait) -> float:
    x0, y0, x1, y1 = np.rint(box_of(portrait.mesh)).astype(int).clip(0)
    return float(portrait.picture[y0 : y1 + 1, x0 : x1 + 1].mean())


def _every(step: int, path: Path, max_side_px: int) -> Iterator[tuple[int, Picture]]:
    """Yields each `step`-th frame of the searched part of a video, with its number."""
    for number, frame in enumerate(read_frames(path, 0.0, _SEARCHED_S, max_side_px)):
        if number % step == 0:
            yield number, frame
