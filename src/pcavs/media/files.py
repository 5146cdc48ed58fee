"""Writes files so that they appear complete or not at all (JSON, text, safetensors), and encodes WAV."""

import contextlib
import errno
import io
import json
import os
import re
import secrets
import shutil
import stat
import wave
from collections.abc import Generator, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float, Int16
from safetensors import SafetensorError
from safetensors.numpy import save_file

from pcavs.errors import InputError, OutputError
from pcavs.media.names import path_exists
from pcavs.spec import SAMPLE_RATE_HZ

_INT16_FULL_SCALE: Final = 32767
"""Sample value of 16-bit PCM that stands for 1.0."""
_URL: Final = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)
"""Beginning of a URL; `Path` turns two slashes into one."""
_MAX_NAME_BYTES: Final = 255
"""Longest file name of usual file systems."""


def path_below(folder: Path, name: str, where: str, *, outside: bool = False) -> Path:
    """Returns the path of a file that another file names, such as a list or a timeline.

    Lists and timelines may come from others: they name no files outside of their folder unless the user allows it.

    Args:
        folder: Folder of the naming file, to which the name is relative.
        name: The name.
        where: The place of the name, for the message.
        outside: The path may leave the folder.

    Raises:
        InputError: It leaves the folder, also by a symbolic link, and must not.
    """
    path = folder / name
    try:
        is_below = path.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError, ValueError):  # no path at all; whoever opens it says so
        is_below = ".." not in Path(name).parts and not Path(name).is_absolute()
    if not (outside or is_below):
        raise InputError(f"{where}: {name} lies outside of the folder {folder}; move it there or add --outside")
    return path


def is_pipe(path: Path) -> bool:
    """Tells whether a path is a pipe or socket, whose bytes can be read once only."""
    mode = _mode(path)
    return mode is not None and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


def check_readable(path: Path) -> None:
    """Refuses what is no file and would block the reader or never end, and URLs.

    A file that does not exist is accepted; whoever opens it says so.

    Raises:
        InputError: It is a pipe, a device or a URL.
    """
    try:
        mode = _mode(path)
    except (OSError, ValueError):
        return
    if mode is None and _URL.match(str(path)):
        raise InputError(f"{path} is a URL, and nothing is downloaded; download it and give the file")
    if mode is not None and not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise InputError(f"{path} is a pipe or device, and is read more than once; save it as a file and give that")


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


def output_place(path: Path) -> Path:
    """Returns the file that writing to `path` creates or replaces; symbolic links are followed.

    Args:
        path: Where a result is to be written; the file need not exist, its folder must.

    Raises:
        OutputError: No file can be written there: it is a folder, a device, a pipe, or no name at all.
    """
    if "\0" in str(path):
        raise OutputError(f"{str(path)!r} is not a valid file name; choose another")
    if str(path) == "-":
        raise OutputError("- is no file, and results are not written to standard output; give a file name")
    try:
        mode = _mode(path)
        if mode is not None and stat.S_ISDIR(mode):
            raise OutputError(f"{path} is a folder; give a file name, such as {path / 'talk.mp4'}")
        if mode is not None and not stat.S_ISREG(mode):
            raise OutputError(f"{path} is a device or pipe, not a file; give a file name")
        place = path.resolve() if path.is_symlink() else path
        if not place.parent.is_dir():
            raise OutputError(f"{path} cannot be written: {place.parent} is not a folder; make it or choose another")
    except (OSError, RuntimeError) as error:  # RuntimeError: a symbolic link that points to itself
        raise output_error(path, error) from error
    return place


