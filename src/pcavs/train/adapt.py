"""`pcavs adapt`: fine-tunes a talker to one person, from a video of the person."""

import dataclasses
import logging
import shutil
from pathlib import Path
from typing import Final

from pcavs.data.shard import read_ledger
from pcavs.errors import DataError, InputError, OutputError, WeightsError
from pcavs.media.files import atomic_file, refuse_replacing, write_text
from pcavs.prepare.options import PrepareOptions
from pcavs.prepare.run import run as prepare
from pcavs.train.options import AdaptOptions, TrainOptions
from pcavs.train.run import run as train
from pcavs.weights.bundle import load_bundle, save_bundle
from pcavs.weights.locate import find_weights

logger = logging.getLogger(__name__)

CLIP_S: Final = 4.0
"""Longest clip: half a minute then gives several clips, which are each other's negatives in the contrast."""

RAMP_SHARE: Final = 6
"""The learning rate decays over one in so many steps, at the end. Tuned by hand; not measured."""

MAX_WARMUP_STEPS: Final = 20
"""Longest warm-up. Tuned by hand; not measured."""

EMA: Final = 0.98
"""Decay of the moving average: its memory of 50 steps fits into a few hundred."""


def run(options: AdaptOptions) -> Path:
    """Prepares the video, fine-tunes, and writes the bundle; intermediate files stay in `run` and can be continued.

    Raises:
        InputError: The video or the weights do not exist, or `out` exists.
        DataError: No clip of the video can be used.
        WeightsError: The weights cannot be trained: they have no bundle, or are not of a `flow` talker.
        OutputError: `run` or `out` cannot be written.
    """
    if not options.video.is_file():
        raise InputError(f"no video at {options.video}; give a video of the person speaking")
    if options.out.exists() and not options.overwrite:
        raise InputError(f"{options.out} exists; choose another --out or add --overwrite")
    refuse_replacing([options.out], [("the video", options.video), ("the bundle to train from", options.weights)])
    start = find_weights(options.weights).bundle
    if start is None:
        raise WeightsError(f"{options.weights} has no bundle to train from; give a .safetensors file")
    bundle = load_bundle(start)
    if bundle.spec.kind != "flow":
        raise WeightsError(f"{start} is a {bundle.spec.kind} talker; adapt needs a flow talker")
    folder = options.run or options.out.with_suffix(".run")
    shards = _prepare(options.video, folder)
    checkpoint = train(_training(options, start, shards, folder))
    adapted = load_bundle(checkpoint / "average.safetensors")
    facts = bundle.provenance | {"adapted_from": start.name, "adapted_steps": adapted.provenance["steps"]}
    save_bundle(dataclasses.replace(adapted, provenance=facts, licence=bundle.licence), options.out, half=True)
    return options.out


def _prepare(video: Path, folder: Path) -> Path:
    """Prepares the video, all of it for training, and returns the folder of shards."""
    source, shards = folder / "film", folder / "shards"
    index = source / "index.csv"
    try:
        source.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error}; choose another --run") from error
    if not (source / video.name).exists():
        with atomic_file(source / video.name) as part:
            shutil.copyfile(video, part)
    write_text(index, f'path,identity,source,split\n"{video.name}",me,film,train\n')
    counts = prepare(PrepareOptions(source=source, out=shards, index=index, longest_s=CLIP_S, workers=1))
    if counts.kept == 0:
        reason = next(row["reason"] for row in read_ledger(shards) if not row["kept"])
        raise DataError(f"no clip of {video} can be used ({reason}); {shards / 'report.html'} shows why, clip by clip")
    logger.info("%d clips of %s", counts.kept, video.name)
    return shards


def _training(options: AdaptOptions, start: Path, shards: Path, folder: Path) -> TrainOptions:
    """Returns the options of the training run.

    Running statistics are frozen, because those of one person's face would be far from those of the training data.
    """
    ramp = max(1, options.steps // RAMP_SHARE)
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
        warmup_steps=min(MAX_WARMUP_STEPS, ramp),
        decay_steps=ramp,
        ema=EMA,
        discriminators=("mouth",),
        device=options.device,
        stop_minutes=options.minutes,
    )
