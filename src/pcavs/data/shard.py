"""Shards: aligned clips in WebDataset tars, at a higher resolution than any network needs (docs/formats.md)."""

import contextlib
import io
import json
import os
import tarfile
import wave
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from pcavs.data.picture import decode_picture as decode_picture
from pcavs.errors import DataError
from pcavs.media.bitstream import Bitstream
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.types import Waveform

FORMAT = "pcavs-shard-2"
_TAR_END_BYTES = 1024
_BLOCK_BYTES = 512
_STEPS_A_SIDE = 16384
"""Landmarks are stored in such shares of the crop side, 1/64 px at 256: as floats they outweighed the film."""
_NEEDED = {"format", "side_px", "speaker", "split"}

_DAMAGES = (tarfile.TarError, zipfile.BadZipFile, wave.Error, EOFError, KeyError, ValueError, OSError)


class AlignedClip(NamedTuple):
    """A continuous piece of one speaker at 25 fps in its aligned crop, or pictures made of one photograph."""

    key: str
    """Unique within a data set; no dots or slashes."""
    facts: dict[str, Any]
    """speaker, source, split, licence, the gates' measures, and whatever else is known; JSON."""
    film: Bitstream
    mesh: Float32[np.ndarray, "time 478 3"]
    """Landmarks in pixels of the crop."""
    pose: Float32[np.ndarray, "time 12"]
    """`face.pose.pose_code`; a render's own where `facts["truth"]`."""
    lips: Float32[np.ndarray, "time lip_numbers"]
    """`face.regions.lips_shape`, in centimetres."""
    transform: Float64[np.ndarray, "2 3"]
    """From pixels of the source to pixels of the crop."""
    waveform: Waveform | None
    side_px: int


class Span(NamedTuple):
    """Where a clip lies in a shard, in bytes."""

    offset: int
    size: int


class ShardWriter:
    """Writes clips into a tar that appears whole or not at all; equal clips give equal bytes.

    Reference: WebDataset's layout: the files of one sample follow each other and share a name up to the first dot.
    """

    def __init__(self, path: Path) -> None:
        # The process in its name: one that outlives its stopped run may still write what the next run writes too.
        self._path, self._part = path, path.with_name(f"{path.name}.{os.getpid()}.part")

    def __enter__(self) -> "ShardWriter":
        """Opens the part file."""
        self._file: BinaryIO = self._part.open("wb")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Finishes the tar under its own name, or removes what there is of it."""
        try:
            if kind is None:
                self._file.write(bytes(_TAR_END_BYTES))
                self._file.flush()
                os.fsync(self._file.fileno())
        except OSError:
            self._discard()
            raise
        if kind is not None:
            self._discard()
            return
        self._file.close()
        self._part.replace(self._path)

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def write(self, clip: AlignedClip) -> Span:
        """Adds a clip."""
        return self.copy(b"".join(_member(f"{clip.key}.{ending}", data) for ending, data in parts_of(clip).items()))

    def copy(self, data: bytes) -> Span:
        """Adds a clip's bytes as they lie in another shard."""
        offset = self._file.tell()
        self._file.write(data)
        return Span(offset, len(data))

    def _discard(self) -> None:
        with contextlib.suppress(OSError):  # a full disk refuses again what is still buffered
            self._file.close()
        self._part.unlink(missing_ok=True)


def parts_of(clip: AlignedClip) -> dict[str, bytes]:
    """Gives the files of a clip by their endings: `h264`, `json`, `npz`, and `wav` where there is sound."""
    arrays = io.BytesIO()
    steps = np.round(clip.mesh * (_STEPS_A_SIDE / clip.side_px)).clip(-32768, 32767).astype(np.int16)
    film = clip.film
    np.savez(arrays, ends=film.ends, mesh=steps, pose=clip.pose, lips=clip.lips, transform=clip.transform)
    facts = clip.facts | {"side_px": clip.side_px, "format": FORMAT}
    parts = {
        "h264": film.data,
        "json": json.dumps(facts, sort_keys=True).encode(),
        "npz": arrays.getvalue(),
    }
    if clip.waveform is not None:
        parts["wav"] = _to_wav(clip.waveform)
    return parts


