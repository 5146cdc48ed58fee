"""`pcavs evaluate`: reads clips, makes and measures films in worker processes, and writes report.json and report.html.

Each finished part is stored in the folder `work`, so that a stopped evaluation continues and a finished one takes more
weights.
"""

import contextlib
import itertools
import json
import logging
import platform
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

import pcavs
from pcavs.errors import FaceError, InputError, OutputError
from pcavs.evaluate import paper_table
from pcavs.evaluate.clips import (
    MIN_SPEECH_RMS,
    SIDE_PX,
    ClipSource,
    clip_path,
    find_clips,
    load_clip,
    load_sync,
    other_clips,
    read_clip,
    store_clip,
)
from pcavs.evaluate.films import ENCODING, cached_talker, read_film, write_film
from pcavs.evaluate.following import following_markdown, summarise_following
from pcavs.evaluate.leakage import ClipCodes, audit, encode_clip
from pcavs.evaluate.measure import sync_scores
from pcavs.evaluate.observe import embed_own_sound, judges_folder, load_judges, observe
from pcavs.evaluate.options import EvaluateOptions
from pcavs.evaluate.protocols import TRUTH, ClipJob
from pcavs.evaluate.report import write_report
from pcavs.evaluate.sets import ClipSet, find_sets
from pcavs.evaluate.summary import summarise
from pcavs.evaluate.worker import run_job
from pcavs.media.files import write_json, write_text
from pcavs.spec import speech_features
from pcavs.weights.locate import find_weights

logger = logging.getLogger(__name__)

REPORT_FORMAT: Final = "pcavs-evaluation-3"

_MIN_CLIPS: Final = 2
_MIN_INSIDE_SHARE: Final = 0.9
"""Share of the landmarks of a clip's first frame that must lie inside the crop: half a face is no identity reference.
Tuned by hand; not measured."""
_LOOPED_CLIPS: Final = 2
"""Clips of which a film of looped speech is made, because it is long."""
_MAX_TRUTH_OFFSET_FRAMES: Final = 1
"""Offset of a clip's own picture and sound above which the clip is excluded."""
_MIN_CONFIDENCE: Final = 0.12
"""Sync confidence from which the offset counts. Measured on clips of known sync: none of 79 above it was more than two
frames off by mistake (docs/decisions/0020). In units of `pcavs-judge-v2`; another judge needs another limit."""

_Map = Callable[..., Iterator[Any]]
_Clip = tuple[str, str, ClipSet]
"""Key, person and set."""


class PreparedClip(NamedTuple):
    """A clip that was read, or why it cannot be used."""

    reason: str = ""
    """Why it cannot be used; empty for usable clips."""
    sync_offset: float = 0.0
    """Frames by which its own picture is late."""
    sync_confidence: float = 0.0
    """The sync judge's."""


_NamedWeights = tuple[tuple[str, Path | None], ...]
"""Name and path of each; None is the talker in the package."""


def run(options: EvaluateOptions) -> Path:
    """Evaluates weights and returns the path of the report; parts that were finished before are not repeated.

    Raises:
        InputError: There are fewer than two usable clips, or the folder holds another evaluation.
        WeightsError: Weights are missing or damaged.
        OutputError: The folder cannot be written.
    """
    if options.protocol == "paper-table":
        return paper_table.run(options)
    evaluated = options.weights or (None,)
    weights = _named(evaluated)
    settings = _settings(options, weights)
    try:
        _claim_folder(options.out, settings)
        with contextlib.ExitStack() as stack:
            parallel_map = _parallel_map(options.workers, stack)
            clips, excluded = _prepare(find_clips(options), options, parallel_map)
            rows = _measured(_jobs(clips, options, weights), parallel_map)
            probed = options.audit if options.still_only else (*evaluated, *options.audit)
            leakage = _leakage(rows, options, _named(probed), parallel_map)
        names = [name for name, _ in weights]
        summary = summarise(rows, names) | {"following": summarise_following(rows, names)}
        heard = {name: speech_features(cached_talker(place, options.device).runtime.spec) for name, place in weights}
        report = settings | {"speech_features": heard} | summary
        report |= {"excluded": excluded, "leakage": leakage, "rows": rows}
        write_json(options.out / "report.json", report)
        write_text(options.out / "following.md", following_markdown(report))
        return write_report(report, options.out)
    except OSError as error:
        raise OutputError(f"cannot write to {options.out} ({error}); choose another folder") from error


