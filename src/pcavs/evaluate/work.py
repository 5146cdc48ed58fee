"""One clip's part of an evaluation: its films, its baselines, its numbers."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np

from pcavs.animate.animator import Animator
from pcavs.animate.options import Device
from pcavs.evaluate.clips import Case, case_path, load_case, load_speech, resized
from pcavs.evaluate.films import PoseCodes, Recipe, animator_of, encode_poses, make_film, read_film
from pcavs.evaluate.measure import Expected, Row, measure, measure_alone, measure_sync
from pcavs.evaluate.observe import Seen, Tools, identity_of, load_tools, observe, seen_as
from pcavs.media.mel import mel_windows, padded_mel
from pcavs.media.timeline import bounce_index, count_samples
from pcavs.metrics.curves import exchange
from pcavs.metrics.sound import silent_frames
from pcavs.metrics.sync import Embeddings, distance_curve
from pcavs.spec import FRAME_RATE, MelSpec
from pcavs.types import Waveform

SHIFT_FRAMES: Final = 5
"""By which the shifted truth is late."""

TRUTH, SHIFTED, FROZEN, COPIED = (
    "ground truth",
    "ground truth, 5 frames late",
    "frozen first frame",
    "copied pose source",
)
SELF, CROSS, SILENCE, MISMATCHED = "self-driven", "cross-driven", "silence", "other speech"
OTHER_POSE, OTHER_FACE = "other pose", "other face"
LONG_FIRST, LONG_LAST = "looped speech, first seconds", "looped speech, last seconds"

_THUMB_PX: Final = 112
_TITLE_PX: Final = 18
_STRIP_FRAMES: Final = 8


@dataclasses.dataclass(frozen=True, kw_only=True)
class Job:
    """What a worker is told."""

    key: str
    lends_pose: str
    """Key of the clip whose head motion is borrowed."""
    lends_speech: str
    out: Path
    judges: Path
    weights: tuple[tuple[str, Path | None], ...]
    """Name and place of each."""
    device: Device
    long_s: float = 0.0
    """Length of the film of looped speech; 0 makes none."""


class Scene(NamedTuple):
    """A clip, its lenders and what is known of all three, each as long as the clip."""

    case: Case
    lender: Case
    """Lends its head motion, and its face where that alone is exchanged."""
    truth: Seen
    other_pose: Seen
    other_speech: Waveform
    heard: Embeddings
    other_heard: Embeddings
    own: Expected
    """What a film of the clip's own speech and pose should be like."""


def run_job(job: Job) -> dict[str, Any]:
    """Makes and measures all films of a clip; what was finished before is read back.

    Raises:
        FaceError: A film shows no face.
    """
    row_path = job.out / "work" / f"{job.key}.json"
    if row_path.exists():
        return json.loads(row_path.read_text())
    tools = load_tools(job.judges)
    scene = _scene(job, tools)
    films, faces = _baselines(scene, tools)
    curves = {TRUTH: scene.truth.opening.tolist()}
    shifts = {TRUTH: _shift_curve(scene.truth, scene.heard, tools)}
    exchanges: dict[str, Any] = {}
    for name, place in job.weights:
        animator = animator_of(place, job.device)
        poses = encode_poses(animator, scene.case.faces)
        seen = _made(animator, name, scene, poses, tools, job)
        films |= {f"{name}: {protocol}": _measured(protocol, film, scene, tools) for protocol, film in seen.items()}
        films |= _long_films(animator, name, scene, poses, tools, job)
        exchanges[name] = _exchanges(seen)
        faces |= {f"{name}: {protocol}": film.faces for protocol, film in seen.items()}
        curves[name] = seen[SELF].opening.tolist()
        shifts[name] = _shift_curve(seen[SELF], scene.heard, tools)
        shifts[f"{name}: {MISMATCHED}"] = _shift_curve(seen[MISMATCHED], scene.heard, tools)
    _strip(faces, job.out / "work" / f"{job.key}.jpg")
    row = {
        "key": job.key,
        "person": scene.case.person,
        "lender": scene.lender.person,
        "lends_pose": job.lends_pose,
        "lends_speech": job.lends_speech,
        "frames": len(scene.case.faces),
        "films": films,
        "exchanges": exchanges,
        "opening": curves,
        "shifts": shifts,
        "rows_of_strip": list(faces),
    }
    part = row_path.with_name(row_path.name + ".part")
    part.write_text(json.dumps(row))
    part.replace(row_path)
    return row


def _scene(job: Job, tools: Tools) -> Scene:
    case, lender = (load_case(case_path(job.out, key)) for key in (job.key, job.lends_pose))
    count = len(case.faces)
    truth = _true_film(case, range(count))
    other_pose = _true_film(lender, [bounce_index(t, len(lender.faces)) for t in range(count)])
    speech = np.resize(load_speech(case_path(job.out, job.lends_speech)), len(case.waveform))
    heard, other_heard = (tools.judge.heard(_windows(sound, count)) for sound in (case.waveform, speech))
    first = seen_as(truth.faces[:1], truth.raw[:1])
    identity = {embedder.name: identity_of(first, embedder, [0])[0] for embedder in tools.embedders}
    own = Expected(truth, truth.angles, heard, silent_frames(case.waveform)[:count], identity)
    return Scene(case, lender, truth, other_pose, speech, heard, other_heard, own)


def _true_film(case: Case, frames: Sequence[int]) -> Seen:
    assert case.film is not None
    assert case.raw is not None
    faces = read_film(case.film)
    return seen_as([faces[t] for t in frames], case.raw[list(frames)])


def _windows(waveform: Waveform, count: int) -> np.ndarray:
    return mel_windows(padded_mel(waveform, count, MelSpec()))


