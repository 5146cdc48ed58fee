"""The protocols of an evaluation: which films are made of a clip, and what each is compared with.

Baselines are films that no talker made: the ground truth, and degenerate films that a good metric must score badly.
"""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from pcavs.animate.options import Device
from pcavs.animate.talker import Talker
from pcavs.errors import FaceError
from pcavs.evaluate.clips import EvaluationClip, clip_path, load_clip, load_waveform
from pcavs.evaluate.figures import write_strip
from pcavs.evaluate.films import FilmInputs, cached_talker, identity_reference, make_film, read_film
from pcavs.evaluate.measure import (
    Reference,
    Row,
    measure,
    measure_following,
    measure_sync,
    measure_without_reference,
)
from pcavs.evaluate.observe import (
    Judges,
    Observation,
    SoundEmbeddings,
    embed_own_sound,
    embed_sound,
    frame_windows,
    observe,
    observe_landmarks,
    reference_identity,
)
from pcavs.evaluate.sets import Kind
from pcavs.media.timeline import bounce_index, count_samples
from pcavs.metrics.curves import motion_change
from pcavs.metrics.sound import silent_frames
from pcavs.metrics.sync import EDGE_FRAMES, distance_curve
from pcavs.spec import FRAME_RATE, SAMPLES_PER_FRAME
from pcavs.types import Picture, Waveform

logger = logging.getLogger(__name__)

SHIFT_FRAMES: Final = 5
"""Delay of the shifted ground truth (0.2 s), which viewers notice. Tuned by hand; not measured."""

TRUTH: Final = "ground truth"
SHIFTED: Final = f"ground truth, {SHIFT_FRAMES} frames late"
FROZEN: Final = "frozen first frame"
COPIED: Final = "copied pose source"
"""The pose source's own video, shown with the driving audio: what a talker would do that only copies."""

SELF, CROSS, SILENCE = "self-driven", "cross-driven", "silence"
OTHER_SPEECH, OTHER_POSE, OTHER_IDENTITY = "other speech", "other pose", "other identity"
"""Self-driven with one input exchanged."""
LATE_SPEECH: Final = f"speech {SHIFT_FRAMES} frames late"
"""Self-driven with the clip's own speech at the wrong time."""
STILL, STILL_OTHER, STILL_LATE = (f"still head{rest}" for rest in ("", f", {OTHER_SPEECH}", f", {LATE_SPEECH}"))
"""The head holds the pose of the first frame, so that only the speech moves the mouth."""
FOLLOWING: Final = {STILL: (STILL_LATE, STILL_OTHER), SELF: (LATE_SPEECH, OTHER_SPEECH)}
"""Films with the clip's own speech, and the same with late speech and with another's."""
LOOP_START, LOOP_END = "looped speech, first seconds", "looped speech, last seconds"

SHORT_FILM_S: Final = 3.0
"""Longest duration of the silence, other pose and other identity films, to save time. Tuned by hand; not measured."""

NO_FACE: Final[Row] = {"face_found": 0.0}
"""The metrics of a film in which no face is found."""

_STILL_FRAMES: Final = 3
"""Frames of the frozen film that are measured without a reference; all of its frames are equal."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ClipJob:
    """A worker's task: make and measure all films of one clip."""

    key: str
    pose_source: str
    """Key of the clip that provides another head motion, and another identity."""
    speech_source: str
    """Key of the clip that provides other speech."""
    out: Path
    """Folder of the evaluation."""
    judges: Path
    """Folder of the optional judges."""
    weights: tuple[tuple[str, Path | None], ...]
    """Name and path of each; None is the talker in the package."""
    device: Device
    set_name: str
    """The set that the clip belongs to."""
    kind: Kind
    still_only: bool = False
    """Makes only the films with a still head."""
    long_s: float = 0.0
    """Duration of the film of looped speech; 0 makes none."""


