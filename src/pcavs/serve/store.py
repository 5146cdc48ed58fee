"""The files of the service in one folder: uploads, films, and what is being written."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from pcavs.errors import OutputError
from pcavs.media.files import temporary_place

_FOLDERS: Final = ("uploads", "films", "work")
"""Folders of the store. A film is written in `work` and renamed into `films` when its job is done."""


@runtime_checkable
class Store(Protocol):
    """Keeps files by name. A name is `FOLDER/ID.ENDING`; users never choose any part of it."""

    work: Path
    """Local folder of unfinished files."""

    def publish(self, part: Path, key: str) -> None:
        """Moves a finished local file to its name, replacing what has it."""
        ...

    def path(self, key: str) -> Path:
        """Returns a local path of a file, which need not exist."""
        ...

    def bring(self, key: str, target: Path) -> None:
        """Makes a file available under a local name that the caller may remove."""
        ...

    def remove(self, key: str) -> None:
        """Removes a file, if there is one."""
        ...


class FolderStore:
    """Keeps files in a folder, which all machines of the service can reach."""

    def __init__(self, root: Path) -> None:
        """Makes missing folders, which other users of the system cannot read.

        Raises:
            OutputError: The folder cannot be made.
        """
        self.root, self.work = root, root / "work"
        try:
            for name in _FOLDERS:
                (root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{root} cannot be made ({error.strerror}); give another --data") from error

    def new_part(self) -> Path:
        """Returns a new name in the work folder."""
        return temporary_place(self.work / "upload")

    def publish(self, part: Path, key: str) -> None:
        """Moves a finished file to its name; it is on disk before it has the name."""
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        part.replace(self.path(key))

    def path(self, key: str) -> Path:
        """Returns the path of a file, which need not exist."""
        return self.root / key

    def bring(self, key: str, target: Path) -> None:
        """Links a file to a name in the same folder tree, or copies it where there are no links."""
        try:
            os.link(self.path(key), target)
        except FileNotFoundError:
            raise
        except OSError:
            shutil.copyfile(self.path(key), target)

    def remove(self, key: str) -> None:
        """Removes a file, if there is one."""
        self.path(key).unlink(missing_ok=True)

    def free_bytes(self) -> int:
        """Returns the free space of the disk."""
        return shutil.disk_usage(self.root).free

    def sweep(self, known: set[str], older_than_s: float) -> int:
        """Removes files that no record names, which a killed process left; returns their number."""
        removed = 0
        for path in self._leftovers(known, time.time() - older_than_s):
            with contextlib.suppress(OSError):
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
                removed += 1
        return removed

    def _leftovers(self, known: set[str], before_s: float) -> Iterator[Path]:
        for name in _FOLDERS:
            for path in (self.root / name).iterdir():
                with contextlib.suppress(OSError):
                    if f"{name}/{path.name}" not in known and path.stat().st_mtime < before_s:
                        yield path
