"""The films that a talker makes of a clip, and what is measured of them."""

from pathlib import Path
from typing import Any, Final

import numpy as np

from pcavs.animate.talker import Talker
from pcavs.evaluate.films import Recipe, make_film, person_of, talker_of
from pcavs.evaluate.measure import Expected, Row, measure, measure_sync
from pcavs.evaluate.observe import Seen, Tools, hear, observe
from pcavs.evaluate.scene import (
    CROSS,
    LONG_FIRST,
    LONG_LAST,
    MISMATCHED,
    OTHER_FACE,
    OTHER_POSE,
    SELF,
    SILENCE,
    Job,
    Scene,
    shift_curve,
    windows_of,
)
from pcavs.evaluate.strips import write_strip
from pcavs.media.timeline import count_samples
from pcavs.metrics.curves import exchange
from pcavs.spec import FRAME_RATE

BRIEF_S: Final = 3.0
"""Length at most of the films in which one source only is silent or exchanged: who drives what shows by then."""


def talker_part(job: Job, name: str, place: Path | None, scene: Scene, tools: Tools) -> dict[str, Any]:
    """Makes and measures the films of one talker.

    Raises:
        FaceError: A film shows no face.
    """
    talker = talker_of(place, job.device)
    seen = _made(talker, name, scene, tools, job)
    films = {f"{name}: {protocol}": _measured(protocol, film, scene, tools) for protocol, film in seen.items()}
    films |= _long_films(talker, name, scene, tools, job)
    faces = {f"{name}: {protocol}": film.faces for protocol, film in seen.items()}
    write_strip(faces, job.out, job.key, name)
    return {
        "films": films,
        "exchanges": {name: _exchanges(seen)},
        "opening": {name: seen[SELF].opening.tolist()},
        "shifts": {
            name: shift_curve(seen[SELF], scene.heard, tools),
            f"{name}: {MISMATCHED}": shift_curve(seen[MISMATCHED], scene.heard, tools),
        },
    }


def _made(talker: Talker, name: str, scene: Scene, tools: Tools, job: Job) -> dict[str, Seen]:
    """Makes the films of one talker: the protocols, and those in which one source only is exchanged."""
    case, other = scene.case, scene.lender
    face, speech = person_of(case), case.waveform
    brief = speech[: count_samples(round(BRIEF_S * FRAME_RATE))]
    recipes = {
        SELF: Recipe(face, speech, case),
        CROSS: Recipe(face, scene.other_speech, other),
        SILENCE: Recipe(face, np.zeros_like(brief), case),
        MISMATCHED: Recipe(face, scene.other_speech, case),
        OTHER_POSE: Recipe(face, brief, other),
        OTHER_FACE: Recipe(person_of(other), brief, case),
    }
    folder = job.out / "films" / case.key
    return {
        protocol: observe(
            list(make_film(talker, recipe, folder / f"{name}-{protocol.replace(' ', '-')}.mp4")),
            tools,
            f"{case.key}, {name} {protocol}",
        )
        for protocol, recipe in recipes.items()
    }


def _long_films(talker: Talker, name: str, scene: Scene, tools: Tools, job: Job) -> dict[str, Row]:
    """Loops the clip's speech and measures the beginning and the end: what drifts, drifts here."""
    count, length = round(job.long_s * FRAME_RATE), len(scene.case.faces)
    if count < 2 * length:
        return {}
    speech = np.resize(scene.case.waveform, count_samples(count))
    path = job.out / "films" / job.key / f"{name}-long.mp4"
    faces = make_film(talker, Recipe(person_of(scene.case), speech, scene.case), path)
    windows = windows_of(speech, count)
    rows = {}
    for part, first in ((LONG_FIRST, 0), (LONG_LAST, count - length)):
        span = slice(first, first + length)
        film = observe(list(faces[span]), tools, f"{job.key}, {name} {part}")
        part_speech = speech[count_samples(first) : count_samples(first + length)]
        expected = Expected(heard=hear(windows[span], part_speech, tools), identity=scene.own.identity)
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
    exchanges: dict[str, dict[str, tuple[float, ...]]] = {}
    for source, protocol in sources.items():
        count = len(seen[protocol].opening)
        mouths = [film.opening[:count, None].astype(np.float64) for film in (seen[SELF], seen[protocol])]
        heads = [film.angles[:count] for film in (seen[SELF], seen[protocol])]
        exchanges[source] = {"mouth": tuple(exchange(*mouths)), "head": tuple(exchange(*heads))}
    return exchanges
