"""Keeps compiled networks in the user's cache folder, so that the next process need not compile them.

A file holds one network as it was compiled for one processor, with one version of OpenVINO and certain settings, all of
which its name is a digest of. It begins with a digest of what follows: a file that is damaged, or that another process
has not written completely, is compiled anew. Where the folder cannot be written, nothing is kept, and nothing is said.
"""

import contextlib
import functools
import hashlib
import io
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from pcavs.vino import ov

_MAX_FILES: Final = 40
"""Files that are kept, with 2 MB each on average; the default talker has nine. Those used longest ago are removed."""
_ENDING: Final = ".network"
_FORMAT: Final = 1
"""Version of the files' layout."""


def compile_network(files: Sequence[Path], read: Callable[[], ov.Model], settings: dict[str, str]) -> ov.CompiledModel:
    """Compiles a network for the processor, or loads it as it was compiled before.

    Args:
        files: All files that the network is read from; their contents tell whether it is another one.
        read: Reads the network, if it has to be compiled.
        settings: Those to compile it with (`cpu_settings`).
    """
    place = _place(files, settings)
    blob = None if place is None else _load(place)
    if blob is not None:
        # OpenVINO refuses what it cannot use, such as networks of another build with the same version.
        with contextlib.suppress(RuntimeError):
            return ov.Core().import_model(blob, "CPU", settings)
    compiled = ov.Core().compile_model(read(), "CPU", settings)
    if place is not None:
        _keep(place, compiled)
    return compiled


def cache_folder() -> Path | None:
    """Returns the folder of compiled networks: `XDG_CACHE_HOME`, or the system's usual one; None if there is none.

    It need not exist. `PCAVS_CACHE` names another folder; if it is empty, nothing is kept.
    """
    named = os.environ.get("PCAVS_CACHE")
    if named is not None:
        return Path(named) if named else None
    try:
        home = Path.home()
    except RuntimeError:
        return None
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "pcavs"


def _place(files: Sequence[Path], settings: dict[str, str]) -> Path | None:
    """Returns the path of a compiled network; None if nothing can be kept."""
    folder = cache_folder()
    if folder is None:
        return None
    digest = hashlib.sha256(repr((_FORMAT, *_processor(), sorted(settings.items()))).encode())
    try:
        for file in files:
            with file.open("rb") as opened:
                digest.update(hashlib.file_digest(opened, "sha256").digest())
    except OSError:
        return None  # reading the network says what is wrong
    return folder / f"{digest.hexdigest()[:32]}{_ENDING}"


@functools.cache
def _processor() -> tuple[str, ...]:
    """Returns what else compiled networks depend on: OpenVINO's version, and the processor."""
    core = ov.Core()
    capabilities = sorted(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    return (ov.__version__, str(core.get_property("CPU", "FULL_DEVICE_NAME")), *capabilities)


def _load(place: Path) -> bytes | None:
    """Reads a compiled network; None if there is none, or it is damaged."""
    try:
        content = place.read_bytes()
    except OSError:
        return None
    size = hashlib.sha256().digest_size
    digest, blob = content[:size], content[size:]
    if not blob or hashlib.sha256(blob).digest() != digest:
        return None
    with contextlib.suppress(OSError):
        os.utime(place)  # was used now
    return blob


def _keep(place: Path, compiled: ov.CompiledModel) -> None:
    """Writes a compiled network, if that is possible; of several processes each writes a complete file."""
    part = None
    try:
        stream = io.BytesIO()
        compiled.export_model(stream)
        blob = stream.getvalue()
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place.parent, suffix=".part", delete=False) as file:
            part = Path(file.name)
            file.write(hashlib.sha256(blob).digest() + blob)
        part.replace(place)
        _forget(place.parent)
    except (OSError, RuntimeError):
        if part is not None:
            with contextlib.suppress(OSError):
                part.unlink()


def _forget(folder: Path) -> None:
    """Removes what was used longest ago."""
    kept = sorted(folder.glob(f"*{_ENDING}"), key=lambda file: file.stat().st_mtime, reverse=True)
    for file in kept[_MAX_FILES:]:
        file.unlink(missing_ok=True)
