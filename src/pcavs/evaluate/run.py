"""`pcavs evaluate`: from weights and clips to report.json and report.html."""

import contextlib
import itertools
import json
import logging
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, Final

import pcavs
from pcavs.errors import FaceError, InputError, OutputError
from pcavs.evaluate.clips import SIDE_PX, Source, case_path, find_clips, load_case, partners, read_case, save_case
from pcavs.evaluate.films import ENCODING, read_film, talker_of, write_film
from pcavs.evaluate.leakage import CodesOf, audit, codes_of
from pcavs.evaluate.observe import judges_folder, load_tools, observe
from pcavs.evaluate.options import EvaluateOptions
from pcavs.evaluate.report import write_report
from pcavs.evaluate.scene import TRUTH, Job
from pcavs.evaluate.summary import summarise
from pcavs.evaluate.work import run_job
from pcavs.weights.locate import find_weights

logger = logging.getLogger(__name__)

REPORT_FORMAT: Final = "pcavs-evaluation-1"
_LEAST_CLIPS: Final = 2
_LEAST_INSIDE: Final = 0.9
"""Share of the landmarks of a clip's first frame that must lie in its crop: nobody animates half a face."""
_LONG_CLIPS: Final = 2
_MOST_OFFSET_FRAMES: Final = 1
"""By which the judge may find a true film early or late."""
_SURE: Final = 0.12
"""Confidence from which the judge's offset of a true film counts; unrelated sound seldom reaches it.

In units of `pcavs-judge-v2`; another judge needs another limit (docs/decisions/0033)."""
_Spread = Callable[..., Iterator[Any]]