class ClipInputs(NamedTuple):
    """A clip and the sources exchanged into its films, all as long as the clip, with their observations."""

    clip: EvaluationClip
    pose_source: EvaluationClip
    truth: Observation
    pose_truth: Observation
    """The pose source's video, played forwards and backwards where it is shorter than the clip."""
    other_speech: Waveform
    late_speech: Waveform
    """The clip's own, `SHIFT_FRAMES` late, after silence."""
    sound: SoundEmbeddings
    """Of the clip's own speech."""
    other_sound: SoundEmbeddings
    own: Reference
    """Reference of a film with the clip's own identity, speech and pose."""


def load_inputs(job: ClipJob, judges: Judges) -> ClipInputs:
    """Reads the stored clip of a job and those of its pose source and speech source."""
    clip, pose_source = (load_clip(clip_path(job.out, key)) for key in (job.key, job.pose_source))
    count = len(clip.faces)
    truth = _observe_truth(clip, range(count))
    pose_truth = _observe_truth(pose_source, [bounce_index(t, len(pose_source.faces)) for t in range(count)])
    other_speech = np.resize(load_waveform(clip_path(job.out, job.speech_source)), len(clip.waveform))
    late_speech = np.roll(clip.waveform, SHIFT_FRAMES * SAMPLES_PER_FRAME)
    late_speech[: SHIFT_FRAMES * SAMPLES_PER_FRAME] = 0
    sound, other_sound = (embed_sound(frame_windows(w, count), w, judges) for w in (clip.waveform, other_speech))
    late_sound = embed_own_sound(late_speech, count, judges)
    own = Reference(
        truth=truth,
        phonemes=clip.phonemes,
        angles_deg=truth.angles_deg,
        sound=sound,
        wrong_sounds={"late": late_sound, "other": other_sound},
        silent=silent_frames(clip.waveform)[:count],
        identity=reference_identity(truth, judges),
    )
    return ClipInputs(clip, pose_source, truth, pose_truth, other_speech, late_speech, sound, other_sound, own)


def _observe_truth(clip: EvaluationClip, frames: Sequence[int]) -> Observation:
    assert clip.truth_path is not None
    assert clip.raw_meshes is not None
    faces = read_film(clip.truth_path)
    return observe_landmarks([faces[t] for t in frames], clip.raw_meshes[list(frames)])


def measure_baselines(job: ClipJob, inputs: ClipInputs, judges: Judges) -> dict[str, Any]:
    """Measures the films of a clip that no talker made, and starts the clip's row of the report."""
    count, truth = len(inputs.clip.faces), inputs.truth
    late = np.maximum(np.arange(count) - SHIFT_FRAMES, 0)
    shifted = observe_landmarks([truth.faces[t] for t in late], truth.raw_meshes[late])
    frozen = observe_landmarks([truth.faces[0]] * count, np.repeat(truth.raw_meshes[:1], count, axis=0))
    still = observe_landmarks(frozen.faces[:_STILL_FRAMES], frozen.raw_meshes[:_STILL_FRAMES])
    own_metrics, still_metrics = measure_without_reference(truth), measure_without_reference(still)
    as_cross = Reference(
        angles_deg=inputs.pose_truth.angles_deg, sound=inputs.other_sound, identity=inputs.own.identity
    )
    films = {
        TRUTH: measure(truth, inputs.own, judges, own_metrics),
        # A shifted film has the same frames, so the metrics without a reference are the truth's.
        SHIFTED: measure(shifted, inputs.own, judges, own_metrics),
        FROZEN: measure(frozen, inputs.own, judges, still_metrics),
        COPIED: measure(inputs.pose_truth, as_cross, judges),
    }
    write_strip({TRUTH: truth.faces, COPIED: inputs.pose_truth.faces}, job.out, job.key)
    return {
        "key": job.key,
        "person": inputs.clip.person,
        "set": job.set_name,
        "kind": job.kind,
        "pose_source": job.pose_source,
        "pose_source_person": inputs.pose_source.person,
        "speech_source": job.speech_source,
        "frames": count,
        "films": films,
        "motion_changes": {},
        "mouth_opening": {TRUTH: truth.opening.tolist()},
        "distance_curves": {TRUTH: _shift_curve(truth, inputs.sound, judges)},
    }


