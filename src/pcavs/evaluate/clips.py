"""The clips of an evaluation: faces in the aligned crop, with their sound and who they are."""

import itertools
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from pcavs.data.shard import AlignedClip, read_shard
from pcavs.data.table import read_table, resolve_beside
from pcavs.errors import FaceError, InputError
from pcavs.evaluate.options import EvaluateOptions
from pcavs.face.align import clip_transform, crop_picture
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import track_face
from pcavs.media.audio import read_waveform
from pcavs.media.bitstream import decode_pictures
from pcavs.media.timeline import count_samples
from pcavs.media.video import probe_video, read_frames
from pcavs.spec import FRAME_RATE, CropSpec
from pcavs.types import Picture, Waveform

SIDE_PX: Final = 256
"""Side of everything that is measured, so that talkers of any size compare."""

LEAST_FRAMES: Final = 25

_ENDINGS: Final = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg")
_LARGEST_SIDE_PX: Final = 1280

Faces = UInt8[np.ndarray, "time 256 256 3"]


class Case(NamedTuple):
    """A clip to be measured on."""

    key: str
    person: str
    faces: Faces
    waveform: Float32[np.ndarray, " samples"]
    """As long as the faces."""
    film: Path | None = None
    """The faces as a film of an evaluation, once it is written."""
    raw: Float32[np.ndarray, "time 478 3"] | None = None
    """Unsmoothed landmarks in that film, once it is tracked."""


class Source(NamedTuple):
    """Where a clip is, before it is read."""

    key: str
    person: str
    place: Path
    """A film, or a shard."""


def find_clips(options: EvaluateOptions) -> list[Source]:
    """Lists the clips to measure on: of each person the first, then of each the second, up to the number wanted.

    Raises:
        InputError: There is no film with sound and no shard.
    """
    if not options.clips.is_dir():
        raise InputError(f"{options.clips} is no folder; give a folder of films with sound, or of shards")
    shards = sorted(options.clips.glob("shard-*.tar"))
    found = _of_shards(shards, options.split) if shards else _of_films(options)
    if not found:
        wanted = f"heard clip of split {options.split}" if shards else "film with sound"
        raise InputError(f"no {wanted} in {options.clips}; two of different people are needed at least")
    rows: dict[str, list[Source]] = {}
    for source in found:
        rows.setdefault(source.person, []).append(source)
    spread = [source for layer in itertools.zip_longest(*rows.values()) for source in layer if source]
    return spread[: options.most_clips]


def _of_shards(shards: list[Path], split: str) -> list[Source]:
    return [
        Source(_plain(clip.key), str(clip.facts["speaker"]), shard)
        for shard in shards
        for clip in read_shard(shard)
        if clip.facts["split"] == split and clip.waveform is not None and len(clip.mesh) >= LEAST_FRAMES
    ]


def _of_films(options: EvaluateOptions) -> list[Source]:
    people = _people(options.index) if options.index else {}
    films = sorted(path for path in options.clips.rglob("*") if path.suffix.lower() in _ENDINGS)
    found = []
    for path in films:
        name = _plain(str(path.relative_to(options.clips).with_suffix("")))
        if probe_video(path).has_audio:
            found.append(Source(name, people.get(path.resolve(), name), path))
    return found


def _people(index: Path) -> dict[Path, str]:
    if not index.is_file():
        raise InputError(f"no index at {index}; leave it out if each film shows somebody else")
    rows = [(row["path"], row["identity"]) for row in read_table(index, ("path", "identity"))]
    return {resolve_beside(path, index.parent).resolve(): person for path, person in rows if path and person}


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)


def read_case(source: Source, most_s: float, landmarker: FaceLandmarker) -> Case:
    """Reads, aligns and cuts one clip, at most so many seconds of it.

    Raises:
        FaceError: It shows no face.
        InputError: It cannot be read, or is shorter than a second.
    """
    if source.place.suffix == ".tar":
        clips = read_shard(source.place)
        return _of_clip(source, next(clip for clip in clips if _plain(clip.key) == source.key), most_s)
    frames = list(read_frames(source.place, 0.0, most_s, _LARGEST_SIDE_PX))
    track = track_face(frames, landmarker, source.place.name)
    if track.found.mean() < 0.5:
        raise FaceError(f"{source.place.name} shows its face in {track.found.mean():.0%} of its frames; half is needed")
    transform = clip_transform(track.meshes, CropSpec(), SIDE_PX)
    faces = [crop_picture(frame, transform, SIDE_PX) for frame in frames]
    waveform = read_waveform(source.place, 0.0, most_s)
    return _case(source, np.stack(faces), waveform)


def _of_clip(source: Source, clip: AlignedClip, most_s: float) -> Case:
    count = min(len(clip.mesh), math.floor(most_s * FRAME_RATE))
    faces = [resized(picture) for picture in decode_pictures(clip.film, range(count))]
    assert clip.waveform is not None
    return _case(source, np.stack(faces), clip.waveform)


def _case(source: Source, faces: Faces, waveform: Float32[np.ndarray, " samples"]) -> Case:
    count = min(len(faces), len(waveform) * FRAME_RATE // 16_000)
    if count < LEAST_FRAMES:
        raise InputError(f"{source.key} has {count} frames with sound; {LEAST_FRAMES} are needed")
    return Case(source.key, source.person, faces[:count], waveform[: count_samples(count)])


def resized(picture: Picture, side_px: int = SIDE_PX) -> UInt8[np.ndarray, "side side 3"]:
    """Brings a square picture to another side."""
    if picture.shape[0] == side_px:
        return picture
    method = cv2.INTER_AREA if picture.shape[0] > side_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side_px, side_px), interpolation=method), np.uint8)


def case_path(out: Path, key: str) -> Path:
    """Where a prepared clip is kept while an evaluation runs."""
    return out / "work" / f"{key}.npz"


def save_case(case: Case, path: Path) -> None:
    """Keeps a tracked case for the workers, its faces without loss."""
    pictures = [cv2.imencode(".png", face, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1] for face in case.faces]
    ends = np.cumsum([len(each) for each in pictures])
    assert case.film is not None
    assert case.raw is not None
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        np.savez(
            file,
            faces=np.concatenate(pictures),
            ends=ends,
            waveform=case.waveform,
            person=case.person,
            film=str(case.film.relative_to(path.parent.parent)),
            raw=case.raw,
        )
    part.replace(path)


def load_case(path: Path) -> Case:
    """Reads what `save_case` kept."""
    with np.load(path, allow_pickle=False) as stored:
        pieces = np.split(stored["faces"], stored["ends"][:-1])
        faces = np.stack([_decoded(piece) for piece in pieces])
        film = path.parent.parent / str(stored["film"])
        return Case(path.stem, str(stored["person"]), faces, stored["waveform"], film, stored["raw"])


def load_speech(path: Path) -> Waveform:
    """Reads only the sound of what `save_case` kept."""
    with np.load(path, allow_pickle=False) as stored:
        return stored["waveform"]


def _decoded(piece: UInt8[np.ndarray, " bytes"]) -> Picture:
    return np.asarray(cv2.imdecode(piece, cv2.IMREAD_COLOR), np.uint8)


def partners(keys: list[tuple[str, str]], index: int) -> Iterator[int]:
    """Gives the other clips of (key, person) in the order in which they lend pose and speech: strangers first."""
    person = keys[index][1]
    others = [(index + step) % len(keys) for step in range(1, len(keys))]
    yield from sorted(others, key=lambda other: keys[other][1] == person)
