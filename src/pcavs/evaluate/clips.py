"""Finds, reads and stores the clips of an evaluation: faces in the aligned crop, their sound, and who they show."""

import dataclasses
import itertools
import json
import math
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
from pcavs.evaluate.phonemes import read_phonemes
from pcavs.evaluate.sets import ClipSet, find_sets, safe_name
from pcavs.face.align import clip_transform, crop_picture
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import track_face
from pcavs.media.audio import read_waveform
from pcavs.media.bitstream import decode_pictures
from pcavs.media.files import atomic_file
from pcavs.media.timeline import count_samples
from pcavs.media.video import probe_video, read_frames
from pcavs.spec import FRAME_RATE, SAMPLE_RATE_HZ, CropSpec
from pcavs.types import Picture, Waveform
from pcavs.voices.phonemes import Phoneme

SIDE_PX: Final = 256
"""Side of all frames that are measured, so that talkers of any resolution compare."""

MIN_FRAMES: Final = 25
"""Shortest clip (1 s): shorter ones give no lag and no blink. Tuned by hand; not measured."""

_MIN_FOUND_SHARE: Final = 0.5
"""Share of a video's frames in which the face must be found. Tuned by hand; not measured."""
_MAX_INPUT_PX: Final = 1280
"""Larger frames are reduced on reading, because the face ends up at 256 px. Tuned by hand; not measured."""
_VIDEO_SUFFIXES: Final = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v", ".mpg")
MIN_SPEECH_RMS: Final = 0.003
"""Root mean square of a clip's sound, full scale 1, below which nobody speaks: speech recordings of five sources have
0.02 or more, the noise of a silent clip 0.001."""
_PNG_COMPRESSION: Final = 1
"""Of 0 to 9; the fastest that compresses."""

Faces = UInt8[np.ndarray, "time 256 256 3"]
"""Aligned crops, RGB."""


class EvaluationClip(NamedTuple):
    """A clip to measure on."""

    key: str
    """Unique within an evaluation; letters, digits, _ and - only."""
    person: str
    faces: Faces
    waveform: Float32[np.ndarray, " samples"]
    """As long as the faces."""
    truth_path: Path | None = None
    """The faces encoded as a video, once it is written."""
    raw_meshes: Float32[np.ndarray, "time 478 3"] | None = None
    """Unsmoothed landmarks of that video in pixels, once it is tracked."""
    phonemes: tuple[Phoneme, ...] = ()
    """What is said when, if the video has a file that tells it."""


class ClipSource(NamedTuple):
    """A clip that has not been read yet."""

    key: str
    person: str
    path: Path
    """A video, or the shard that contains the clip."""
    clip_set: ClipSet | None = None
    """The set that it belongs to, in an evaluation."""
    member: str = ""
    """Its name inside the shard."""


def find_clips(options: EvaluateOptions) -> list[ClipSource]:
    """Lists the clips to measure on, set by set: the first clip of each person, then the second, up to `most_clips`.

    Raises:
        InputError: A folder holds neither a video with sound nor a usable shard, or a table cannot be read.
    """
    sets = find_sets(options)
    found = [source for clip_set in sets for source in _find_in_set(clip_set, options)]
    if len(sets) == 1:
        return found
    # Two sets may hold files of the same name.
    return [source._replace(key=f"{source.clip_set.name}-{source.key}") for source in found if source.clip_set]


def _find_in_set(clip_set: ClipSet, options: EvaluateOptions) -> list[ClipSource]:
    folder = clip_set.clips
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; give a folder of videos with sound, or of shards")
    shards = sorted(folder.glob("shard-*.tar"))
    found = _find_in_shards(shards, options.split) if shards else _find_videos(clip_set)
    if not found:
        wanted = f"clip with sound of split {options.split}" if shards else "video with sound"
        raise InputError(f"no {wanted} in {folder}; give at least two, of different people")
    by_person: dict[str, list[ClipSource]] = {}
    for source in found:
        by_person.setdefault(source.person, []).append(source)
    spread = [source for layer in itertools.zip_longest(*by_person.values()) for source in layer if source]
    return [source._replace(clip_set=clip_set) for source in spread[: options.most_clips]]


def _find_in_shards(shards: list[Path], split: str) -> list[ClipSource]:
    return [
        ClipSource(safe_name(clip.key), str(clip.facts["speaker"]), shard, member=clip.key)
        for shard in shards
        for clip in read_shard(shard)
        if clip.facts["split"] == split and clip.waveform is not None and len(clip.mesh) >= MIN_FRAMES
    ]


def _find_videos(clip_set: ClipSet) -> list[ClipSource]:
    people = read_index(clip_set.people) if clip_set.people else {}
    paths = sorted(path for path in clip_set.clips.rglob("*") if path.suffix.lower() in _VIDEO_SUFFIXES)
    found = []
    for path in paths:
        key = safe_name(str(path.relative_to(clip_set.clips).with_suffix("")))
        if probe_video(path).has_audio:
            found.append(ClipSource(key, people.get(path.resolve(), key), path))
    return found


def read_index(index: Path) -> dict[Path, str]:
    """Reads a CSV file with the columns `path` (relative to the file) and `identity`.

    Returns:
        The person by absolute path of the video.

    Raises:
        InputError: The file is missing or cannot be read.
    """
    if not index.is_file():
        raise InputError(f"no index at {index}; leave out --index if each video shows another person")
    rows = [(row["path"], row["identity"]) for row in read_table(index, ("path", "identity"))]
    return {resolve_beside(path, index.parent).resolve(): person for path, person in rows if path and person}