def measure_talker(job: ClipJob, name: str, weights: Path | None, inputs: ClipInputs, judges: Judges) -> dict[str, Any]:
    """Makes and measures the films of one talker.

    A film in which no face is found counts as one: its `face_found` is 0, it has no other metrics, and it takes part in
    no curve and no comparison of motion.

    Returns:
        Parts of the clip's row, to be merged into the one of `measure_baselines`.
    """
    talker = cached_talker(weights, job.device)
    pictures = _make_films(talker, name, inputs, job)
    found = {kind: _observed(faces, judges, f"{job.key}, {name} {kind}") for kind, faces in pictures.items()}
    films = {kind: film for kind, film in found.items() if film is not None}
    rows = {
        f"{name}: {kind}": _measure_protocol(kind, films[kind], inputs, judges) if kind in films else dict(NO_FACE)
        for kind in pictures
    }
    if not job.still_only:
        rows |= _measure_looped_speech(talker, name, inputs, judges, job)
    write_strip({f"{name}: {kind}": faces for kind, faces in pictures.items()}, job.out, job.key, name)
    shown = STILL if job.still_only else SELF
    other = FOLLOWING[shown][1]
    curves = {name: shown, f"{name}: {other}": other}
    return {
        "films": rows,
        "motion_changes": {name: _motion_changes(films)} if {SELF, *_EXCHANGED.values()} <= films.keys() else {},
        "mouth_opening": {name: films[shown].opening.tolist()} if shown in films else {},
        "distance_curves": {
            title: _shift_curve(films[kind], inputs.sound, judges) for title, kind in curves.items() if kind in films
        },
    }


def main_film(row: dict[str, Any], name: str) -> str:
    """Returns the film that stands for the weights `name`: the self-driven one, or else that of a still head."""
    return next(film for film in (f"{name}: {SELF}", f"{name}: {STILL}") if film in row["films"])


def main_film_of_other_speech(row: dict[str, Any], name: str) -> str:
    """Returns the film like `main_film` with another clip's speech."""
    return f"{name}: {FOLLOWING[main_film(row, name).removeprefix(f'{name}: ')][1]}"


def _make_films(talker: Talker, name: str, inputs: ClipInputs, job: ClipJob) -> dict[str, Sequence[Picture]]:
    """Makes one film for each protocol."""
    clip, other = inputs.clip, inputs.pose_source
    face, speech = identity_reference(clip), clip.waveform
    short_speech = speech[: count_samples(round(SHORT_FILM_S * FRAME_RATE))]
    assert clip.raw_meshes is not None
    first = clip._replace(faces=clip.faces[:1], raw_meshes=clip.raw_meshes[:1])
    film_inputs = {
        STILL: FilmInputs(face, speech, first),
        STILL_LATE: FilmInputs(face, inputs.late_speech, first),
        STILL_OTHER: FilmInputs(face, inputs.other_speech, first),
    }
    if not job.still_only:
        film_inputs |= {
            SELF: FilmInputs(face, speech, clip),
            CROSS: FilmInputs(face, inputs.other_speech, other),
            SILENCE: FilmInputs(face, np.zeros_like(short_speech), clip),
            LATE_SPEECH: FilmInputs(face, inputs.late_speech, clip),
            OTHER_SPEECH: FilmInputs(face, inputs.other_speech, clip),
            OTHER_POSE: FilmInputs(face, short_speech, other),
            OTHER_IDENTITY: FilmInputs(identity_reference(other), short_speech, clip),
        }
    folder = job.out / "films" / clip.key
    return {
        protocol: list(make_film(talker, film, folder / f"{name}-{protocol.replace(',', '').replace(' ', '-')}.mp4"))
        for protocol, film in film_inputs.items()
    }


def _observed(faces: Sequence[Picture], judges: Judges, name: str) -> Observation | None:
    """Observes a film; returns None, with a warning, where no frame shows a face."""
    try:
        return observe(faces, judges, name)
    except FaceError as error:
        logger.warning("%s; the film counts as one without a face", error)
        return None


