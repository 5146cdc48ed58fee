"""Options of `pcavs train` and `pcavs adapt`."""

import dataclasses
import difflib
from pathlib import Path
from typing import Literal

from pcavs.errors import InputError
from pcavs.spec import POSE_DIM
from pcavs.train.loss_weights import weights_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """Trains one stage of a talker; a run that was stopped continues where it was saved.

    A recipe (a TOML file) or the folder of a run may come first; its settings hold where the command line gives none.
    """

    run: Path
    """Folder of the run, for settings, journal, previews and checkpoints. A run that exists is continued."""
    pipeline: Path | None = None
    """Pipeline (a TOML file) whose stages are run one after the other, each from the weights of the one before; each is
    a run in a folder of `run`. Stages that are done are not repeated."""
    dry_run: bool = False
    """Trains nothing: says the steps, times some of them, and tells time and memory."""
    packs: tuple[Path, ...] = ()
    """Packs (`pcavs pack`), or folders of packs; their clips are held in memory."""
    shards: tuple[Path, ...] = ()
    """Folders of shards (`pcavs prepare`), instead of packs; clips are read from disk when they are drawn."""
    stage: Literal["identity", "visual", "speech", "sync", "generator"] = "sync"
    """`identity` classifies speakers; `visual` reconstructs frames without sound; `speech` trains the speech encoder on
    lip shapes, `sync` ties speech to visual content, and `generator` reconstructs frames from speech."""
    start: Path | None = None
    """Run, checkpoint or weights file whose weights the run starts from; `default` is the talker in the package."""
    kind: Literal["flow", "paper"] = "flow"
    """Kind of talker: `flow` warps the photograph, `paper` is the published network."""
    size: Literal["default", "compact", "tiny"] = "default"
    """Size of a talker that starts from random weights: the shipped or published one's, a `paper` talker that two
    processor cores can train, or the tests'."""
    features: Literal["mel", "whisper"] = "mel"
    """What the speech encoder of a `flow` talker hears: mel windows, or the states of a pretrained encoder, which the
    packs must hold."""
    pose_dim: int = POSE_DIM
    """Length of the pose code of a talker that starts from random weights; other than 12 needs a free pose head."""
    steps: int = 3000
    """Last step; raise it to continue a run that reached it."""
    clips: int = 6
    """Clips per batch, on each device."""
    moments: int = 3
    """Target times per clip; in stage `sync` the other moments of a clip are a moment's most useful negatives."""
    joined_frames: int = 1
    """Consecutive frames per moment, whose codes are joined for the contrast: in stage `sync` and in sync steps; with
    published losses in all of stage `generator`."""
    source_weights: tuple[tuple[str, float], ...] = ()
    """Weights by which sources are drawn, for example `renders 2`; a source that is left out weighs 1."""
    lr: float = 5e-4
    """Learning rate of AdamW after the warm-up."""
    warmup_steps: int = 100
    """First steps, over which the learning rate rises from 0."""
    decay_steps: int = 500
    """Last steps, over which the learning rate falls to 0."""
    colour_from_step: int = 600
    """Stage `generator`: step from which painted colours outside the lips cost six times as much."""
    sync_every: int = 0
    """Stage `generator`: one in this many steps is a step of stage `sync`, on 4 clips of 16 moments; 0 is never."""
    losses: Literal["default", "published"] = "default"
    """`published` takes contrast, weights and optimiser of the published code, as far as they are known."""
    augmentation: Literal["colour", "paper", "none"] = "colour"
    """Augmentation of the motion encoder's input; `paper` changes the geometry too."""
    augment_audio: bool = False
    """Changes voice, microphone, noise and room of each clip of a batch; for sets in which few people speak."""
    augment_appearance: bool = False
    """Mirrors clips and changes their width, framing and light; for sets in which few people appear."""
    pose_head: Literal["supervised", "free"] = "supervised"
    """`free` trains the pose code by reconstruction, as published; it may then carry the mouth."""
    margin: float = 0.0
    """Classification of speakers: margin subtracted from the cosine of the right speaker, for example 0.2; 0 is plain
    cross-entropy."""
    vgg: Path | None = None
    """Stage `generator`: torchvision's VGG19 weights for the published perceptual loss. Without it, that loss uses a
    frozen copy of the identity encoder that the run starts with."""
    discriminators: tuple[Literal["mouth", "face"], ...] = ()
    """Stages `visual` and `generator`: discriminators to train against, of the mouth, of the whole face, or both."""
    discriminator_rate: float = 2.0
    """Learning rate of the discriminators, as a factor on `lr`."""
    generator_rate: float = 1.0
    """Stages `visual` and `generator`: learning rate of the generator, as a factor on `lr`. The paper
    talker's generator stores its weights at unit variance and learns faster at 6 (dev/LOG.md)."""
    term_weights: tuple[tuple[str, float], ...] = ()
    """Weights of loss terms other than the default ones, by journal name, for example `mouth_adversarial 0.1`."""
    ema: float = 0.998
    """Decay of the exponential moving average of the weights, per step."""
    seed: int = 0
    """Seed of batches, augmentation and random weights."""
    trained: Literal["all", "face"] = "all"
    """Stage `generator`: `face` trains generator and identity encoder only, as `pcavs adapt` does."""
    prior: float = 0.0
    """Stage `generator`: weight of the penalty on the squared distance of the trained weights from those of `start`."""
    frozen_statistics: bool = False
    """Does not update the running statistics of batch normalisation; for fine-tuning on few faces, and for many
    devices."""
    devices: int = 1
    """Devices of this machine to train on, with one process each."""
    nodes: int = 1
    """Machines; above 1, start the command with torchrun on each."""
    readers: int = 1
    """Threads that draw batches ahead of their use."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` is `cuda` where torch finds one."""
    precision: Literal["auto", "bf16-mixed", "32-true"] = "auto"
    """Arithmetic of the networks; losses and weights are float32 in either case. `auto` is `bf16-mixed` on GPUs and on
    processors that compute in bf16, elsewhere `32-true`, which is several times as fast there; a run that is continued
    keeps what it was begun with."""
    log_every: int = 20
    """Steps between rows of the journal."""
    save_minutes: float = 4.0
    """Minutes between checkpoints, each with a validation and a preview; the last step is always saved."""
    stop_minutes: float | None = None
    """Minutes after which the run is saved and stopped."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptOptions:
    """Fine-tunes a talker to one person: prepares a video of the person, then trains generator and identity encoder.

    The end of the video is held out to score films before and after; the better weights are written.
    """

    video: Path
    """Video of the person speaking: 8 seconds or longer, at least 5 of them usable."""
    out: Path
    """The .safetensors file to write."""
    run: Path | None = None
    """Folder for the prepared video and the journal, beside `out` if left out; a prepared video in it is used again."""
    weights: Path = Path("default")
    """Bundle to start from; `default` is the one in the package."""
    steps: int = 300
    """Most training steps; training stops earlier when the held-out film no longer improves."""
    minutes: float = 4.0
    """Minutes that the whole command may take."""
    lr: float = 1e-4
    """Learning rate, a fifth of that of training."""
    prior: float = 0.1
    """Weight of the penalty on the squared distance from the starting weights; 0 is none."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` is `cuda` where torch finds one."""
    overwrite: bool = False
    """Replaces `out` if it exists."""