def _named(places: Sequence[Path | None]) -> _NamedWeights:
    """Gives each of the weights a unique name; a training run is named after its last two folders."""
    named: dict[str, Path | None] = {}
    for place in places:
        found = _run_weights(place) if place else None
        name = f"{found.parent.parent.name}-{found.parent.name}" if found else find_weights(place).name
        named[name if name not in named else f"{name} ({len(named) + 1})"] = found or place
    return tuple(named.items())


def _run_weights(place: Path) -> Path | None:
    """Returns the best, or else the latest, weights of a training run; None if `place` is not a run."""
    return next(filter(Path.is_file, (place.absolute() / f"{name}.safetensors" for name in ("best", "latest"))), None)


def _settings(options: EvaluateOptions, weights: _NamedWeights) -> dict[str, Any]:
    """Returns everything that is needed to repeat the evaluation, for report.json."""
    judges = load_judges(judges_folder(options.judges))
    return {
        "format": REPORT_FORMAT,
        "pcavs": pcavs.__version__,
        "weights": {name: find_weights(place).digest for name, place in weights},
        "judge": {key: judges.sync.facts.get(key) for key in ("name", "files", "trained_on", "held_out")},
        "embedders": [embedder.name for embedder in judges.embedders],
        "perceptual": {distance.name: distance.facts for distance in judges.perceptual},
        "syncnet": judges.syncnet and judges.syncnet.facts,
        "encoding": ENCODING,
        "sets": [clip_set.facts() for clip_set in find_sets(options)],
        "split": options.split,
        "most_clips": options.most_clips,
        "most_s": options.most_s,
        "long_s": options.long_s,
        "still_only": options.still_only,
        "any_sync": options.any_sync,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }


def _claim_folder(out: Path, settings: dict[str, Any]) -> None:
    """Stores the settings in a new folder, or checks that they continue the evaluation in it; weights may be added.

    Raises:
        InputError: The folder holds an evaluation with other settings, or with other weights of the same name.
    """
    (out / "work").mkdir(parents=True, exist_ok=True)
    path = out / "work" / "settings.json"
    claimed = json.loads(json.dumps(settings))
    if path.exists():
        stored = json.loads(path.read_text())
        # Files are named after the weights, so a name must stand for the same weights as before.
        known = claimed["weights"] | stored["weights"]
        same = claimed | {"weights": known} == stored | {"weights": known}
        if not same or known != stored["weights"] | claimed["weights"]:
            raise InputError(f"{out} holds an evaluation of other weights, clips or settings; choose another folder")
        claimed["weights"] = known
    write_json(path, claimed)


def _parallel_map(workers: int, stack: contextlib.ExitStack) -> _Map:
    """Returns the `map` of a process pool; the built-in one for a single worker."""
    return stack.enter_context(ProcessPoolExecutor(workers)).map if workers > 1 else map


def _prepare(
    sources: list[ClipSource], options: EvaluateOptions, parallel_map: _Map
) -> tuple[list[_Clip], list[dict[str, Any]]]:
    """Reads and stores the clips, before any film is made.

    Clips whose own picture and sound are out of sync are excluded: a talker in sync would be punished for them.

    Returns:
        The usable clips, and for each clip out of sync its key, offset and confidence.

    Raises:
        InputError: Fewer than two clips are usable.
    """
    usable: list[_Clip] = []
    excluded = []
    prepared = parallel_map(_prepare_clip, sources, [options] * len(sources))
    for source, clip in zip(sources, prepared, strict=True):
        is_late = clip.sync_confidence >= _MIN_CONFIDENCE and abs(clip.sync_offset) > _MAX_TRUTH_OFFSET_FRAMES
        if clip.reason:
            logger.warning("%s is excluded: %s", source.key, clip.reason)
        elif is_late and not options.any_sync:
            logger.warning("%s is excluded: its own picture is %+d frames late", source.key, clip.sync_offset)
            excluded.append(
                {"key": source.key, "sync_offset": clip.sync_offset, "sync_confidence": clip.sync_confidence}
            )
        elif source.clip_set:
            usable.append((source.key, source.person, source.clip_set))
    place = options.clips or options.sets
    if len(usable) < _MIN_CLIPS <= len(usable) + len(excluded):
        raise InputError(
            f"{len(usable)} clips in {place} are in sync, {_MIN_CLIPS} are needed; give other clips or add --any-sync"
        )
    if len(usable) < _MIN_CLIPS:
        raise InputError(f"{len(usable)} usable clips in {place}; give at least two, of different people")
    return usable, excluded


