"""Writes files so that they appear complete or not at all (JSON, text, safetensors), and encodes WAV."""

import contextlib
import errno
import io
import json
import os
import wave
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float, Int16
from safetensors import SafetensorError
from safetensors.numpy import save_file

from pcavs.errors import OutputError
from pcavs.spec import SAMPLE_RATE_HZ

_INT16_FULL_SCALE: Final = 32767
"""Sample value of 16-bit PCM that stands for 1.0."""


def path_exists(path: Path) -> bool:
    """Tells whether a file or folder exists; False also for names that no file can have, such as too long ones."""
    try:
        return path.exists()
    except OSError:
        return False


def output_error(path: Path, error: Exception) -> OutputError:
    """Words the failure to write a file as one line, with the reason that the system gave and what to do.

    Args:
        path: The file that the user asked for, not the temporary one.
        error: An `OSError`, or an error of a library that writes files (PyAV, safetensors).
    """
    reason = getattr(error, "strerror", None) or error
    disk_full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
    return OutputError(
        f"{path} cannot be written ({reason}); {'free some space' if disk_full else 'choose another place'}"
    )


@contextlib.contextmanager
def atomic_file(path: Path, *, overwrite: bool = True) -> Generator[Path]:
    """Yields a temporary path beside `path`; renames it to `path` when the block ends, removes it if the block fails.

    The temporary name ends in the process id and `.part`, so two processes may write the same file. The data are
    flushed to disk before the file is renamed.

    Args:
        path: The file to write.
        overwrite: Replace the file if it exists.

    Raises:
        OutputError: The file exists and must not be replaced, or it cannot be written.
    """
    if not overwrite and path_exists(path):
        raise OutputError(f"{path} exists already; choose another name or add --overwrite")
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, SafetensorError) as error:
        raise output_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # it was renamed or never created, or its folder does not exist
            part.unlink()


def write_text(path: Path, text: str, *, overwrite: bool = True) -> None:
    """Writes a UTF-8 text file atomically (`atomic_file`).

    Raises:
        OutputError: The file exists and must not be replaced, or it cannot be written.
    """
    with atomic_file(path, overwrite=overwrite) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, *, overwrite: bool = True) -> None:
    """Writes a value as indented JSON, atomically.

    Raises:
        OutputError: The file exists and must not be replaced, or it cannot be written.
    """
    write_text(path, json.dumps(value, indent=1) + "\n", overwrite=overwrite)


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Writes a safetensors file atomically; creates missing folders and replaces an existing file.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(path, error) from error
    with atomic_file(path) as part:
        save_file({name: np.asarray(value, order="C") for name, value in tensors.items()}, part, metadata=metadata)


def write_wav(
    target: Path | io.BufferedIOBase,
    samples: Float[np.ndarray, " samples"] | Int16[np.ndarray, " samples"],
    rate_hz: int = SAMPLE_RATE_HZ,
) -> None:
    """Writes mono 16-bit PCM.

    Args:
        target: A path, or a binary file that is open for writing.
        samples: Floats in [-1, 1], which are clipped and rounded to 16 bits; or 16-bit samples, written as they are.
        rate_hz: Sampling rate.
    """
    if not np.issubdtype(samples.dtype, np.integer):
        full_scale = _INT16_FULL_SCALE
        samples = np.clip(np.round(samples * full_scale), -full_scale - 1, full_scale).astype(np.int16)
    place: Any = str(target) if isinstance(target, Path) else target  # the stubs of `wave` know IO[bytes] only
    with wave.open(place, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())


def wav_bytes(samples: Float[np.ndarray, " samples"], rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    """Encodes samples as a mono 16-bit WAV file in memory, as `write_wav` does."""
    data = io.BytesIO()
    write_wav(data, samples, rate_hz)
    return data.getvalue()
