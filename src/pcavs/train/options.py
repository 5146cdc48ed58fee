"""Options of one training run."""

import dataclasses
import difflib
from pathlib import Path
from typing import Literal

from pcavs.errors import InputError
from pcavs.spec import POSE_DIM
from pcavs.train.weights import weights_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Trains one stage of a talker, and can be continued from where it stopped.

    A recipe (TOML) or the folder of a run may come first; its settings hold where no other is given.
    """

    run: Path
    """Folder of the run: settings, journal, previews and checkpoints. An existing run is continued."""
    packs: tuple[Path, ...] = ()
    """Folders of packs (made by `pcavs pack`), or packs: clips in memory."""
    shards: tuple[Path, ...] = ()
    """Folders of shards (made by `pcavs prepare`) instead of packs: clips read when they are drawn."""
    stage: Literal["identity", "visual", "sync", "generator"] = "sync"
    """`identity` tells people apart; `visual` rebuilds frames from what is seen alone; `sync` binds what is heard to
    what is seen; `generator` rebuilds frames, starting from a `sync` run."""
    start: Path | None = None
    """Run, checkpoint or weights file to take the talker from at step 0."""
    kind: Literal["flow", "paper"] = "flow"
    """Talker to train: `flow` moves the identity picture, `paper` is the published network, which paints."""
    size: Literal["default", "tiny"] = "default"
    """Spec of a talker that starts from nothing: the one that ships, or the tests' own."""
    pose_dim: int = POSE_DIM
    """Length of the pose code of a talker that starts from nothing; other than 12, the pose head must be free."""
    steps: int = 3000
    """Last step; raise it to go on with a finished run."""
    clips: int = 6
    """Clips a batch, on each device."""
    moments: int = 3
    """Target frames a clip; in the sync stage the other moments of a clip are its hardest negatives."""
    joined_frames: int = 1
    """Consecutive frames of a moment whose embeddings are joined where sound and sight are contrasted; of stage
    `sync` and of the sync steps between, and of stage `generator` with published losses."""
    source_weights: tuple[tuple[str, float], ...] = ()
    """Share of draws of each source, for example `renders 2`; sources left out weigh 1."""
    lr: float = 5e-4
    """Learning rate of AdamW after warm-up."""
    warmup_steps: int = 100
    """Steps over which the learning rate rises from nothing."""
    decay_steps: int = 500
    """Last steps, over which the learning rate falls to nothing."""
    colour_from_step: int = 600
    """Generator: until here the mask is charged in full, so that flow is learnt first."""
    sync_every: int = 0
    """Generator: every so many-th step is a step of the sync stage, on 4 clips of 16 moments; 0 is never."""
    losses: Literal["repaired", "published"] = "repaired"
    """`published` takes contrast, weights and optimiser of the published code, as far as they are known."""
    augmentation: Literal["colour", "paper", "none"] = "colour"
    """What the motion encoder's input goes through; `paper` bends its geometry too."""
    voices: Literal["kept", "changed"] = "kept"
    """`changed` gives each clip of a batch another voice, microphone and background noise, so that speech encoders that
    heard few people understand others; validation always hears what was recorded."""
    looks: Literal["kept", "changed"] = "kept"
    """`changed` mirrors half of a batch's clips and gives each another width, framing and light, identity frame and
    targets alike, so that generators that saw few people move others; validation always sees what was recorded."""
    pose_head: Literal["supervised", "free"] = "supervised"
    """`free` lets reconstruction teach the pose code, as published; the mouth can then leak through it."""
    margin: float = 0.0
    """Identity: cosine by which the right speaker must win, for example 0.2; 0 is plain cross-entropy."""
    vgg: Path | None = None
    """Generator: torchvision's VGG19 weights, for the published perceptual loss instead of our identity encoder's."""
    judges: tuple[Literal["mouth", "face"], ...] = ()
    """Generator: discriminators that rebuilt frames must fool: of the mouth's region, of the whole face, or both."""
    judge_rate: float = 2.0
    """Learning rate of the discriminators, times `lr`."""
    term_weights: tuple[tuple[str, float], ...] = ()
    """Weights of loss terms other than the usual ones, by journal name, for example `mouth_adversarial 0.1`."""
    ema: float = 0.998
    """Memory of the running average of the weights."""
    seed: int = 0
    """Batches, augmentation and starting weights follow from it."""
    trained: Literal["all", "face"] = "all"
    """Generator: `face` trains the generator and the identity encoder alone, as adapting to a person does."""
    prior: float = 0.0
    """Generator: price of the squared distance of the trained weights from those of `start`, by their own size."""
    frozen_statistics: bool = False
    """Keeps the normalisations' statistics as they are: for fine-tuning on few faces, and for many devices."""
    devices: int = 1
    """Devices of this machine to train on, a process each."""
    nodes: int = 1
    """Machines; above 1, start the command with torchrun on each."""
    readers: int = 1
    """Threads that draw batches ahead."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` is `cuda` where torch finds one."""
    precision: Literal["bf16-mixed", "32-true"] = "bf16-mixed"
    """Arithmetic of the networks; losses and weights are always float32."""
    log_every: int = 20
    """Steps between rows of the journal."""
    save_minutes: float = 4.0
    """Minutes between checkpoints, each with a validation and a preview; one more comes at the end."""
    stop_minutes: float | None = None
    """Saves and stops after this long, whatever the step."""


