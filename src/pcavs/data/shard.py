"""Shards and ledgers: what `pcavs prepare` stores (docs/formats.md).

A shard is a WebDataset tar of aligned clips at a higher resolution than any network needs. The ledger beside it is a
text file of JSON lines, one for each clip that was looked at, kept or not; for kept clips it says where they are.
"""

import contextlib
import io
import json
import os
import tarfile
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from pcavs.errors import DataError
from pcavs.media.archive import ARCHIVE_ERRORS
from pcavs.media.bitstream import Bitstream
from pcavs.media.files import atomic_file, wav_bytes
from pcavs.types import Confidence, Waveform

FORMAT: Final = "pcavs-shard-2"
_TAR_END_BYTES: Final = 1024
"""A tar ends with two blocks of zeros."""
_BLOCK_BYTES: Final = 512
"""Members of a tar are padded to blocks of this size."""
_STEPS_PER_SIDE: Final = 16384
"""Landmarks are stored as 16-bit integers in units of 1/16384 of the crop's side, 1/64 px at 256 px; as float32 they
took more space than the video."""
_INT16_LIMITS: Final = (-32768, 32767)
"""Landmarks farther outside the crop than 16 bits can express are clipped to these."""
_INT16_FULL_SCALE: Final = 32767
"""Level of a 16-bit sound sample that is 1 in a waveform."""
_REQUIRED_FACTS: Final = {"format", "side_px", "speaker", "split"}

_DAMAGE_ERRORS = (tarfile.TarError, wave.Error, OSError, *ARCHIVE_ERRORS)


class AlignedClip(NamedTuple):
    """A continuous piece of video of one speaker at 25 fps in its aligned crop, or frames made from one photograph."""

    key: str
    """Unique within a set; no dots or slashes."""
    facts: dict[str, Any]
    """Speaker, source, split, licence, the gates' measurements and more; as JSON stores it."""
    film: Bitstream
    mesh: Float32[np.ndarray, "time 478 3"]
    """Landmarks in pixels of the crop."""
    pose: Float32[np.ndarray, "time 12"]
    """Pose code (`face.pose.pose_code`): a render's exact one where `facts["truth"]`, else fitted to landmarks."""
    lips: Float32[np.ndarray, "time lip_numbers"]
    """Lip shape without head pose, in centimetres (`face.regions.lips_shape`)."""
    transform: Float64[np.ndarray, "2 3"]
    """Maps pixels of the source to pixels of the crop."""
    waveform: Waveform | None
    side_px: int
    confidence: Confidence | None = None
    """None where every pixel is as it was photographed."""


class Span(NamedTuple):
    """Where a clip lies in its shard, in bytes."""

    offset: int
    size: int


def ledger_path(folder: Path, group: int) -> Path:
    """Returns the path of a group's ledger; it is written last, so where it exists the group's shards are complete."""
    return folder / f"shard-{group:05d}.jsonl"


def read_ledger(folder: Path) -> Iterator[dict[str, Any]]:
    """Reads the rows of all ledgers of a folder, in order.

    Raises:
        DataError: A line is not JSON.
    """
    for path in sorted(folder.glob("shard-*.jsonl")):
        with path.open(encoding="utf-8") as file:
            try:
                yield from map(json.loads, file)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path} is damaged ({error}); delete it and run `pcavs prepare` again") from error


class ShardWriter:
    """Writes clips into a tar, whole or not at all; equal clips give equal bytes. A context manager.

    Reference: WebDataset's layout: the files of a sample follow each other and share a name up to the first dot.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> "ShardWriter":
        """Opens a temporary file beside the path.

        Raises:
            OutputError: It cannot be opened.
        """
        with contextlib.ExitStack() as stack:
            part = stack.enter_context(atomic_file(self._path))
            self._file: BinaryIO = stack.enter_context(part.open("wb"))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *details: Any) -> None:
        """Ends the tar and gives it its name; after an exception, deletes it.

        Raises:
            OutputError: It cannot be written.
        """
        if kind is not None:
            self._stack.__exit__(kind, *details)
            return
        with self._stack:
            self._file.write(bytes(_TAR_END_BYTES))

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def write(self, clip: AlignedClip) -> Span:
        """Appends a clip and returns where it lies."""
        return self.copy(b"".join(_member(f"{clip.key}.{ending}", data) for ending, data in clip_files(clip).items()))

    def copy(self, data: bytes) -> Span:
        """Appends a clip's bytes, copied from another shard, and returns where they lie."""
        offset = self._file.tell()
        self._file.write(data)
        return Span(offset, len(data))


