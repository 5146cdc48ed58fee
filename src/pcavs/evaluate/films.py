"""Makes the films that are measured, with the same code as `pcavs animate`, and reads them back as files."""

import functools
import wave
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, UInt8

from pcavs.animate.film import Film, SoundTrack
from pcavs.animate.identity import Identity
from pcavs.animate.options import Device
from pcavs.animate.talker import Talker, load_talker
from pcavs.animate.timing import choose_timing
from pcavs.errors import InputError
from pcavs.evaluate.clips import SIDE_PX, Case, Faces, resized
from pcavs.face.pose import head_pose, pose_code
from pcavs.head.blink import blink_track
from pcavs.head.warp import depth_turn_map
from pcavs.media.film import FilmWriter
from pcavs.media.video import read_frames
from pcavs.mouth.pauses import rest_share
from pcavs.pose.codes import PoseCode, steer
from pcavs.pose.measure import SMOOTHING_S
from pcavs.pose.track import from_heads, smoothed
from pcavs.spec import FRAME_RATE, SAMPLE_RATE_HZ, CropSpec, TalkerSpec
from pcavs.types import Mesh, Picture, Waveform

ENCODING = "H.264 and AAC as pcavs animate writes them, 256 px, 25 frames a second, decoded again before measuring"

_BATCH = 16


PoseCodes = Float32[np.ndarray, "time pose"]


class Person(NamedTuple):
    """An identity reference that is aligned already."""

    picture: UInt8[np.ndarray, "256 256 3"]
    mesh: Mesh
    """Its landmarks, in pixels."""


class Recipe(NamedTuple):
    """Who, saying what, moving how."""

    identity: Person
    waveform: Waveform
    source: Case
    """The pose source; its landmarks are known."""


def person_of(case: Case) -> Person:
    """Takes the first frame of a clip, and what the tracker sees in it."""
    assert case.raw is not None
    return Person(case.faces[0], case.raw[0])


def make_film(talker: Talker, recipe: Recipe, path: Path) -> Faces:
    """Renders a film into a file, if it is not there yet, and reads it back.

    Faces are aligned already, so nothing is looked for: what is measured is the talker, not the tracker.

    Raises:
        InputError: The talker was trained on another crop than this evaluation makes.
    """
    if not path.exists():
        check_crop(talker)
        film = _film(talker, recipe, path)
        write_film(film.frames, recipe.waveform, path, film.tags)
    return read_film(path)


def check_crop(talker: Talker) -> None:
    """Makes sure that a talker sees faces as this evaluation cuts them.

    Raises:
        InputError: It was trained on another crop.
    """
    if talker.runtime.spec.crop != CropSpec():
        raise InputError(f"{talker.name} knows another crop than the house's; evaluation has no truth for it")


def write_film(frames: Iterable[Picture], waveform: Waveform, path: Path, tags: dict[str, str]) -> None:
    """Writes frames and sound as every film of an evaluation is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = path.with_suffix(".wav")
    _write_wav(sound, waveform)
    with FilmWriter(path, (SIDE_PX, SIDE_PX), audio=sound, metadata=tags, overwrite=True) as writer:
        for frame in frames:
            writer.write(frame)
    sound.unlink()


def read_film(path: Path) -> Faces:
    """Reads a film of an evaluation."""
    return np.stack(list(read_frames(path)))


@functools.lru_cache(maxsize=4)
def talker_of(weights: Path | None, device: Device) -> Talker:
    """Loads weights once in each process; clips are spread over processes, so each keeps to one core."""
    return load_talker(weights, device, threads=1)


def encode_poses(talker: Talker, faces: Faces) -> PoseCodes:
    """Encodes where the head is, as the encoder says it."""
    small = frames_for(talker.runtime.spec, faces)
    parts = [talker.runtime.encode_pose(small[first : first + _BATCH]) for first in range(0, len(small), _BATCH)]
    return np.concatenate(parts)


def follow(recipe: Recipe, own: PoseCode) -> PoseCodes:
    """Gives the codes with which a solid head follows a pose source, by its landmarks, as `pcavs animate` does.

    Identity and pose source lie in crops of the same template, so places in either mean the same.
    """
    assert recipe.source.raw is not None
    meshes = np.concatenate([recipe.identity.mesh[None], recipe.source.raw])
    track = from_heads(head_pose(meshes))
    track[:, 3:] -= track[0, 3:]
    seen = pose_code(recipe.identity.mesh[None], SIDE_PX)[0]
    return steer(smoothed(track[1:], SMOOTHING_S, FRAME_RATE), seen, own, depth_turn_map(), anchored=True).codes


def frames_for(spec: TalkerSpec, faces: Faces) -> UInt8[np.ndarray, "time side side 3"]:
    """Brings faces to the side that a talker's networks see."""
    return np.stack([resized(face, spec.sizes.frame_px) for face in faces])


def _film(talker: Talker, recipe: Recipe, path: Path) -> Film:
    spec = talker.runtime.spec
    timing = choose_timing(None, spec)
    face = resized(recipe.identity.picture, spec.sizes.frame_px)
    num_frames = timing.count_frames(len(recipe.waveform), spec.mel)
    mel = timing.mel(recipe.waveform, num_frames, spec.mel)
    codes = talker.runtime.encode_identity(face)
    followed = spec.kind == "flow"
    poses = follow(recipe, codes.pose) if followed else timing.settle(encode_poses(talker, recipe.source.faces))
    return Film(
        num_frames=num_frames,
        side_px=SIDE_PX,
        notes=(),
        sound=SoundTrack(path=path, start_s=0.0, end_s=None),
        tags={"title": "Synthetic talking face", "comment": f"Synthetic: made to be measured. weights {talker.name}"},
        identity=Identity(codes=codes, picture=recipe.identity.picture, notes=(), mesh=recipe.identity.mesh),
        poses=poses,
        mel=mel,
        runtime=talker.runtime,
        timing=timing,
        people=talker.people,
        rest=rest_share(mel, num_frames),
        closed=blink_track(num_frames, seed=0),
    )


def _write_wav(path: Path, waveform: Waveform) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((waveform * 32767).round().clip(-32768, 32767).astype("<i2").tobytes())
