"""Builds everything that a run works with, or restores it from the run's last checkpoint."""

import dataclasses
import logging
from typing import Final, NamedTuple

import torch
from torch import Tensor, nn

from pcavs.data.corpus import Corpus
from pcavs.data.pack import find_packs
from pcavs.data.pack_corpus import PackCorpus
from pcavs.errors import DataError
from pcavs.face.regions import LIPS
from pcavs.models.build import build_model
from pcavs.models.state import tensors_of
from pcavs.spec import COMPACT_PAPER, TINY_FLOW, TINY_PAPER, FeatureSpec, FlowSpec, PaperSpec, TalkerSpec
from pcavs.train.checkpoint import Position, RunFolder, load_checkpoint, load_discriminators, load_start
from pcavs.train.distributed import Process, begin_training
from pcavs.train.generator import GeneratorStage
from pcavs.train.identity import IdentityStage
from pcavs.train.lineage import run_facts, untrained_networks
from pcavs.train.options import TrainOptions
from pcavs.train.reconstruction import Reconstruction, make_reconstruction
from pcavs.train.speech import SpeechStage
from pcavs.train.stage import Learner, Model, Stage, TrainingHeads, World
from pcavs.train.sync import SyncStage

logger = logging.getLogger(__name__)

STAGES: Final = {
    "identity": IdentityStage,
    "visual": GeneratorStage,
    "speech": SpeechStage,
    "sync": SyncStage,
    "generator": GeneratorStage,
}


class Session(NamedTuple):
    """Everything that a run works with."""

    options: TrainOptions
    process: Process
    spec: TalkerSpec
    model: Model
    modules: nn.ModuleDict
    """The model, the heads, and what the stage adds."""
    stage: Stage
    optimizers: dict[str, torch.optim.Optimizer]
    """By learner."""
    average: dict[str, Tensor]
    """Exponential moving average of the model's weights, which is validated and shipped."""
    reconstruction: Reconstruction
    """For validation and previews."""
    held_out: Corpus
    """Clips for validation and previews."""
    folder: RunFolder
    position: Position
    facts: dict[str, str]
    """Provenance of the run (`lineage.run_facts`)."""
    untrained: frozenset[str]
    """Networks that no stage has trained yet; they are neither validated nor shown."""


def start(options: TrainOptions, process: Process) -> Session:
    """Builds a run, or restores it from its last complete checkpoint.

    Raises:
        DataError: The data is missing, damaged or of another face size than the talker.
        WeightsError: `start` or the checkpoint does not fit.
    """
    spec = spec_of(options)
    corpus = open_data(options, spec, "train")
    torch.manual_seed(options.seed)
    model = build_model(spec)
    heads = TrainingHeads(spec, 2 * len(LIPS))
    if options.start:
        # Before the stage is built, because its perceptual loss copies the identity encoder.
        used = {"heads": heads} if options.trained == "all" else {}  # the face is trained without them
        load_start(options.start, nn.ModuleDict({"model": model} | used), spec)
    world = World(process.rank, process.gather)
    stage: Stage = STAGES[options.stage](model, heads, corpus, options, world)
    modules = stage.modules
    if options.start:
        load_discriminators(options.start, modules)
    modules.to(process.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - missing in torch's types
    optimizers = {name: _optimizer(learner, options) for name, learner in stage.learners.items()}
    average = {name: torch.from_numpy(value) for name, value in tensors_of(model).items()}
    folder, position = RunFolder(options.run), Position(0, 0.0)
    if folder.checkpoints():
        position, average = load_checkpoint(folder.checkpoints()[-1], modules, optimizers)
        logger.info("resumed at step %d", position.step)
    begin_training(modules, frozen=options.frozen_statistics)
    return Session(
        options=options,
        process=process,
        spec=spec,
        model=model,
        modules=modules,
        stage=stage,
        optimizers=optimizers,
        average={name: value.to(process.device) for name, value in average.items()},
        reconstruction=make_reconstruction(model, options),
        held_out=_held_out(options, spec, corpus),
        folder=folder,
        position=position,
        facts=run_facts(options, corpus) if process.is_first else {},
        untrained=frozenset(untrained_networks(options)),
    )


def spec_of(options: TrainOptions) -> TalkerSpec:
    """Returns the spec of the talker that the options ask for."""
    flow = TINY_FLOW if options.size == "tiny" else FlowSpec()
    paper = {"default": PaperSpec(), "compact": COMPACT_PAPER, "tiny": TINY_PAPER}[options.size]
    features = FeatureSpec() if options.features == "whisper" else None
    return TalkerSpec(
        kind=options.kind,
        flow=dataclasses.replace(flow, pose_dim=options.pose_dim, features=features),
        paper=dataclasses.replace(paper, pose_dim=options.pose_dim),
    )


def open_data(options: TrainOptions, spec: TalkerSpec, split: str) -> Corpus:
    """Opens the clips of a split: packs are read into memory, shards are not. Source weights apply to training only.

    Raises:
        DataError: The data is missing, damaged or of another face size than the talker, or has no clip of the split.
    """
    weights = dict(options.source_weights) if split == "train" else None
    frame_px = spec.sizes.frame_px
    if options.shards:
        # Imported late: it needs PyAV, which a machine that trains on packs may lack.
        from pcavs.data.shard_corpus import ShardCorpus

        return ShardCorpus(options.shards, split, frame_px, weights)
    flow = spec.flow if spec.kind == "flow" else None
    corpus = PackCorpus.load(find_packs(options.packs), split, weights, flow)
    if corpus.frame_px != frame_px:
        raise DataError(
            f"the packs hold faces of {corpus.frame_px} px, and the talker needs {frame_px} px; "
            f"pack again with --frame-px {frame_px}"
        )
    return corpus


def _optimizer(learner: Learner, options: TrainOptions) -> torch.optim.Optimizer:
    return torch.optim.AdamW(
        learner.parameter_groups(),
        lr=options.lr * learner.rate,
        betas=learner.betas,
        weight_decay=learner.weight_decay,
        amsgrad=learner.amsgrad,
    )


def _held_out(options: TrainOptions, spec: TalkerSpec, corpus: Corpus) -> Corpus:
    """Opens the held-out clips; returns the training clips if no clip with speech is held out."""
    try:
        held_out = open_data(options, spec, "val")
    except DataError:
        held_out = None
    if held_out is not None and held_out.num_heard:
        return held_out
    logger.warning("no clip with speech is held out: validation uses clips of the training data")
    return corpus
