"""One clip's part of an evaluation: its baselines, its talkers' films, and what of them is known already."""

import json
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from pcavs.evaluate.measure import Expected, Row, measure, measure_alone
from pcavs.evaluate.observe import Tools, load_tools, seen_as
from pcavs.evaluate.protocols import talker_part
from pcavs.evaluate.scene import COPIED, FROZEN, SHIFT_FRAMES, SHIFTED, TRUTH, Job, Scene, scene_of, shift_curve
from pcavs.evaluate.strips import write_strip


def run_job(job: Job) -> dict[str, Any]:
    """Makes and measures all films of a clip; what was finished before is read back, talker by talker.

    Raises:
        FaceError: A film shows no face.
    """
    tools = load_tools(job.judges)
    scene = cache(partial(scene_of, job, tools))
    work = job.out / "work"
    row = _once(work / f"{job.key}.json", lambda: _baseline_part(job, scene(), tools))
    for name, place in job.weights:
        make = partial(_of_talker, job, (name, place), scene, tools)
        part = _once(work / f"{job.key}--{name}.json", make)
        for kind, values in part.items():
            row[kind] |= values
    return row


def _of_talker(job: Job, weights: tuple[str, Path | None], scene: Callable[[], Scene], tools: Tools) -> dict[str, Any]:
    return talker_part(job, *weights, scene(), tools)


def _once(place: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Reads back what was made before, or makes it and keeps it."""
    if not place.exists():
        part = place.with_name(place.name + ".part")
        part.write_text(json.dumps(make()))
        part.replace(place)
    return json.loads(place.read_text())


def _baseline_part(job: Job, scene: Scene, tools: Tools) -> dict[str, Any]:
    films, faces = _baselines(scene, tools)
    write_strip(faces, job.out, job.key)
    return {
        "key": job.key,
        "person": scene.case.person,
        "lender": scene.lender.person,
        "lends_pose": job.lends_pose,
        "lends_speech": job.lends_speech,
        "frames": len(scene.case.faces),
        "films": films,
        "exchanges": {},
        "opening": {TRUTH: scene.truth.opening.tolist()},
        "shifts": {TRUTH: shift_curve(scene.truth, scene.heard, tools)},
    }


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