def read_clip(source: ClipSource, most_s: float, landmarker: FaceLandmarker) -> EvaluationClip:
    """Reads the first `most_s` seconds of a clip and aligns its faces.

    Raises:
        FaceError: The video shows no face, or shows it in less than half of its frames.
        InputError: The video cannot be read, or is shorter than a second.
    """
    if source.path.suffix == ".tar":
        clips = read_shard(source.path)
        return _from_shard(source, next(clip for clip in clips if clip.key == source.member), most_s)
    frames = list(read_frames(source.path, 0.0, most_s, _MAX_INPUT_PX))
    track = track_face(frames, landmarker, source.path.name)
    found_share = float(track.found.mean())
    if found_share < _MIN_FOUND_SHARE:
        raise FaceError(
            f"{source.path.name} shows a face in {found_share:.0%} of its frames; {_MIN_FOUND_SHARE:.0%} are needed"
        )
    transform = clip_transform(track.meshes, CropSpec(), SIDE_PX)
    faces = [crop_picture(frame, transform, SIDE_PX) for frame in frames]
    clip = _trimmed(source, np.stack(faces), read_waveform(source.path, 0.0, most_s))
    return clip._replace(phonemes=read_phonemes(source.path.with_suffix(".json")))


def _from_shard(source: ClipSource, clip: AlignedClip, most_s: float) -> EvaluationClip:
    count = min(len(clip.mesh), math.floor(most_s * FRAME_RATE))
    faces = [resized(picture) for picture in decode_pictures(clip.film, range(count))]
    assert clip.waveform is not None
    return _trimmed(source, np.stack(faces), clip.waveform)


def _trimmed(source: ClipSource, faces: Faces, waveform: Float32[np.ndarray, " samples"]) -> EvaluationClip:
    """Cuts faces and sound to the shorter of the two."""
    count = min(len(faces), len(waveform) * FRAME_RATE // SAMPLE_RATE_HZ)
    if count < MIN_FRAMES:
        raise InputError(f"{source.key} has {count} frames with sound; {MIN_FRAMES} are needed")
    return EvaluationClip(source.key, source.person, faces[:count], waveform[: count_samples(count)])


def resized(picture: Picture, side_px: int = SIDE_PX) -> UInt8[np.ndarray, "side side 3"]:
    """Resamples a square picture to another side; returns it unchanged if it has that side already."""
    if picture.shape[0] == side_px:
        return picture
    method = cv2.INTER_AREA if picture.shape[0] > side_px else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side_px, side_px), interpolation=method), np.uint8)


def clip_path(out: Path, key: str) -> Path:
    """Returns where an evaluation in the folder `out` stores a clip that has been read and tracked."""
    return out / "work" / f"{key}.npz"


def store_clip(clip: EvaluationClip, path: Path, sync: tuple[float, float] = (0.0, 0.0)) -> None:
    """Stores a tracked clip for the worker processes; faces are compressed without loss.

    Args:
        clip: The clip.
        path: Where to store it.
        sync: Offset in frames and confidence of the sync judge.

    Raises:
        OutputError: The file cannot be written.
    """
    pictures = [cv2.imencode(".png", face, [cv2.IMWRITE_PNG_COMPRESSION, _PNG_COMPRESSION])[1] for face in clip.faces]
    ends = np.cumsum([len(each) for each in pictures])
    assert clip.truth_path is not None
    assert clip.raw_meshes is not None
    with atomic_file(path) as part, part.open("wb") as file:
        np.savez(
            file,
            faces=np.concatenate(pictures),
            ends=ends,
            waveform=clip.waveform,
            person=clip.person,
            phonemes=json.dumps([dataclasses.astuple(phoneme) for phoneme in clip.phonemes]),
            truth_path=str(clip.truth_path.relative_to(path.parent.parent)),
            raw_meshes=clip.raw_meshes,
            sync=np.array(sync),
        )


def load_sync(path: Path) -> tuple[float, float]:
    """Reads only offset and confidence of the sync of a clip that `store_clip` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        offset, confidence = stored["sync"].tolist()
    return offset, confidence


def load_clip(path: Path) -> EvaluationClip:
    """Reads a clip that `store_clip` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        pieces = np.split(stored["faces"], stored["ends"][:-1])
        faces = np.stack([_decoded(piece) for piece in pieces])
        return EvaluationClip(
            key=path.stem,
            person=str(stored["person"]),
            faces=faces,
            waveform=stored["waveform"],
            truth_path=path.parent.parent / str(stored["truth_path"]),
            raw_meshes=stored["raw_meshes"],
            phonemes=tuple(
                Phoneme(ipa=ipa, start_s=start_s, end_s=end_s)
                for ipa, start_s, end_s in json.loads(str(stored["phonemes"]))
            ),
        )


def load_waveform(path: Path) -> Waveform:
    """Reads only the sound of a clip that `store_clip` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        return stored["waveform"]


def _decoded(piece: UInt8[np.ndarray, " bytes"]) -> Picture:
    return np.asarray(cv2.imdecode(piece, cv2.IMREAD_COLOR), np.uint8)


def other_clips(keys: list[tuple[str, str]], index: int) -> Iterator[int]:
    """Lists the clips from which clip `index` may take pose and speech, other people's before the same person's.

    Args:
        keys: (key, person) of each clip.
        index: The clip that needs them.
    """
    person = keys[index][1]
    others = [(index + step) % len(keys) for step in range(1, len(keys))]
    yield from sorted(others, key=lambda other: keys[other][1] == person)