def run(options: EvaluateOptions) -> Path:
    """Evaluates and writes the report; what an interrupted run had finished is not done again.

    Raises:
        InputError: There are not two usable clips, or the folder holds another evaluation.
        WeightsError: Weights are missing or damaged.
        OutputError: The folder cannot be written.
    """
    judged = options.weights or (None,)
    weights = _named(judged)
    settings = _settings(options, weights)
    try:
        _claim(options.out, settings)
        with contextlib.ExitStack() as stack:
            spread = _spread(options.workers, stack)
            kept = _prepare(find_clips(options), options, spread)
            rows, unfit = _parted(_measured(_jobs(kept, options, weights), spread), options)
            leaks = _leakage(rows, options, _named((*judged, *options.audit)), spread)
        summary = summarise(rows, [name for name, _ in weights])
        report = settings | summary | {"left_out": unfit, "leakage": leaks, "rows": rows}
        (options.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")
        return write_report(report, options.out)
    except OSError as error:
        raise OutputError(f"cannot write {options.out}: {error}; choose a folder with space") from error


def _named(places: Sequence[Path | None]) -> tuple[tuple[str, Path | None], ...]:
    """Gives each of the weights a name of its own; of a run, its last two folders."""
    named: dict[str, Path | None] = {}
    for place in places:
        found = _of_run(place) if place else None
        name = f"{found.parent.parent.name}-{found.parent.name}" if found else find_weights(place).name
        named[name if name not in named else f"{name} ({len(named) + 1})"] = found or place
    return tuple(named.items())


def _of_run(place: Path) -> Path | None:
    """The best weights of a run of `pcavs train`, or its latest; None where it is none."""
    return next(filter(Path.is_file, (place.absolute() / f"{name}.safetensors" for name in ("best", "latest"))), None)


def _settings(options: EvaluateOptions, weights: tuple[tuple[str, Path | None], ...]) -> dict[str, Any]:
    """What a number needs in order to be repeated."""
    tools = load_tools(judges_folder(options.judges))
    return {
        "format": REPORT_FORMAT,
        "pcavs": pcavs.__version__,
        "weights": {name: find_weights(place).digest for name, place in weights},
        "judge": {key: tools.judge.facts.get(key) for key in ("name", "files", "trained_on", "held_out")},
        "embedders": [embedder.name for embedder in tools.embedders],
        "distances": {distance.name: distance.facts for distance in tools.distances},
        "syncnet": tools.syncnet and tools.syncnet.facts,
        "encoding": ENCODING,
        "clips_from": options.clips.name,
        "split": options.split,
        "most_clips": options.most_clips,
        "most_s": options.most_s,
        "long_s": options.long_s,
        "any_sync": options.any_sync,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Goes on with an evaluation of the same settings, also with more weights; refuses to mix two evaluations."""
    (out / "work").mkdir(parents=True, exist_ok=True)
    place = out / "work" / "settings.json"
    claimed = json.loads(json.dumps(settings))
    if place.exists():
        kept = json.loads(place.read_text())
        # Films of one name lie in one place, so a name must mean the same weights.
        known = claimed["weights"] | kept["weights"]
        same = claimed | {"weights": known} == kept | {"weights": known}
        if not same or known != kept["weights"] | claimed["weights"]:
            raise InputError(f"{out} holds an evaluation of other weights, clips or settings; choose another folder")
        claimed["weights"] = known
    place.write_text(json.dumps(claimed, indent=1))


def _spread(workers: int, stack: contextlib.ExitStack) -> _Spread:
    """Gives `map` over processes; over this one where one is enough."""
    return stack.enter_context(ProcessPoolExecutor(workers)).map if workers > 1 else map


def _prepare(sources: list[Source], options: EvaluateOptions, spread: _Spread) -> list[tuple[str, str]]:
    """Cuts out the clips and gives (key, person) of those that can be used."""
    count = len(sources)
    results = spread(_try_case, sources, [options] * count)
    kept = []
    for source, reason in zip(sources, results, strict=True):
        if reason:
            logger.warning("%s is left out: %s", source.key, reason)
        else:
            kept.append((source.key, source.person))
    if len(kept) < _LEAST_CLIPS:
        raise InputError(f"{len(kept)} usable clips in {options.clips}; give two at least, of different people")
    return kept


def _try_case(source: Source, options: EvaluateOptions) -> str:
    """Prepares a clip; gives the reason where it cannot be used."""
    path = case_path(options.out, source.key)
    if path.exists():
        return ""
    tools = load_tools(judges_folder(options.judges))
    try:
        case = read_case(source, options.most_s, tools.landmarker)
        film = options.out / "films" / case.key / "truth.mp4"
        write_film(case.faces, case.waveform, film, {"comment": "a clip to measure on, aligned"})
        raw = observe(list(read_film(film)), tools, f"{case.key}, truth").raw
        inside = float(((raw[0, :, :2] >= 0) & (raw[0, :, :2] < SIDE_PX)).all(axis=-1).mean())
        if inside < _LEAST_INSIDE:
            return f"of the face in its first frame {inside:.0%} lie in the crop; an identity reference shows all of it"
        save_case(case._replace(film=film, raw=raw), path)
    except (FaceError, InputError) as error:
        return str(error)
    return ""


def _jobs(
    kept: list[tuple[str, str]], options: EvaluateOptions, weights: tuple[tuple[str, Path | None], ...]
) -> list[Job]:
    jobs = []
    for index, (key, _) in enumerate(kept):
        lenders = [kept[other][0] for other in partners(kept, index)]
        jobs.append(
            Job(
                key=key,
                lends_pose=lenders[0],
                lends_speech=lenders[1 % len(lenders)],
                out=options.out,
                judges=judges_folder(options.judges),
                weights=weights,
                device=options.device,
                long_s=options.long_s if index < _LONG_CLIPS else 0.0,
            )
        )
    return jobs


def _measured(jobs: list[Job], spread: _Spread) -> Iterator[dict[str, Any]]:
    for number, row in enumerate(spread(run_job, jobs), start=1):
        logger.info("%d of %d: %s", number, len(jobs), row["key"])
        yield row


def _parted(
    rows: Iterable[dict[str, Any]], options: EvaluateOptions
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Sets clips aside whose own picture and sound do not fit: nothing can be learnt from following such a truth.

    Raises:
        InputError: Fewer than two clips are left.
    """
    fit, unfit = [], []
    for row in rows:
        truth = row["films"][TRUTH]
        is_sure = truth["sync_confidence"] >= _SURE
        if options.any_sync or not is_sure or abs(truth["sync_offset"]) <= _MOST_OFFSET_FRAMES:
            fit.append(row)
        else:
            unfit.append({"key": row["key"], **{name: truth[name] for name in ("sync_offset", "sync_confidence")}})
            logger.warning("%s is left out: its own picture is %+d frames late", row["key"], truth["sync_offset"])
    if len(fit) < _LEAST_CLIPS:
        raise InputError(f"{len(fit)} clips are in sync themselves, {_LEAST_CLIPS} are needed; or add --any-sync")
    return fit, unfit


def _leakage(
    rows: list[dict[str, Any]],
    options: EvaluateOptions,
    weights: tuple[tuple[str, Path | None], ...],
    spread: _Spread,
) -> dict[str, Any]:
    count = len(rows)
    reports = {}
    for name, place in weights:
        logger.info("codes of %s are probed", name)
        codes = spread(_codes, itertools.repeat(place, count), itertools.repeat(options, count), rows)
        digest = {"weights": find_weights(place).digest}
        reports[name] = digest | audit(list(codes))
    return reports


def _codes(place: Path | None, options: EvaluateOptions, row: dict[str, Any]) -> CodesOf:
    case = load_case(case_path(options.out, row["key"]))
    return codes_of(talker_of(place, options.device), case, row["opening"][TRUTH])