def _prepare_clip(source: ClipSource, options: EvaluateOptions) -> PreparedClip:
    """Reads, encodes, tracks and stores a clip, and measures its own sync."""
    path = clip_path(options.out, source.key)
    if path.exists():
        return PreparedClip("", *load_sync(path))
    judges = load_judges(judges_folder(options.judges))
    try:
        clip = read_clip(source, options.most_s, judges.landmarker)
        if np.sqrt(np.mean(np.square(clip.waveform))) < MIN_SPEECH_RMS:
            return PreparedClip("nobody speaks: its sound is silent")
        truth_path = options.out / "films" / clip.key / "truth.mp4"
        write_film(clip.faces, clip.waveform, truth_path, {"comment": "ground truth of an evaluation, aligned"})
        truth = observe(list(read_film(truth_path)), judges, f"{clip.key}, truth")
        raw_meshes = truth.raw_meshes
        points = raw_meshes[0, :, :2]
        inside = float(((points >= 0) & (points < SIDE_PX)).all(axis=-1).mean())
        if inside < _MIN_INSIDE_SHARE:
            return PreparedClip(
                f"only {inside:.0%} of the landmarks of its first frame are inside the crop; a whole face is needed"
            )
        scores = sync_scores(truth, embed_own_sound(clip.waveform, len(clip.faces), judges), judges)
        sync = scores["sync_offset"], scores["sync_confidence"]
        store_clip(clip._replace(truth_path=truth_path, raw_meshes=raw_meshes), path, sync)
    except (FaceError, InputError) as error:
        return PreparedClip(str(error))
    return PreparedClip("", *sync)


def _jobs(clips: list[_Clip], options: EvaluateOptions, weights: _NamedWeights) -> list[ClipJob]:
    jobs = []
    for index, (key, person, clip_set) in enumerate(clips):
        # Others come from the same set, so that its figures do not depend on what else is evaluated.
        own_set = [(name, who) for name, who, other_set in clips if other_set == clip_set]
        pool = own_set if {who for _, who in own_set} != {person} else [(name, who) for name, who, _ in clips]
        others = [pool[other][0] for other in other_clips(pool, pool.index((key, person)))]
        jobs.append(
            ClipJob(
                key=key,
                pose_source=others[0],
                speech_source=others[1 % len(others)],
                out=options.out,
                judges=judges_folder(options.judges),
                weights=weights,
                device=options.device,
                set_name=clip_set.name,
                kind=clip_set.kind,
                still_only=options.still_only,
                long_s=options.long_s if index < _LOOPED_CLIPS else 0.0,
            )
        )
    return jobs


def _measured(jobs: list[ClipJob], parallel_map: _Map) -> list[dict[str, Any]]:
    """Measures all clips, and says how far it is."""
    rows = []
    for number, row in enumerate(parallel_map(run_job, jobs), start=1):
        logger.info("%d of %d: %s", number, len(jobs), row["key"])
        rows.append(row)
    return rows


def _leakage(
    rows: list[dict[str, Any]], options: EvaluateOptions, weights: _NamedWeights, parallel_map: _Map
) -> dict[str, Any]:
    """Probes the codes of each of the weights."""
    count = len(rows)
    reports = {}
    for name, place in weights:
        logger.info("probing the codes of %s", name)
        codes = parallel_map(_codes, itertools.repeat(place, count), itertools.repeat(options, count), rows)
        reports[name] = {"weights": find_weights(place).digest} | audit(list(codes))
    return reports


def _codes(place: Path | None, options: EvaluateOptions, row: dict[str, Any]) -> ClipCodes:
    clip = load_clip(clip_path(options.out, row["key"]))
    return encode_clip(cached_talker(place, options.device), clip, row["mouth_opening"][TRUTH])
