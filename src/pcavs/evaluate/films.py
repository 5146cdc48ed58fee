"""Makes the films that are measured, with the same code as `pcavs animate`, and reads them back as files."""

import functools
import wave
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from pcavs.animate.film import Film, Look, Scene, SoundTrack, build_film
from pcavs.animate.head_motion import HeadMotion, depth_motion
from pcavs.animate.identity import Identity, identity_of
from pcavs.animate.options import Device
from pcavs.animate.renderer import turns_by_depth
from pcavs.animate.talker import Talker, load_talker
from pcavs.animate.timing import choose_timing
from pcavs.errors import InputError
from pcavs.evaluate.clips import SIDE_PX, Case, Faces, resized
from pcavs.face.pose import head_pose
from pcavs.media.film import FilmWriter
from pcavs.media.video import read_frames
from pcavs.pose.codes import PoseCodes
from pcavs.pose.measure import SMOOTHING_S
from pcavs.pose.track import from_heads, smoothed
from pcavs.spec import FRAME_RATE, SAMPLE_RATE_HZ, CropSpec, TalkerSpec
from pcavs.types import Mesh, Picture, Waveform

ENCODING = "H.264 and AAC as pcavs animate writes them, 256 px, 25 frames a second, decoded again before measuring"

_BATCH = 16


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


def follow(source: Case, identity: Identity) -> HeadMotion:
    """Returns the head motion of a clip from its landmarks, for a head turned by depth, as `pcavs animate` does.

    Identity and pose source lie in crops of the same template, so places in either mean the same.
    """
    assert source.raw is not None
    track = from_heads(head_pose(np.concatenate([identity.mesh[None], source.raw])))
    track[:, 3:] -= track[0, 3:]
    return depth_motion(smoothed(track[1:], SMOOTHING_S, FRAME_RATE), identity, anchored=True)


def frames_for(spec: TalkerSpec, faces: Faces) -> UInt8[np.ndarray, "time side side 3"]:
    """Brings faces to the side that a talker's networks see."""
    return np.stack([resized(face, spec.sizes.frame_px) for face in faces])


def _film(talker: Talker, recipe: Recipe, path: Path) -> Film:
    """Builds a film with the builder of `pcavs animate`; faces are aligned already, so none are looked for."""
    spec, person = talker.runtime.spec, recipe.identity
    timing = choose_timing(None, spec)
    num_frames = timing.count_frames(len(recipe.waveform), spec.mel)
    codes = talker.runtime.encode_identity(resized(person.picture, spec.sizes.frame_px))
    identity = identity_of(codes, person.picture, person.mesh)
    if turns_by_depth(talker.runtime, Look().turn):
        motion = follow(recipe.source, identity)
    else:
        motion = HeadMotion(timing.settle(encode_poses(talker, recipe.source.faces)), codes.pose)
    scene = Scene(
        identity=identity,
        mel=timing.mel(recipe.waveform, num_frames, spec.mel),
        num_frames=num_frames,
        motion=motion,
        timing=timing,
    )
    tags = {"title": "Synthetic talking face", "comment": f"Synthetic: made to be measured. weights {talker.name}"}
    return build_film(talker.runtime, scene, Look(), SoundTrack(path=path), tags, people=talker.people)


def _write_wav(path: Path, waveform: Waveform) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes((waveform * 32767).round().clip(-32768, 32767).astype("<i2").tobytes())
