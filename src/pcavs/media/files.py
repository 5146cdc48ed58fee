"""Writes files whole or not at all, and WAV files."""

import contextlib
import io
import json
import os
import wave
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int16
from safetensors import SafetensorError
from safetensors.numpy import save_file

from pcavs.errors import OutputError
from pcavs.spec import SAMPLE_RATE_HZ

_INT16_FULL_SCALE = 32767


@contextlib.contextmanager
def atomic_file(path: Path, *, overwrite: bool = True) -> Generator[Path]:
    """Yields a temporary path beside `path` that takes its name when the block ends, and is removed if it fails.

    The process number is part of the temporary name, so that two processes may write the same file. The data reach the
    disk before the file is renamed.

    Args:
        path: The file to write.
        overwrite: Replaces a file that exists.

    Raises:
        OutputError: The file exists and must not be replaced, or it cannot be written.
    """
    if not overwrite and path.exists():
        raise OutputError(f"{path} exists already; choose another name or add --overwrite")
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OutputError(f"{path} cannot be written ({reason}); choose another place") from error
    finally:
        with contextlib.suppress(OSError):  # renamed, never created, or in a folder that does not exist
            part.unlink()


def write_text(path: Path, text: str, *, overwrite: bool = True) -> None:
    """Writes a UTF-8 text file whole or not at all.

    Raises:
        OutputError: The file exists and must not be replaced, or it cannot be written.
    """
    with atomic_file(path, overwrite=overwrite) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, *, overwrite: bool = True) -> None:
    """Writes a value as indented JSON, whole or not at all.

    Raises:
        OutputError: The file exists and must not be replaced, or it cannot be written.
    """
    write_text(path, json.dumps(value, indent=1) + "\n", overwrite=overwrite)


def write_tensors(path: Path, tensors: Mapping[str, np.ndarray], metadata: dict[str, str]) -> None:
    """Writes a safetensors file whole or not at all; missing folders are created.

    Raises:
        OutputError: It cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); choose another place") from error
    with atomic_file(path) as part:
        save_file({name: np.asarray(value, order="C") for name, value in tensors.items()}, part, metadata=metadata)


def write_wav(
    target: Path | io.BufferedIOBase,
    samples: Float[np.ndarray, " samples"] | Int16[np.ndarray, " samples"],
    rate_hz: int = SAMPLE_RATE_HZ,
) -> None:
    """Writes mono 16-bit PCM.

    Args:
        target: A path, or an open binary file.
        samples: In [-1, 1], clipped beyond and rounded to the nearest level; or 16-bit levels.
        rate_hz: Sampling rate.
    """
    if not np.issubdtype(samples.dtype, np.integer):
        full_scale = _INT16_FULL_SCALE
        samples = np.clip(np.round(samples * full_scale), -full_scale - 1, full_scale).astype(np.int16)
    place: Any = str(target) if isinstance(target, Path) else target  # `wave` accepts either; its types say IO[bytes]
    with wave.open(place, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())


def wav_bytes(samples: Float[np.ndarray, " samples"], rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    """Encodes samples as a mono 16-bit WAV file in memory (`write_wav`)."""
    data = io.BytesIO()
    write_wav(data, samples, rate_hz)
    return data.getvalue()
