"""What one process of `pcavs prepare` does: a clip, or the reason why not; never a stop."""

import functools

from pcavs.data.shard import AlignedClip
from pcavs.errors import InputError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.prepare.clip import Source, prepare_clip
from pcavs.prepare.options import PrepareOptions


def try_clip(source: Source, options: PrepareOptions) -> AlignedClip | str:
    """Prepares one clip, or says for the ledger why it was rejected."""
    try:
        return prepare_clip(source, options, _landmarker())
    except InputError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - one odd file in a hundred thousand must not end a night's work
        return f"fault: {type(error).__name__}: {' '.join(str(error).split())}"


@functools.cache
def _landmarker() -> FaceLandmarker:
    return FaceLandmarker(threads=1)