def _mode(path: Path) -> int | None:
    """Returns type and permissions of a file, None if there is none."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def refuse_replacing(outputs: Iterable[Path | None], inputs: Iterable[tuple[str, Path | None]]) -> None:
    """Refuses outputs that would replace an input or each other, however their paths are spelled.

    Files are compared by device and number, so links and other spellings of a name count as the same file.

    Args:
        outputs: Files that a command writes; None is left out.
        inputs: Files that it reads, each with what it is, such as "the driving audio"; None is left out.

    Raises:
        OutputError: An output is an input, or another output.
    """
    taken: dict[tuple[int, int] | Path, str] = {}
    for name, path in inputs:
        if path is not None:
            taken.setdefault(_identity(path), name)
    for path in outputs:
        if path is None:
            continue
        found = taken.get(_identity(path))
        if found is not None:
            raise OutputError(f"{path} is {found} itself; choose another name")
        taken[_identity(path)] = "another output"


def _identity(path: Path) -> tuple[int, int] | Path:
    """Returns what two paths of one file have in common: device and number, or the full path if there is no file."""
    try:
        facts = path.stat()
    except (OSError, ValueError):
        return _absolute(path)
    return facts.st_dev, facts.st_ino


def _absolute(path: Path) -> Path:
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError):
        return path


@contextlib.contextmanager
def atomic_file(path: Path, *, overwrite: bool = True) -> Generator[Path]:
    """Yields a temporary path beside `path`; renames it to `path` when the block ends, removes it if the block fails.

    The temporary name is used by this call only, and ends in `.part`: of two runs that write the same file, each leaves
    a complete one, and the last to finish wins. With `overwrite` off, the second to finish is refused. The data are
    flushed to disk before the file is renamed. A symbolic link stays, and the file that it points to is replaced.

    Args:
        path: The file to write.
        overwrite: Replace the file if it exists.

    Raises:
        OutputError: The file exists and must not be replaced, or it cannot be written.
    """
    place = output_place(path)
    if not overwrite and path_exists(place):
        raise OutputError(f"{path} exists already; choose another name or add --overwrite")
    part = temporary_place(place)
    try:
        yield part
        _flush(part)
        if overwrite:
            part.replace(place)
        else:
            _rename_new(part, place)
    except (OSError, SafetensorError) as error:
        raise output_error(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # it was renamed or never created, or its folder does not exist
            part.unlink()


@contextlib.contextmanager
def atomic_folder(path: Path) -> Generator[Path]:
    """Yields a new, empty folder beside `path`; it takes the place of `path` when the block ends.

    If the block fails, the new folder is removed and the old one stays.

    Args:
        path: The folder to write; missing parents are made.

    Raises:
        OutputError: It cannot be written.
    """
    place = path.resolve() if path.is_symlink() else path
    part, old = temporary_place(place), temporary_place(place)
    try:
        part.mkdir(parents=True)
        yield part
        if place.exists():
            place.replace(old)
        part.replace(place)
    except OSError as error:
        raise output_error(path, error) from error
    finally:
        if old.exists() and not place.exists():
            old.replace(place)
        for folder in (part, old):
            shutil.rmtree(folder, ignore_errors=True)


def temporary_place(path: Path) -> Path:
    """Returns a name beside `path` that no other process and no other call uses; it ends in `.part`."""
    ending = f".{os.getpid()}-{secrets.token_hex(4)}.part"
    name = path.name.encode()[: _MAX_NAME_BYTES - len(ending)].decode(errors="ignore")
    return path.with_name(name + ending)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _rename_new(part: Path, place: Path) -> None:
    """Renames a file, and fails if the new name exists, also if another process created it just now.

    Raises:
        OutputError: The new name exists.
    """
    try:
        os.link(part, place)
    except OSError as error:
        if place.exists():
            raise OutputError(
                f"{place} was written by another run in the meantime; choose another name or add --overwrite"
            ) from error
        part.replace(place)  # a file system without hard links


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
        part.touch()
        mode = part.stat().st_mode  # as the user's umask has it; the library makes files for their owner alone
        save_file({name: np.asarray(value, order="C") for name, value in tensors.items()}, part, metadata=metadata)
        part.chmod(mode)


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
    write_wav_blocks(target, [samples], rate_hz)


def write_wav_blocks(
    target: Path | io.BufferedIOBase,
    blocks: Iterable[Float[np.ndarray, " samples"] | Int16[np.ndarray, " samples"]],
    rate_hz: int = SAMPLE_RATE_HZ,
) -> None:
    """Writes consecutive blocks of samples as `write_wav` does; memory does not grow with their number."""
    place: Any = str(target) if isinstance(target, Path) else target  # the stubs of `wave` know IO[bytes] only
    with wave.open(place, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        for samples in blocks:
            if not np.issubdtype(samples.dtype, np.integer):
                full_scale = _INT16_FULL_SCALE
                samples = np.clip(np.round(samples * full_scale), -full_scale - 1, full_scale).astype(np.int16)
            file.writeframes(samples.astype("<i2").tobytes())


def wav_bytes(samples: Float[np.ndarray, " samples"], rate_hz: int = SAMPLE_RATE_HZ) -> bytes:
    """Encodes samples as a mono 16-bit WAV file in memory, as `write_wav` does."""
    data = io.BytesIO()
    write_wav(data, samples, rate_hz)
    return data.getvalue()
