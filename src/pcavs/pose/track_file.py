"""Head tracks as files: measured in a film once, used for any number of films."""

import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Bool

from pcavs.errors import InputError, OutputError
from pcavs.pose.track import HeadTrack
from pcavs.spec import FRAME_RATE

FORMAT: Final = "pcavs-track-1"
_MOST_FRAMES: Final = 24 * 3600 * FRAME_RATE
_LARGEST_ANGLE_DEG: Final = 180.0
_LARGEST_MOVE: Final = 10.0
_DAMAGE = (
    ValueError,
    KeyError,
    EOFError,
    TypeError,
    AttributeError,
    SyntaxError,
    OverflowError,
    MemoryError,
    RuntimeError,  # an entry that says it is encrypted, or packed in an unknown way
    struct.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy and zip say of a file that is no archive of arrays."""


def save_track(track: HeadTrack, found: Bool[np.ndarray, " time"], path: Path, *, overwrite: bool) -> None:
    """Writes a track, whole or not at all.

    Raises:
        OutputError: The file is there already, or cannot be written.
    """
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already; choose another name or ask to overwrite it")
    part = path.with_name(path.name + ".part")
    try:
        with part.open("wb") as file:
            np.savez_compressed(file, format=FORMAT, frame_rate=FRAME_RATE, head=track.astype(np.float32), found=found)
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise OutputError(f"{path} cannot be written ({error.strerror}); choose another place") from error


def load_track(path: Path) -> HeadTrack:
    """Reads a track.

    Raises:
        InputError: The file is missing, no track, or damaged.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            _check_sizes(path)
            if str(arrays["format"]) != FORMAT or int(arrays["frame_rate"]) != FRAME_RATE:
                raise InputError(f"{path} is of another format than {FORMAT}; make it with pcavs pose extract")
            head = np.asarray(arrays["head"], np.float64)
    except OSError as error:
        raise InputError(f"{path} cannot be opened ({error.strerror or error}); check the name") from error
    except _DAMAGE as error:
        raise InputError(f"{path} is no head track; make it with pcavs pose extract") from error
    limits = np.array([_LARGEST_ANGLE_DEG] * 3 + [_LARGEST_MOVE] * 3)
    if head.ndim != 2 or not len(head) or head.shape[1] != len(limits) or not (np.abs(head) <= limits).all():
        raise InputError(f"{path} holds no head track of six numbers a frame; make it with pcavs pose extract")
    return head


def _check_sizes(path: Path) -> None:
    """Refuses a small file that would unpack to gigabytes."""
    with zipfile.ZipFile(path) as archive:
        if sum(entry.file_size for entry in archive.infolist()) > 32 * _MOST_FRAMES:
            raise InputError(f"{path} holds more than a day of poses; make it with pcavs pose extract")
