"""The files of the service: uploads, films, and what is being written, in one folder or in an object store."""

import contextlib
import os
import shutil
import time
from collections.abc import Generator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable
from urllib.parse import urlsplit

from pcavs.errors import OutputError, install_hint
from pcavs.media.files import temporary_place

_KEPT: Final = ("uploads", "films")
"""Folders of finished files."""
_CACHE: Final = "cache-"
"""Beginning of the local copy of an object's name."""
_PROBE: Final = "uploads/probe"
"""Object that is written and removed to see whether the store can be used."""


@runtime_checkable
class Store(Protocol):
    """Keeps files by name. A name is `FOLDER/ID.ENDING`; users never choose any part of it."""

    work: Path
    """Local folder of unfinished files."""

    def new_part(self) -> Path:
        """Returns a new name in the work folder."""
        ...

    def stage(self, part: Path, key: str) -> None:
        """Does all of `publish` that may take long; nobody knows the name yet."""
        ...

    def publish(self, part: Path, key: str) -> None:
        """Gives a staged file its name; the part may be gone afterwards."""
        ...

    def local(self, key: str) -> Path:
        """Returns a local file with the content of a file; the caller does not change it.

        Raises:
            FileNotFoundError: There is no such file.
        """
        ...

    def bring(self, key: str, target: Path) -> None:
        """Makes a file available under a local name that the caller may remove.

        Raises:
            FileNotFoundError: There is no such file.
        """
        ...

    def remove(self, key: str) -> None:
        """Removes a file, if there is one."""
        ...

    def free_bytes(self) -> int:
        """Returns the free space of the local disk."""
        ...

    def sweep(self, known: set[str], older_than_s: float) -> int:
        """Removes files that no record names, which a killed process left; returns their number."""
        ...


def open_store(url: str | None, root: Path) -> Store:
    """Opens the store of a service.

    Args:
        url: Address of an object store, such as s3://bucket/pcavs; None keeps all files in the folder.
        root: Local folder.

    Raises:
        OutputError: The folder cannot be made, or the object store cannot be used.
    """
    return FolderStore(root) if url is None else ObjectStore(url, root)


class _Work:
    """A local folder of unfinished files."""

    def __init__(self, root: Path, names: tuple[str, ...]) -> None:
        """Makes missing folders, which other users of the system cannot read."""
        self.root, self.work, self._names = root, root / "work", names
        try:
            for name in names:
                (root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"{root} cannot be made ({error.strerror}); give another --data") from error

    def new_part(self) -> Path:
        """Returns a new name in the work folder."""
        return temporary_place(self.work / "upload")

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
        for name in self._names:
            for path in (self.root / name).iterdir():
                with contextlib.suppress(OSError):
                    if f"{name}/{path.name}" not in known and path.stat().st_mtime < before_s:
                        yield path


class FolderStore(_Work):
    """Keeps files in a folder, which all machines of the service can reach."""

    def __init__(self, root: Path) -> None:
        """Makes missing folders.

        Raises:
            OutputError: The folder cannot be made.
        """
        super().__init__(root, (*_KEPT, "work"))

    def stage(self, part: Path, key: str) -> None:
        """Writes a finished file to the disk."""
        with part.open("rb+") as file:
            os.fsync(file.fileno())

    def publish(self, part: Path, key: str) -> None:
        """Moves a finished file to its name, replacing what has it."""
        part.replace(self.path(key))

    def local(self, key: str) -> Path:
        """Returns the path of a file.

        Raises:
            FileNotFoundError: There is none.
        """
        path = self.path(key)
        if not path.is_file():
            raise FileNotFoundError(path)
        return path

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


class ObjectStore(_Work):
    """Keeps files in an object store that fsspec reaches (S3 and others); only unfinished ones are local.

    An object is written whole or not at all, and keeps its name. What is downloaded stays in the work folder, until it
    has not been asked for some hours.
    """

    def __init__(self, url: str, root: Path) -> None:
        """Opens the store and tries it out.

        Raises:
            OutputError: The store cannot be used.
        """
        super().__init__(root, ("work",))
        place = urlsplit(url)
        shown = f"{place.scheme}://{place.hostname or ''}{place.path}"  # without a password
        try:
            import fsspec

            self._objects, self._prefix = fsspec.core.url_to_fs(url, use_listings_cache=False)
            if "file" in self._objects.protocol:
                for name in _KEPT:
                    self._objects.makedirs(f"{self._prefix}/{name}", exist_ok=True)
            with _plain_errors():
                self._objects.pipe_file(self._name(_PROBE), b"")
                self._objects.rm_file(self._name(_PROBE))
        except ImportError as error:
            raise OutputError(f"{shown} needs a package ({error}); run {install_hint('serve-s3')}") from error
        except (OSError, ValueError) as error:
            raise OutputError(f"{shown} cannot be written ({error}); check its name and your credentials") from error

    def stage(self, part: Path, key: str) -> None:
        """Sends a finished file."""
        with _plain_errors():
            self._objects.put_file(str(part), self._name(key))

    def publish(self, part: Path, key: str) -> None:
        """Does nothing: what was sent has its name."""

    def local(self, key: str) -> Path:
        """Downloads an object, unless it is here already.

        Raises:
            FileNotFoundError: There is none.
        """
        path = self._cached(key)
        with contextlib.suppress(FileNotFoundError):
            os.utime(path)
            return path
        part = self.new_part()
        try:
            self.bring(key, part)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        return path

    def bring(self, key: str, target: Path) -> None:
        """Downloads an object."""
        with _plain_errors():
            self._objects.get_file(self._name(key), str(target))

    def remove(self, key: str) -> None:
        """Removes an object and its local copy, if there are any."""
        self._cached(key).unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError), _plain_errors():
            self._objects.rm_file(self._name(key))

    def sweep(self, known: set[str], older_than_s: float) -> int:
        """Removes local files and objects that no record names; returns their number."""
        removed = super().sweep(known, older_than_s)
        before_s = time.time() - older_than_s
        for folder in _KEPT:
            with contextlib.suppress(FileNotFoundError), _plain_errors():
                for path, facts in self._objects.find(self._name(folder), detail=True).items():
                    key = f"{folder}/{path.rpartition('/')[2]}"
                    if key not in known and _written_s(facts) < before_s:
                        self._objects.rm_file(path)
                        removed += 1
        return removed

    def _name(self, key: str) -> str:
        return f"{self._prefix}/{key}"

    def _cached(self, key: str) -> Path:
        return self.work / f"{_CACHE}{key.replace('/', '-')}"


def _written_s(facts: dict[str, Any]) -> float:
    """Returns when an object was written, in seconds since 1970; now if the store does not say."""
    written = next((facts[name] for name in ("LastModified", "mtime", "created") if facts.get(name)), time.time())
    return written.timestamp() if isinstance(written, datetime) else float(written)


@contextlib.contextmanager
def _plain_errors() -> Generator[None]:
    """Raises errors of an object store's client as `OSError`."""
    try:
        yield
    except OSError:
        raise
    except Exception as error:
        raise OSError(f"{type(error).__name__}: {error}") from error