def clip_files(clip: AlignedClip) -> dict[str, bytes]:
    """Encodes a clip as files, by their endings: `h264`, `json`, `npz`, and `wav` where the clip has sound."""
    arrays = io.BytesIO()
    steps = np.round(clip.mesh * (_STEPS_PER_SIDE / clip.side_px)).clip(*_INT16_LIMITS).astype(np.int16)
    film = clip.film
    masks: dict[str, Any] = {} if clip.confidence is None else {"confidence": clip.confidence}
    np.savez(arrays, ends=film.ends, mesh=steps, pose=clip.pose, lips=clip.lips, transform=clip.transform, **masks)
    facts = clip.facts | {"side_px": clip.side_px, "format": FORMAT}
    files = {
        "h264": film.data,
        "json": json.dumps(facts, sort_keys=True).encode(),
        "npz": arrays.getvalue(),
    }
    if clip.waveform is not None:
        files["wav"] = wav_bytes(clip.waveform)
    return files


def _member(name: str, data: bytes) -> bytes:
    """Returns a file as a tar stores it, without time, owner and permissions, which would differ between runs."""
    header = tarfile.TarInfo(name)
    header.size = len(data)
    return header.tobuf() + data + bytes(-len(data) % _BLOCK_BYTES)


def read_shard(path: Path) -> Iterator[AlignedClip]:
    """Reads a shard's clips in their order, one in memory at a time.

    Raises:
        DataError: The file is not a whole shard, or has another format.
    """
    try:
        _check_end(path)
        with path.open("rb") as file:
            yield from _clips(file)
    except _DAMAGE_ERRORS as error:
        raise DataError(f"{path} is not a whole shard ({error}); delete it and run `pcavs prepare` again") from error


def read_clip(file: BinaryIO, span: Span) -> AlignedClip:
    """Reads one clip of an open shard, at the place that the ledger gives.

    Raises:
        DataError: There is no whole clip at this place.
    """
    try:
        data = os.pread(file.fileno(), span.size, span.offset)
        if len(data) < span.size:
            raise ValueError("too short")
        return next(_clips(io.BytesIO(data + bytes(_TAR_END_BYTES))))
    except (*_DAMAGE_ERRORS, StopIteration) as error:
        raise DataError(f"{file.name} has no whole clip at {span.offset} ({error}); prepare it again") from error


def _clips(file: Any) -> Iterator[AlignedClip]:
    with tarfile.open(fileobj=file, mode="r:") as tar:
        files: dict[str, bytes] = {}
        key = ""
        for member in tar:
            name, _, ending = member.name.partition(".")
            if name != key and files:
                yield _clip_from(key, files)
                files = {}
            key = name
            stream = tar.extractfile(member)
            files[ending] = stream.read() if stream else b""
            # Else the list of members would grow with the shard.
            tar.members = []  # pyright: ignore[reportAttributeAccessIssue] - missing in the standard library's types
        if files:
            yield _clip_from(key, files)


def _check_end(path: Path) -> None:
    # A tar cut between two members reads like a shorter tar; only the zeros at its end show that it is whole.
    with path.open("rb") as file:
        if file.seek(0, io.SEEK_END) < _TAR_END_BYTES:
            raise ValueError("too short")
        file.seek(-_TAR_END_BYTES, io.SEEK_END)
        if any(file.read()):
            raise ValueError("its end is missing")


def _clip_from(key: str, files: dict[str, bytes]) -> AlignedClip:
    facts = json.loads(files["json"])
    found = facts.pop("format", "pcavs-shard-1")  # the first format did not name itself
    if found != FORMAT:
        raise ValueError(f"format {found}, {FORMAT} is needed")
    with np.load(io.BytesIO(files["npz"]), allow_pickle=False) as arrays:
        ends, mesh, pose, lips, transform = (arrays[name] for name in ("ends", "mesh", "pose", "lips", "transform"))
        confidence = arrays.get("confidence")
    missing = sorted(_REQUIRED_FACTS - set(facts) - {"format"})
    num_masks = len(ends) if confidence is None else len(confidence)
    if missing or not len(ends) == len(mesh) == len(pose) == len(lips) == num_masks:
        counts = f"{len(ends)} faces, {len(mesh)} meshes, {len(pose)} poses, {len(lips)} lips, {num_masks} masks"
        raise ValueError(f"{key}: {counts}, facts missing: {', '.join(missing) or 'none'}")
    waveform = _read_wav(files["wav"]) if "wav" in files else None
    film, side_px = Bitstream(files["h264"], ends), facts.pop("side_px")
    mesh_px = mesh.astype(np.float32) * np.float32(side_px / _STEPS_PER_SIDE)
    return AlignedClip(key, facts, film, mesh_px, pose, lips, transform, waveform, side_px, confidence)


def _read_wav(data: bytes) -> Waveform:
    with wave.open(io.BytesIO(data)) as file:
        samples: UInt8[np.ndarray, " bytes"] = np.frombuffer(file.readframes(file.getnframes()), np.uint8)
    return samples.view("<i2").astype(np.float32) / _INT16_FULL_SCALE
