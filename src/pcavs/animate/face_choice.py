"""Resolves `--face` and `--pose-face` into a rule that picks one of several faces."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from pcavs.animate.identity import FaceReader
from pcavs.errors import InputError
from pcavs.face.align import clip_transform, crop_picture
from pcavs.face.choice import FaceChoice, MostSimilar, parse_choice
from pcavs.face.landmarker import Detection, Region
from pcavs.face.track import track_picture
from pcavs.media.image import read_picture
from pcavs.media.names import path_exists
from pcavs.types import Mesh, Picture

_MIN_NORM: Final = 1e-12
"""Smallest norm that an identity vector is divided by; it keeps a division from 0."""


def read_choice(words: str, reader: FaceReader) -> FaceChoice:
    """Resolves a choice of face.

    Args:
        words: `largest`, `left`, `right`, a number counted from the left (0 is the first), or the path of a picture of
            the person.
        reader: Networks with which faces are found and compared with the picture of the person.

    Raises:
        InputError: The text is none of these, or the picture cannot be read.
        FaceError: The picture shows no face.
    """
    choice = named_choice(words)
    return MostSimilar(_similarity_to(choice, reader)) if isinstance(choice, Path) else choice


def named_choice(words: str) -> FaceChoice | Path:
    """Resolves a choice of face, without reading the picture that it may be.

    Raises:
        InputError: The text is none of what `read_choice` takes, or there is no such picture.
    """
    choice = parse_choice(words)
    if choice is not None:
        return choice
    reference = Path(words)
    if not path_exists(reference) or not reference.is_file():
        raise InputError(f"a face of {words} cannot be chosen; give largest, left, right, a number, or a picture")
    return reference


def _similarity_to(reference: Path, reader: FaceReader) -> Callable[[Picture, Detection], float]:
    """Returns a function that compares a detected face with a picture: the cosine of the talker's identity vectors."""
    picture = read_picture(reference)
    track = track_picture(picture, reader.landmarker, reference.name, reader.timing.policy)
    reference_vector = _identity_vector(picture, track.meshes[0], reader)

    def similarity(picture: Picture, face: Detection) -> float:
        landmarks = reader.landmarker.locate(picture, Region.of_detection(face))  # refined by a second pass
        landmarks = reader.landmarker.locate(picture, Region.of_mesh(landmarks.mesh))
        return float(_identity_vector(picture, landmarks.mesh, reader) @ reference_vector)

    return similarity


def _identity_vector(picture: Picture, mesh: Mesh, reader: FaceReader) -> np.ndarray:
    """Returns the identity vector of a face, of length 1."""
    spec = reader.runtime.spec
    side_px = spec.sizes.frame_px
    crop = crop_picture(picture, clip_transform(mesh[None], spec.crop, side_px), side_px)
    vector = reader.runtime.encode_identity(crop).vector.astype(np.float64)
    return vector / max(float(np.linalg.norm(vector)), _MIN_NORM)
