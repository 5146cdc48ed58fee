"""What a run works with, built or resumed."""

import dataclasses
import logging
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pcavs.data.corpus import Corpus
from pcavs.data.library import Library
from pcavs.data.pack import find_packs
from pcavs.errors import DataError
from pcavs.face.regions import LIPS
from pcavs.models.build import build_model
from pcavs.models.state import tensors_of
from pcavs.spec import TINY_FLOW, TINY_PAPER, FlowSpec, PaperSpec, TalkerSpec
from pcavs.train.checkpoint import Position, RunFolder, load_checkpoint, load_judges, load_start
from pcavs.train.generator import GeneratorStage
from pcavs.train.identity import IdentityStage
from pcavs.train.machine import Machine, begin_training
from pcavs.train.options import TrainOptions
from pcavs.train.rebuild import Rebuilder, make_rebuilder
from pcavs.train.stage import AnyTalker, Crew, Learner, Stage, TrainingHeads
from pcavs.train.sync import SyncStage

logger = logging.getLogger(__name__)

STAGES = {"identity": IdentityStage, "visual": GeneratorStage, "sync": SyncStage, "generator": GeneratorStage}


class Session(NamedTuple):
    """All that a run works with."""

    options: TrainOptions
    machine: Machine
    spec: TalkerSpec
    talker: AnyTalker
    live: nn.ModuleDict
    """Talker, heads, and what the stage adds."""
    stage: Stage
    optimizers: dict[str, torch.optim.Optimizer]
    """By learner."""
    average: dict[str, Tensor]
    """Running average of the talker's weights: what is validated, and shipped."""
    rebuilder: Rebuilder
    """For validation and previews."""
    seen: Corpus
    """Clips for validation and previews."""
    folder: RunFolder
    position: Position


def start(options: TrainOptions, machine: Machine) -> Session:
    """Builds a run, or takes it up where it was saved.

    Raises:
        DataError: The data are missing, damaged or of another size than the talker.
        WeightsError: `start` or a checkpoint does not fit.
    """
    spec = spec_of(options)
    library = open_data(options, spec, "train")
    torch.manual_seed(options.seed)
    talker = build_model(spec)
    heads = TrainingHeads(spec, 2 * len(LIPS))
    if options.start:
        # Before the stage is built: a perceptual loss looks through the encoder that it starts with.
        load_start(options.start, nn.ModuleDict({"talker": talker, "heads": heads}))
    crew = Crew(machine.rank, machine.gather)
    stage: Stage = STAGES[options.stage](talker, heads, library, options, crew)
    live = stage.modules
    if options.start:
        load_judges(options.start, live)
    live.to(machine.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - missing in torch's types
    optimizers = {name: _optimizer(learner, options) for name, learner in stage.learners.items()}
    average = {name: torch.from_numpy(value) for name, value in tensors_of(talker).items()}
    folder, position = RunFolder(options.run), Position(0, 0.0)
    if folder.checkpoints():
        position, average = load_checkpoint(folder.checkpoints()[-1], live, optimizers)
        logger.info("resumed at step %d", position.step)
    begin_training(live, frozen=options.frozen_statistics)
    return Session(
        options=options,
        machine=machine,
        spec=spec,
        talker=talker,
        live=live,
        stage=stage,
        optimizers=optimizers,
        average={name: value.to(machine.device) for name, value in average.items()},
        rebuilder=make_rebuilder(talker, options),
        seen=_seen(options, spec, library),
        folder=folder,
        position=position,
    )


def spec_of(options: TrainOptions) -> TalkerSpec:
    """Gives the spec of the talker that the options ask for."""
    tiny = options.size == "tiny"
    flow, paper = (TINY_FLOW, TINY_PAPER) if tiny else (FlowSpec(), PaperSpec())
    return TalkerSpec(
        kind=options.kind,
        flow=dataclasses.replace(flow, pose_dim=options.pose_dim),
        paper=dataclasses.replace(paper, pose_dim=options.pose_dim),
    )


def open_data(options: TrainOptions, spec: TalkerSpec, split: str) -> Corpus:
    """Opens the clips of a split, packs into memory or shards where they lie.

    Raises:
        DataError: The data are missing, damaged or of another size than the talker, or hold no clip of the split.
    """
    weights = dict(options.source_weights) if split == "train" else None
    frame_px = spec.sizes.frame_px
    if options.shards:
        # Imported late: reading films needs PyAV, which a bare machine with packs lacks.
        from pcavs.data.stream import ShardLibrary

        return ShardLibrary(options.shards, split, frame_px, weights)
    library = Library.load(find_packs(options.packs), split, weights)
    if library.frame_px != frame_px:
        raise DataError(f"packs hold faces of {library.frame_px} px, the talker needs {frame_px}; pack again")
    return library


def _optimizer(learner: Learner, options: TrainOptions) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        learner.modules.parameters(),
        lr=options.lr * learner.rate,
        betas=learner.betas,
        weight_decay=learner.weight_decay,
        amsgrad=learner.amsgrad,
    )


def _seen(options: TrainOptions, spec: TalkerSpec, library: Corpus) -> Corpus:
    """Held-out clips; the training's own where none with speech are held out."""
    try:
        held_out = open_data(options, spec, "val")
    except DataError:
        held_out = None
    if held_out is not None and held_out.num_heard:
        return held_out
    logger.warning("no clip with speech is held out: validation looks at clips that training sees")
    return library
