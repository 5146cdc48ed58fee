"""Whom a user means: the words after `--face`."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from pcavs.animate.identity import FaceReader
from pcavs.errors import InputError
from pcavs.face.align import clip_transform, crop_picture
from pcavs.face.choice import ByPosition, FaceChoice, Largest, MostSimilar
from pcavs.face.landmarker import Detection, Region
from pcavs.face.track import track_picture
from pcavs.media.files import path_exists
from pcavs.media.image import read_picture
from pcavs.types import Mesh, Picture

_MOST_FACES = 100


def read_choice(words: str, reader: FaceReader) -> FaceChoice:
    """Reads `largest`, `left`, `right`, a number from the left, or the name of a picture of the person.

    Raises:
        InputError: It is none of these.
        FaceError: The picture shows no face.
    """
    if words == "largest":
        return Largest()
    if words in ("left", "right"):
        return ByPosition(0 if words == "left" else -1)
    if words.isdecimal() and len(words) < 4:
        if int(words) >= _MOST_FACES:
            raise InputError(f"a face of {words} cannot be chosen; give 0 to {_MOST_FACES - 1}, counted from the left")
        return ByPosition(int(words))
    reference = Path(words)
    if not path_exists(reference) or not reference.is_file():
        raise InputError(f"a face of {words} cannot be chosen; give largest, left, right, a number, or a picture")
    return MostSimilar(_likeness(reference, reader))


def _likeness(reference: Path, reader: FaceReader) -> Callable[[Picture, Detection], float]:
    """Cosine between identity codes: the talker's own encoder tells people apart."""
    picture = read_picture(reference)
    track = track_picture(picture, reader.landmarker, reference.name, reader.timing.policy)
    wanted = _vector(picture, track.meshes[0], reader)

    def likeness(picture: Picture, face: Detection) -> float:
        landmarks = reader.landmarker.locate(picture, Region.of_detection(face))
        landmarks = reader.landmarker.locate(picture, Region.of_mesh(landmarks.mesh))
        return float(_vector(picture, landmarks.mesh, reader) @ wanted)

    return likeness


def _vector(picture: Picture, mesh: Mesh, reader: FaceReader) -> np.ndarray:
    spec = reader.runtime.spec
    side_px = spec.sizes.frame_px
    crop = crop_picture(picture, clip_transform(mesh[None], spec.crop, side_px), side_px)
    vector = reader.runtime.encode_identity(crop).vector.astype(np.float64)
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