def _baselines(scene: Scene, tools: Tools) -> tuple[dict[str, Row], dict[str, Sequence[np.ndarray]]]:
    """Measures the films that no talker made."""
    count, truth = len(scene.case.faces), scene.truth
    late = np.maximum(np.arange(count) - SHIFT_FRAMES, 0)
    shifted = seen_as([truth.faces[t] for t in late], truth.raw[late])
    frozen = seen_as([truth.faces[0]] * count, np.repeat(truth.raw[:1], count, axis=0))
    # What a talker would show that copies its pose source's film instead of speaking.
    as_cross = Expected(None, scene.other_pose.angles, scene.other_heard, None, scene.own.identity)
    # By itself a late film is the film, and a frozen one is any three of its frames.
    alone, still = measure_alone(truth), measure_alone(seen_as(frozen.faces[:3], frozen.raw[:3]))
    rows = {
        TRUTH: measure(truth, scene.own, tools, alone),
        SHIFTED: measure(shifted, scene.own, tools, alone),
        FROZEN: measure(frozen, scene.own, tools, still),
        COPIED: measure(scene.other_pose, as_cross, tools),
    }
    return rows, {TRUTH: truth.faces, COPIED: scene.other_pose.faces}


def _made(animator: Animator, name: str, scene: Scene, poses: PoseCodes, tools: Tools, job: Job) -> dict[str, Seen]:
    """Makes the films of one talker: the protocols, and those in which one source only is exchanged."""
    case, other = scene.case, scene.lender
    face, speech, lent = case.faces[0], case.waveform, encode_poses(animator, other.faces)
    recipes = {
        SELF: Recipe(face, speech, poses),
        CROSS: Recipe(face, scene.other_speech, lent),
        SILENCE: Recipe(face, np.zeros_like(speech), poses),
        MISMATCHED: Recipe(face, scene.other_speech, poses),
        OTHER_POSE: Recipe(face, speech, lent),
        OTHER_FACE: Recipe(other.faces[0], speech, poses),
    }
    folder = job.out / "films" / case.key
    return {
        protocol: observe(
            list(make_film(animator, recipe, folder / f"{name}-{protocol.replace(' ', '-')}.mp4")),
            tools,
            f"{case.key}, {name} {protocol}",
        )
        for protocol, recipe in recipes.items()
    }


def _long_films(
    animator: Animator, name: str, scene: Scene, poses: PoseCodes, tools: Tools, job: Job
) -> dict[str, Row]:
    """Loops the clip's speech and measures the beginning and the end: what drifts, drifts here."""
    count, length = round(job.long_s * FRAME_RATE), len(scene.case.faces)
    if count < 2 * length:
        return {}
    speech = np.resize(scene.case.waveform, count_samples(count))
    path = job.out / "films" / job.key / f"{name}-long.mp4"
    faces = make_film(animator, Recipe(scene.case.faces[0], speech, poses), path)
    windows = _windows(speech, count)
    rows = {}
    for part, first in ((LONG_FIRST, 0), (LONG_LAST, count - length)):
        span = slice(first, first + length)
        film = observe(list(faces[span]), tools, f"{job.key}, {name} {part}")
        expected = Expected(heard=tools.judge.heard(windows[span]), identity=scene.own.identity)
        rows[f"{name}: {part}"] = measure(film, expected, tools)
    return rows


def _measured(protocol: str, film: Seen, scene: Scene, tools: Tools) -> Row:
    own, other_angles = scene.own, scene.other_pose.angles
    if protocol == SELF:
        return measure(film, own, tools)
    if protocol == CROSS:
        return measure(film, own._replace(truth=None, angles=other_angles, heard=scene.other_heard, silent=None), tools)
    if protocol == SILENCE:
        return measure(film, own._replace(heard=None, silent=np.ones(len(film.faces), bool)), tools)
    if protocol == MISMATCHED:
        row = measure(film, own._replace(heard=scene.other_heard, silent=None), tools)
        unheard = measure_sync(film, scene.heard, tools)
        return row | {f"unheard_{name}": value for name, value in unheard.items()}
    if protocol == OTHER_POSE:
        return measure(film, own._replace(truth=None, angles=other_angles), tools)
    return measure(film, own._replace(truth=None, identity=None), tools)


def _exchanges(seen: dict[str, Seen]) -> dict[str, dict[str, tuple[float, ...]]]:
    """What each source's exchange did to the mouth and to the head."""
    sources = {"speech": MISMATCHED, "pose": OTHER_POSE, "identity": OTHER_FACE}
    base = seen[SELF]
    return {
        source: {
            "mouth": tuple(
                exchange(base.opening[:, None].astype(np.float64), film.opening[:, None].astype(np.float64))
            ),
            "head": tuple(exchange(base.angles, film.angles)),
        }
        for source, film in ((source, seen[protocol]) for source, protocol in sources.items())
    }


def _shift_curve(film: Seen, heard: Embeddings, tools: Tools) -> list[float]:
    count = min(len(film.crops) - 4, len(heard))
    return distance_curve(tools.judge.seen(film.crops, film.lips)[:count], heard[:count]).tolist()


def _strip(films: dict[str, Sequence[np.ndarray]], path: Path) -> None:
    """Eight moments of each film, one film a row under its name, for the report."""
    count = min(len(faces) for faces in films.values())
    moments = np.linspace(0, count - 1, _STRIP_FRAMES).round().astype(int)
    rows = []
    for name, faces in films.items():
        title = np.full((_TITLE_PX, _STRIP_FRAMES * _THUMB_PX, 3), 255, np.uint8)
        cv2.putText(title, name, (4, _TITLE_PX - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        rows += [title, np.hstack([resized(faces[t], _THUMB_PX) for t in moments])]
    sheet = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
    path.write_bytes(cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes())
