"""From one file to one aligned clip, or to the reason why not."""

import csv
import dataclasses
import zlib
from pathlib import Path

import cv2
import numpy as np

from pcavs.data.shard import AlignedClip, decode_picture, encode_picture
from pcavs.errors import InputError
from pcavs.face.align import apply_transform, clip_transform, crop_picture
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import FaceTrack, track_face, track_picture
from pcavs.media.audio import read_waveform
from pcavs.media.image import read_picture
from pcavs.media.video import probe_video, read_frames
from pcavs.prepare.options import PrepareOptions
from pcavs.prepare.stills import turned_pictures
from pcavs.spec import CropSpec

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}
FILMS = {".mp4", ".mov", ".mkv", ".avi", ".webm", ".mpg", ".m4v"}

LEAST_FOUND = 0.9
"""Share of frames in which the face must be seen."""

LEAST_FRAMES = 10

LEAST_FACE_PX = 40
"""Distance of eyes to mouth below which a crop is mostly invented pixels."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Source:
    """A file, and what is known of it."""

    path: Path
    key: str
    facts: dict[str, str]


class GateError(InputError):
    """A clip does not pass a gate: which, what was found, and the limit."""


def find_sources(options: PrepareOptions) -> list[Source]:
    """Lists the films and pictures to prepare, in a fixed order.

    Raises:
        InputError: The folder or the index is not there, or names no film or picture.
    """
    rows = _indexed(options) if options.index else _searched(options)
    if not rows:
        raise InputError(
            f"no film or picture in {options.source}; endings known are {' '.join(sorted(PICTURES | FILMS))}"
        )
    return _named_apart(rows)


def _named_apart(sources: list[Source]) -> list[Source]:
    """Numbers equal keys: neighbours in a tar with one key would be read as one clip."""
    seen: dict[str, int] = {}
    apart = []
    for source in sources:
        seen[source.key] = number = seen.get(source.key, 0) + 1
        apart.append(source if number == 1 else dataclasses.replace(source, key=f"{source.key}--{number}"))
    return apart


def _indexed(options: PrepareOptions) -> list[Source]:
    index = options.index
    if index is None or not index.is_file():
        raise InputError(f"no index at {index}; leave it out to search {options.source}")
    sources = []
    with index.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if not row.get("path"):
                raise InputError(f"{index} has a row without a path; give it a column named path, filled everywhere")
            path = (index.parent / row["path"]).resolve()
            if path.suffix.lower() in PICTURES | FILMS and path.is_relative_to(options.source.resolve()):
                facts = {name: row.get(name, "") for name in ("source", "licence")}
                facts |= {"speaker": row.get("identity") or path.stem, "split": row.get("split") or "train"}
                sources.append(
                    Source(path=path, key=_key("-".join(Path(row["path"]).with_suffix("").parts)), facts=facts)
                )
    return sources


def _searched(options: PrepareOptions) -> list[Source]:
    sources = []
    for path in sorted(options.source.rglob("*")):
        if path.suffix.lower() in PICTURES | FILMS:
            place = path.relative_to(options.source)
            speaker = place.parts[0] if len(place.parts) > 1 else path.stem
            held_out = zlib.crc32(speaker.encode()) % 20 == 0
            facts = {"speaker": speaker, "source": options.source.name, "split": "val" if held_out else "train"}
            sources.append(Source(path=path, key=_key("-".join(place.with_suffix("").parts)), facts=facts))
    return sources


def _key(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in text)


def prepare_clip(source: Source, options: PrepareOptions, landmarker: FaceLandmarker) -> AlignedClip:
    """Finds, follows and aligns the face of one file.

    Raises:
        InputError: The file cannot be read, shows no face, or fails a gate; the message says which.
    """
    is_picture = source.path.suffix.lower() in PICTURES
    return (_prepare_picture if is_picture else _prepare_film)(source, options, landmarker)


def _prepare_film(source: Source, options: PrepareOptions, landmarker: FaceLandmarker) -> AlignedClip:
    track = track_face(read_frames(source.path), landmarker, source.path.name)
    found = float(track.found.mean())
    if len(track.found) < LEAST_FRAMES:
        raise GateError(f"length: {len(track.found)} frames, {LEAST_FRAMES} are needed")
    if found < LEAST_FOUND:
        raise GateError(f"face found: in {found:.0%} of the frames, {LEAST_FOUND:.0%} are needed")
    transform = clip_transform(track.meshes, CropSpec(), options.crop_px)
    _check_size(track)
    crops = [crop_picture(frame, transform, options.crop_px) for frame in read_frames(source.path)]
    waveform = read_waveform(source.path) if probe_video(source.path).has_audio else None
    return AlignedClip(
        source.key,
        dict(source.facts),
        [encode_picture(crop) for crop in crops],
        apply_transform(transform, track.meshes),
        waveform,
        options.crop_px,
    )


def _prepare_picture(source: Source, options: PrepareOptions, landmarker: FaceLandmarker) -> AlignedClip:
    picture = read_picture(source.path)
    track = track_picture(picture, landmarker, source.path.name)
    transform = clip_transform(track.meshes, CropSpec(), options.crop_px)
    _check_size(track)
    mesh = apply_transform(transform, track.meshes)[0]
    rng = np.random.default_rng(zlib.crc32(source.key.encode()))
    turned = list(turned_pictures(picture, transform, mesh, options.crop_px, options.turned, rng))
    return AlignedClip(
        source.key,
        source.facts | {"turned": len(turned) > 1},
        [encode_picture(crop) for crop, _ in turned],
        np.stack([mesh for _, mesh in turned]),
        None,
        options.crop_px,
    )


def _check_size(track: FaceTrack) -> None:
    tall = float(np.ptp(track.meshes[:, :, 1], axis=1).mean())
    if tall < LEAST_FACE_PX:
        raise GateError(f"face size: {tall:.0f} px from brow to chin, {LEAST_FACE_PX} are needed")


def resized(jpeg: bytes, side_px: int, quality: int) -> bytes:
    """Makes a stored crop smaller, as JPEG."""
    small = cv2.resize(decode_picture(jpeg), (side_px, side_px), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[
        1
    ].tobytes()