def frames_a_step(options: TrainOptions) -> int:
    """Gives the target frames that a step of the stage itself shows, over all devices."""
    return options.clips * options.moments * joined_frames(options) * options.devices * options.nodes


def joined_frames(options: TrainOptions) -> int:
    """Gives the consecutive frames of a moment: a rebuilt frame says little that its neighbour did not."""
    contrasted = options.stage == "sync" or (options.stage == "generator" and options.losses == "published")
    return options.joined_frames if contrasted else 1


def verify(options: TrainOptions) -> None:
    """Refuses settings that disagree.

    Raises:
        InputError: In one line, the two settings and what would do.
    """
    if bool(options.packs) == bool(options.shards):
        given = "both" if options.packs else "neither"
        raise InputError(f"of packs and shards, {given} are given; name one of them: that is the data")
    if min(options.devices, options.nodes, options.readers) < 1:
        raise InputError(
            f"devices {options.devices}, nodes {options.nodes} and readers {options.readers} must be at least 1"
        )
    if options.pose_dim != POSE_DIM and options.pose_head == "supervised":
        raise InputError(
            f"pose-dim {options.pose_dim} and pose-head supervised disagree: "
            f"the pose that is taught has {POSE_DIM} numbers; use --pose-head free"
        )
    if options.steps < 1:
        raise InputError(f"steps {options.steps} must be at least 1")
    if options.warmup_steps + options.decay_steps > options.steps:
        raise InputError(
            f"warmup-steps {options.warmup_steps} and decay-steps {options.decay_steps} do not fit into "
            f"steps {options.steps}; lower them or train longer"
        )
    if options.clips < 1 or options.moments < 1:
        raise InputError(f"clips {options.clips} and moments {options.moments} must both be at least 1")
    if options.joined_frames < 1:
        raise InputError(f"joined-frames {options.joined_frames} must be at least 1; 1 contrasts single frames")
    _verify_stage(options)


def _verify_stage(options: TrainOptions) -> None:
    if options.stage == "sync" and options.losses == "repaired" and options.moments < 2:
        raise InputError("the sync stage needs moments of at least 2: the others of a clip are its negatives")
    if options.losses == "published" and options.clips < 2 and options.stage in ("sync", "generator"):
        raise InputError("the published contrast needs clips of at least 2: other clips are its negatives")
    if options.prior > 0 and options.start is None:
        raise InputError(f"prior {options.prior:g} is a distance from the weights of start; give --start")
    if options.judges and options.stage not in ("visual", "generator"):
        given = " ".join(options.judges)
        raise InputError(f"judges {given} look at rebuilt frames, which stage {options.stage} does not make")
    known = sorted(weights_of(options.stage, options.kind, options.losses))
    for name, _ in options.term_weights:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            meant = f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}"
            raise InputError(f"stage {options.stage} has no loss term {name}; {meant}")
