"""`pcavs adapt`: a film of one person in, a talker that knows this person out."""

import dataclasses
import logging
import shutil
from pathlib import Path

from pcavs.data.ledger import read_ledger
from pcavs.errors import DataError, InputError, OutputError, WeightsError
from pcavs.prepare.options import PrepareOptions
from pcavs.prepare.run import run as prepare
from pcavs.train.adapt_options import AdaptOptions
from pcavs.train.options import TrainOptions
from pcavs.train.run import run as train
from pcavs.weights.bundle import load_bundle, save_bundle
from pcavs.weights.locate import find_weights

logger = logging.getLogger(__name__)

CLIP_S = 4.0
"""Length of a clip: a film of half a minute must give several, so that there is something to tell apart."""


def run(options: AdaptOptions) -> Path:
    """Prepares the film, fine-tunes, and gives the bundle; all of it in `run`, which can be gone on with.

    Raises:
        InputError: The film or the weights are not there, or `out` is there already.
        DataError: No clip of the film could be used.
        WeightsError: The weights cannot be trained: they have no bundle, or are of another kind.
        OutputError: `run` or `out` cannot be written.
    """
    if not options.video.is_file():
        raise InputError(f"no film at {options.video}; give a film of the person speaking")
    if options.out.exists() and not options.overwrite:
        raise InputError(f"{options.out} is there already; choose another --out or say --overwrite")
    start = find_weights(None if options.weights == "default" else Path(options.weights)).bundle
    if start is None:
        raise WeightsError(f"{options.weights} has no bundle to train from; give a .safetensors file")
    bundle = load_bundle(start)
    if bundle.spec.kind != "flow":
        raise WeightsError(f"{start} is a {bundle.spec.kind} talker; adapt fits flow talkers")
    folder = options.run or options.out.with_suffix(".run")
    shards = _prepared(options.video, folder)
    place = train(_training(options, start, shards, folder))
    adapted = load_bundle(place / "average.safetensors")
    facts = bundle.provenance | {"adapted_from": start.name, "adapted_steps": adapted.provenance["steps"]}
    save_bundle(dataclasses.replace(adapted, provenance=facts, licence=bundle.licence), options.out, half=True)
    return options.out


def _prepared(video: Path, folder: Path) -> Path:
    """Prepares the film alone, all of it for training."""
    source, shards = folder / "film", folder / "shards"
    try:
        source.mkdir(parents=True, exist_ok=True)
        copy = source / video.name
        if not copy.exists():
            part = copy.with_name(copy.name + ".part")
            shutil.copyfile(video, part)
            part.replace(copy)
        (source / "index.csv").write_text(f'path,identity,source,split\n"{video.name}",me,film,train\n')
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error}; choose another --run") from error
    counts = prepare(PrepareOptions(source=source, out=shards, index=source / "index.csv", longest_s=CLIP_S, workers=1))
    if counts.kept == 0:
        reason = next(row["reason"] for row in read_ledger(shards) if not row["kept"])
        raise DataError(f"no clip of {video} could be used ({reason}); {shards / 'report.html'} tells of each")
    logger.info("%d clips of %s", counts.kept, video.name)
    return shards


def _training(options: AdaptOptions, start: Path, shards: Path, folder: Path) -> TrainOptions:
    ramp = max(1, options.steps // 6)
    return TrainOptions(
        shards=(shards,),
        run=folder / "train",
        stage="generator",
        start=start,
        trained="face",
        prior=options.prior,
        frozen_statistics=True,
        colour_from_step=0,
        clips=4,
        moments=4,
        lr=options.lr,
        steps=options.steps,
        warmup_steps=min(20, ramp),
        decay_steps=ramp,
        ema=0.98,
        judges=("mouth",),
        device=options.device,
        stop_minutes=options.minutes,
    )