def _measure_protocol(protocol: str, film: Observation, inputs: ClipInputs, judges: Judges) -> Row:
    own, other_angles = inputs.own._replace(wrong_sounds={}), inputs.pose_truth.angles_deg
    if protocol in (LATE_SPEECH, STILL_LATE):
        return measure_following(film, inputs.truth, own.phonemes)
    if protocol == STILL_OTHER:
        return measure_following(film, inputs.truth, own.phonemes) | _unused_speech(film, inputs, judges)
    if protocol == SELF:
        reference = inputs.own
    elif protocol == STILL:
        reference = inputs.own._replace(is_same_head=False, angles_deg=None)
    elif protocol == CROSS:
        reference = own._replace(truth=None, angles_deg=other_angles, sound=inputs.other_sound, silent=None)
    elif protocol == SILENCE:
        reference = own._replace(sound=None, silent=np.ones(len(film.faces), bool))
    elif protocol == OTHER_SPEECH:
        reference = own._replace(sound=inputs.other_sound, silent=None)
    elif protocol == OTHER_POSE:
        reference = own._replace(truth=None, angles_deg=other_angles)
    else:
        reference = own._replace(truth=None, identity=None)
    row = measure(film, reference, judges)
    if protocol == OTHER_SPEECH:
        row |= _unused_speech(film, inputs, judges)
    return row


def _unused_speech(film: Observation, inputs: ClipInputs, judges: Judges) -> Row:
    """Scores a film with other speech against the clip's own speech, which it did not hear."""
    return {f"unused_{name}": value for name, value in measure_sync(film, inputs.sound, judges).items()}


def _measure_looped_speech(
    talker: Talker, name: str, inputs: ClipInputs, judges: Judges, job: ClipJob
) -> dict[str, Row]:
    """Repeats the clip's speech and measures the first and the last pass, which differ if the talker drifts."""
    count, length = round(job.long_s * FRAME_RATE), len(inputs.clip.faces)
    if count < 2 * length:
        return {}
    speech = np.resize(inputs.clip.waveform, count_samples(count))
    path = job.out / "films" / job.key / f"{name}-long.mp4"
    faces = make_film(talker, FilmInputs(identity_reference(inputs.clip), speech, inputs.clip), path)
    windows = frame_windows(speech, count)
    rows = {}
    for part, first in ((LOOP_START, 0), (LOOP_END, count - length)):
        span = slice(first, first + length)
        film = _observed(list(faces[span]), judges, f"{job.key}, {name} {part}")
        if film is None:
            rows[f"{name}: {part}"] = dict(NO_FACE)
            continue
        part_speech = speech[count_samples(first) : count_samples(first + length)]
        reference = Reference(sound=embed_sound(windows[span], part_speech, judges), identity=inputs.own.identity)
        rows[f"{name}: {part}"] = measure(film, reference, judges)
    return rows


_EXCHANGED: Final = {"speech": OTHER_SPEECH, "pose": OTHER_POSE, "identity": OTHER_IDENTITY}
"""For each input the film in which it is exchanged."""


def _motion_changes(films: dict[str, Observation]) -> dict[str, dict[str, tuple[float, ...]]]:
    """Compares mouth and head motion of the self-driven film with each film in which one input is exchanged."""
    changes: dict[str, dict[str, tuple[float, ...]]] = {}
    for source, protocol in _EXCHANGED.items():
        count = len(films[protocol].opening)
        mouths = [film.opening[:count, None].astype(np.float64) for film in (films[SELF], films[protocol])]
        heads = [film.angles_deg[:count] for film in (films[SELF], films[protocol])]
        changes[source] = {"mouth": tuple(motion_change(*mouths)), "head": tuple(motion_change(*heads))}
    return changes


def _shift_curve(film: Observation, sound: SoundEmbeddings, judges: Judges) -> list[float]:
    """Returns the sync judge's distance of film and sound at each shift."""
    count = min(len(film.crops) - 2 * EDGE_FRAMES, len(sound.sync))
    mouth = judges.sync.embed_mouth(film.crops, film.lips)
    return distance_curve(mouth[:count], sound.sync[:count]).tolist()