def _member(name: str, data: bytes) -> bytes:
    """A file as it lies in a tar: no time, owner or rights that would differ from run to run."""
    header = tarfile.TarInfo(name)
    header.size = len(data)
    return header.tobuf() + data + bytes(-len(data) % _BLOCK_BYTES)


def read_shard(path: Path) -> Iterator[AlignedClip]:
    """Reads a shard's clips in their order; holds one clip at a time.

    Raises:
        DataError: The file is not a whole shard, or one of another format.
    """
    try:
        _check_end(path)
        with path.open("rb") as file:
            yield from _clips(file)
    except _DAMAGES as error:
        raise DataError(f"{path} is not a whole shard ({error}); delete it and run `pcavs prepare` again") from error


def read_clip(file: BinaryIO, span: Span) -> AlignedClip:
    """Reads one clip from where a ledger says that it lies in an open shard.

    Raises:
        DataError: No whole clip lies there.
    """
    try:
        data = os.pread(file.fileno(), span.size, span.offset)
        if len(data) < span.size:
            raise ValueError("too short")
        return next(_clips(io.BytesIO(data + bytes(_TAR_END_BYTES))))
    except (*_DAMAGES, StopIteration) as error:
        raise DataError(f"{file.name} has no whole clip at {span.offset} ({error}); prepare it again") from error


def _clips(file: Any) -> Iterator[AlignedClip]:
    with tarfile.open(fileobj=file, mode="r:") as tar:
        files: dict[str, bytes] = {}
        key = ""
        for member in tar:
            name, _, ending = member.name.partition(".")
            if name != key and files:
                yield _clip_of(key, files)
                files = {}
            key = name
            stream = tar.extractfile(member)
            files[ending] = stream.read() if stream else b""
            tar.members = []  # pyright: ignore[reportAttributeAccessIssue] - else it remembers every file passed
        if files:
            yield _clip_of(key, files)


def _check_end(path: Path) -> None:
    # A tar cut between two files reads like a shorter one: only its end, 1024 zeros, tells that it is whole.
    with path.open("rb") as file:
        if file.seek(0, io.SEEK_END) < _TAR_END_BYTES:
            raise ValueError("too short")
        file.seek(-_TAR_END_BYTES, io.SEEK_END)
        if any(file.read()):
            raise ValueError("its end is missing")


def _clip_of(key: str, files: dict[str, bytes]) -> AlignedClip:
    facts = json.loads(files["json"])
    found = facts.pop("format", "pcavs-shard-1")
    if found != FORMAT:
        raise ValueError(f"format {found}, {FORMAT} is needed")
    with np.load(io.BytesIO(files["npz"]), allow_pickle=False) as arrays:
        ends, mesh, pose, lips, transform = (arrays[name] for name in ("ends", "mesh", "pose", "lips", "transform"))
    missing = sorted(_NEEDED - set(facts) - {"format"})
    if missing or not len(ends) == len(mesh) == len(pose) == len(lips):
        counts = f"{len(ends)} faces, {len(mesh)} meshes, {len(pose)} poses, {len(lips)} lips"
        raise ValueError(f"{key}: {counts}, facts missing: {', '.join(missing) or 'none'}")
    waveform = _from_wav(files["wav"]) if "wav" in files else None
    film, side_px = Bitstream(files["h264"], ends), facts.pop("side_px")
    places = mesh.astype(np.float32) * np.float32(side_px / _STEPS_A_SIDE)
    return AlignedClip(key, facts, film, places, pose, lips, transform, waveform, side_px)


def _to_wav(waveform: Waveform) -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((waveform * 32767).round().clip(-32768, 32767).astype("<i2").tobytes())
    return data.getvalue()


def _from_wav(data: bytes) -> Waveform:
    with wave.open(io.BytesIO(data)) as file:
        samples: UInt8[np.ndarray, " bytes"] = np.frombuffer(file.readframes(file.getnframes()), np.uint8)
    return samples.view("<i2").astype(np.float32) / 32767
