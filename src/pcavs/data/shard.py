"""Shards: aligned clips in WebDataset tars, at a higher resolution than any network needs (docs/formats.md)."""

import io
import json
import tarfile
import wave
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8

from pcavs.errors import DataError
from pcavs.spec import SAMPLE_RATE_HZ
from pcavs.types import Picture, Waveform

JPEG_QUALITY = 95
_TAR_END_BYTES = 1024


class AlignedClip(NamedTuple):
    """A continuous piece of one speaker at 25 fps in its aligned crop, or a single picture."""

    key: str
    """Unique within a data set; no dots or slashes."""
    facts: dict[str, Any]
    """speaker, source, split, licence, and whatever else is known; JSON."""
    jpegs: list[bytes]
    mesh: Float32[np.ndarray, "time 478 3"]
    """Landmarks in pixels of the crop."""
    waveform: Waveform | None
    side_px: int


def encode_picture(picture: Picture) -> bytes:
    """Encodes a crop as JPEG without colour subsampling, so that lips keep their edge."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x111111]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), flags)[1].tobytes()


def decode_picture(data: bytes) -> Picture:
    """Decodes what `encode_picture` made.

    Raises:
        DataError: These bytes are no JPEG.
    """
    # cv2 throws for no bytes at all, and gives None for bytes that it cannot read.
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if picture is None:
        raise DataError(f"a stored face of {len(data)} bytes is no JPEG; prepare and pack its clip again")
    return picture.astype(np.uint8, copy=False)


def sample_of(clip: AlignedClip) -> dict[str, Any]:
    """Gives a clip as a WebDataset sample: `mjpeg`, `npz`, `json`, and `wav` where there is sound."""
    arrays = io.BytesIO()
    ends = np.cumsum([len(jpeg) for jpeg in clip.jpegs], dtype=np.int64)
    np.savez(arrays, jpeg_ends=ends, mesh=clip.mesh)
    sample: dict[str, Any] = {
        "__key__": clip.key,
        "mjpeg": b"".join(clip.jpegs),
        "npz": arrays.getvalue(),
        "json": json.dumps(clip.facts | {"side_px": clip.side_px}, sort_keys=True).encode(),
    }
    if clip.waveform is not None:
        sample["wav"] = _to_wav(clip.waveform)
    return sample


def read_shard(path: Path) -> Iterator[AlignedClip]:
    """Reads a shard's clips in their order.

    Raises:
        DataError: The file is not a whole shard.
    """
    try:
        _check_end(path)
        with tarfile.open(path) as tar:
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
            if files:
                yield _clip_of(key, files)
    except (tarfile.TarError, zipfile.BadZipFile, wave.Error, EOFError, KeyError, ValueError, OSError) as error:
        raise DataError(f"{path} is not a whole shard ({error}); delete it and run `pcavs prepare` again") from error


def _check_end(path: Path) -> None:
    # A tar cut between two files reads like a shorter one: only its end, 1024 zeros, tells that it is whole.
    with path.open("rb") as file:
        if file.seek(0, io.SEEK_END) < _TAR_END_BYTES:
            raise ValueError("too short")
        file.seek(-_TAR_END_BYTES, io.SEEK_END)
        if any(file.read()):
            raise ValueError("its end is missing")


def _clip_of(key: str, files: dict[str, bytes]) -> AlignedClip:
    with np.load(io.BytesIO(files["npz"]), allow_pickle=False) as arrays:
        ends: Int64[np.ndarray, " time"] = arrays["jpeg_ends"]
        mesh: Float32[np.ndarray, "time 478 3"] = arrays["mesh"]
    facts = json.loads(files["json"])
    missing = sorted({"side_px", "speaker", "split"} - set(facts))
    if missing or len(ends) != len(mesh):
        raise ValueError(f"{key}: {len(ends)} faces, {len(mesh)} meshes, facts missing: {', '.join(missing) or 'none'}")
    starts = [0, *ends[:-1].tolist()]
    jpegs = [files["mjpeg"][start:end] for start, end in zip(starts, ends.tolist(), strict=True)]
    waveform = _from_wav(files["wav"]) if "wav" in files else None
    return AlignedClip(key, facts, jpegs, mesh, waveform, facts.pop("side_px"))


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
