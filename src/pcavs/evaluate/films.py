"""Renders the films of an evaluation with the code of `pcavs animate`, encodes them, and reads them back."""

import functools
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import UInt8

from pcavs.animate.film import Film, Look, Scene, SoundTrack, build_film
from pcavs.animate.head_motion import HeadMotion, depth_motion
from pcavs.animate.identity import Identity, identity_of
from pcavs.animate.load import load_talker
from pcavs.animate.options import Device
from pcavs.animate.renderer import turns_by_depth
from pcavs.animate.speech_input import speech_input
from pcavs.animate.talker import Talker
from pcavs.animate.timing import choose_timing
from pcavs.errors import InputError
from pcavs.evaluate.clips import SIDE_PX, EvaluationClip, Faces, resized
from pcavs.face.pose import head_pose
from pcavs.media.files import write_wav
from pcavs.media.film import FilmWriter
from pcavs.media.speech import ArrayWindows
from pcavs.media.video import read_frames
from pcavs.pose.codes import PoseCodes
from pcavs.pose.measure import SMOOTHING_S
from pcavs.pose.track import from_heads, smoothed
from pcavs.spec import FRAME_RATE, CropSpec, TalkerSpec
from pcavs.types import Mesh, Picture, Waveform

ENCODING: Final = f"H.264 and AAC as written by pcavs animate, {SIDE_PX} px, {FRAME_RATE} frames a second"
"""Description for the report: encoders change sharpness and flicker more than methods do."""

_BATCH: Final = 16
"""Faces per inference call. Tuned by hand; not measured."""


class IdentityReference(NamedTuple):
    """An identity reference: a face in the aligned crop."""

    picture: UInt8[np.ndarray, "256 256 3"]
    mesh: Mesh
    """Its landmarks, in pixels of the picture."""


class FilmInputs(NamedTuple):
    """The three inputs of a film: identity reference, driving audio and pose source."""

    identity: IdentityReference
    waveform: Waveform
    pose_source: EvaluationClip
    """A tracked clip."""


def identity_reference(clip: EvaluationClip) -> IdentityReference:
    """Returns the first frame of a tracked clip with its landmarks."""
    assert clip.raw_meshes is not None
    return IdentityReference(clip.faces[0], clip.raw_meshes[0])


def make_film(talker: Talker, inputs: FilmInputs, path: Path) -> Faces:
    """Renders and encodes a film unless the file exists, and returns its decoded frames.

    The inputs are aligned already, so face detection and alignment do not affect the result.

    Raises:
        InputError: The talker was trained on another crop than an evaluation uses.
        OutputError: The file cannot be written.
    """
    if not path.exists():
        check_crop(talker)
        film = _film(talker, inputs, path)
        write_film(film.frames, inputs.waveform, path, film.tags)
    return read_film(path)


def check_crop(talker: Talker) -> None:
    """Checks that a talker was trained on the default crop template, the only one that an evaluation uses.

    Raises:
        InputError: It was trained on another crop.
    """
    if talker.runtime.spec.crop != CropSpec():
        raise InputError(f"{talker.name} was trained on another face crop; evaluate weights with the default crop")


def write_film(frames: Iterable[Picture], waveform: Waveform, path: Path, tags: dict[str, str]) -> None:
    """Encodes frames of 256 px and their sound as `pcavs animate` does; `tags` become the file's metadata."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sound = path.with_suffix(".wav")
    write_wav(sound, waveform)
    with FilmWriter(path, (SIDE_PX, SIDE_PX), audio=sound, metadata=tags, overwrite=True) as writer:
        for frame in frames:
            writer.write(frame)
    sound.unlink()


def read_film(path: Path) -> Faces:
    """Decodes a film that `write_film` wrote."""
    return np.stack(list(read_frames(path)))


@functools.lru_cache(maxsize=4)
def cached_talker(weights: Path | None, device: Device) -> Talker:
    """Loads weights once per process, for one thread: the processes of an evaluation share the cores."""
    return load_talker(weights, device, threads=1)


def encode_poses(talker: Talker, faces: Faces) -> PoseCodes:
    """Runs the talker's pose encoder on aligned faces."""
    small = network_faces(talker.runtime.spec, faces)
    parts = [talker.runtime.encode_pose(small[first : first + _BATCH]) for first in range(0, len(small), _BATCH)]
    return np.concatenate(parts)


def follow(source: EvaluationClip, identity: Identity) -> HeadMotion:
    """Returns the head motion of a clip from its landmarks, for a head turned by depth, as `pcavs animate` does.

    Identity and pose source lie in crops of the same template, so that positions in the two are comparable.
    """
    assert source.raw_meshes is not None
    track = from_heads(head_pose(np.concatenate([identity.mesh[None], source.raw_meshes])))
    track[:, 3:] -= track[0, 3:]
    return depth_motion(smoothed(track[1:], SMOOTHING_S, FRAME_RATE), identity, anchored=True)


def network_faces(spec: TalkerSpec, faces: Faces) -> UInt8[np.ndarray, "time side side 3"]:
    """Resamples faces to the input resolution of a talker's networks."""
    return np.stack([resized(face, spec.sizes.frame_px) for face in faces])


def _film(talker: Talker, inputs: FilmInputs, path: Path) -> Film:
    """Builds a film with the builder of `pcavs animate`; faces are aligned already, so none are looked for."""
    spec, person = talker.runtime.spec, inputs.identity
    timing = choose_timing(None, spec)
    num_frames = timing.count_frames(len(inputs.waveform), spec.mel)
    codes = talker.runtime.encode_identity(resized(person.picture, spec.sizes.frame_px))
    identity = identity_of(codes, person.picture, person.mesh)
    if turns_by_depth(talker.runtime, Look().turn):
        motion = follow(inputs.pose_source, identity)
    else:
        motion = HeadMotion(timing.smooth(encode_poses(talker, inputs.pose_source.faces)), codes.pose)
    mel = timing.mel(inputs.waveform, num_frames, spec.mel)
    scene = Scene(
        identity=identity,
        mel=mel,
        speech=speech_input(talker.runtime, mel, functools.partial(ArrayWindows, inputs.waveform)),
        num_frames=num_frames,
        motion=motion,
        timing=timing,
    )
    tags = {"title": "Synthetic talking face", "comment": f"Synthetic: made to be measured. weights {talker.name}"}
    return build_film(talker.runtime, scene, Look(), SoundTrack(path=path), tags, segmenter=talker.segmenter)