def frames_per_step(options: TrainOptions) -> int:
    """Returns the number of target frames of a step of the stage itself, over all devices."""
    return options.clips * options.moments * joined_frames(options) * options.devices * options.nodes


def joined_frames(options: TrainOptions) -> int:
    """Returns the number of consecutive frames per moment: 1 where nothing is contrasted.

    A frame to reconstruct is nearly its neighbour's, so joined ones would cost time for little.
    """
    contrasted = options.stage == "sync" or (options.stage == "generator" and options.losses == "published")
    return options.joined_frames if contrasted else 1


def verify(options: TrainOptions) -> None:
    """Checks that the settings agree with each other.

    Raises:
        InputError: They do not; the message names the settings and a remedy.
    """
    if bool(options.packs) == bool(options.shards):
        given = "both packs and shards are" if options.packs else "neither packs nor shards are"
        raise InputError(f"{given} given; give one of them as the data")
    if min(options.devices, options.nodes, options.readers) < 1:
        raise InputError(
            f"devices {options.devices}, nodes {options.nodes} and readers {options.readers} must be at least 1"
        )
    if options.pose_dim != POSE_DIM and options.pose_head == "supervised":
        raise InputError(
            f"pose-dim {options.pose_dim} and pose-head supervised disagree: "
            f"a supervised pose code has {POSE_DIM} numbers; use --pose-head free"
        )
    if options.size == "compact" and options.kind != "paper":
        raise InputError("size compact is one of the paper talker; add --kind paper, or leave size out")
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
    if options.stage == "sync" and options.losses == "default" and options.moments < 2:
        raise InputError("stage sync needs moments of at least 2: the other moments of a clip are its negatives")
    if options.losses == "published" and options.clips < 2 and options.stage in ("sync", "generator"):
        raise InputError("the published contrast needs clips of at least 2: the other clips are its negatives")
    if options.features == "whisper":
        _verify_whisper(options)
    if options.prior > 0 and options.start is None:
        raise InputError(f"prior {options.prior:g} penalises the distance from the weights of start; give --start")
    if options.discriminators and options.stage not in ("visual", "generator"):
        given = " ".join(options.discriminators)
        raise InputError(
            f"discriminators {given} need generated frames, and stage {options.stage} makes none; leave them out"
        )
    known = sorted(weights_of(options.stage, options.kind, options.losses))
    for name, _ in options.term_weights:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {close[0]}?" if close else f"its terms are {', '.join(known)}"
            raise InputError(f"stage {options.stage} has no loss term {name}; {hint}")


def _verify_whisper(options: TrainOptions) -> None:
    if options.kind == "paper":
        raise InputError("a paper talker hears mel windows; leave features out, or use --kind flow")
    if options.shards:
        raise InputError("speech features are computed when packs are made; give packs instead of shards")
    if options.augment_audio:
        raise InputError("augment-audio changes mel windows; leave it out where features are whisper")
