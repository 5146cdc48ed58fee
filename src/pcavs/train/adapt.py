"""`pcavs adapt`: fine-tunes a talker to one person, from a video of the person.

The last seconds of the video are held out: films of their speech are scored before, during and after training, and the
weights that score best are kept, those of the start included.
"""

import dataclasses
import logging
import math
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from pcavs.data.pack import PackedClip, write_packs
from pcavs.data.shard import AlignedClip, read_ledger, read_shard
from pcavs.errors import DataError, InputError, OutputError, WeightsError
from pcavs.face.pose import angles_deg, head_pose
from pcavs.face.regions import mouth_opening
from pcavs.media.bitstream import decode_pictures
from pcavs.media.files import atomic_file, refuse_replacing, write_text
from pcavs.media.timeline import count_samples
from pcavs.models.build import build_model
from pcavs.models.inference import inference_networks
from pcavs.models.state import fill
from pcavs.mouth.inside import OwnTeeth
from pcavs.mouth.own_teeth import measure_teeth, save_teeth, teeth_path
from pcavs.prepare.options import PrepareOptions
from pcavs.prepare.packing import find_shards, pack_clip
from pcavs.prepare.run import run as prepare
from pcavs.runtime.features import SpeechFeatures, load_features
from pcavs.spec import FRAME_RATE, TINY_FLOW, TalkerSpec
from pcavs.train.distributed import Process
from pcavs.train.held_out import HeldOutFilm, LipScore, Portrait, Speech
from pcavs.train.journal import Journal
from pcavs.train.options import AdaptOptions, TrainOptions, verify
from pcavs.train.run import batches, train_step, update_average
from pcavs.train.session import Session, spec_of, start
from pcavs.train.stage import Model
from pcavs.weights.bundle import Bundle, load_bundle, save_bundle
from pcavs.weights.locate import find_weights
from pcavs.weights.networks import file_digest

logger = logging.getLogger(__name__)

CLIP_S: Final = 4.0
"""Longest clip: half a minute then gives several clips, which are each other's negatives in the contrast."""

MIN_FRAMES: Final = 125
"""Fewest frames of usable speech (5 s): two seconds to score, and three to learn from."""

HELD_OUT_SHARE: Final = 4
"""One in so many frames is held out, at the end of the video."""
HELD_OUT_FRAMES: Final = (50, 150)
"""Fewest and most frames that are held out: the sync judge needs two seconds, and more than six cost time."""
_LEAST_PART_FRAMES: Final = 12
"""A clip is not cut so that a shorter part is left: the sync judge needs ten frames."""

SCORE_STEPS: Final = 20
"""Steps from one score to the next; a score of two seconds of film takes as long as about two steps."""
PATIENCE: Final = 3
"""Scores in a row that are no better than the best one, after which training stops."""
LEAST_GAIN_MM: Final = 0.002
"""A smaller gain counts as none: landmarks of equal films differ by less."""

MOST_CONFIDENCE_LOST: Final = 0.01
"""Weights whose film the sync judge trusts less than the start's by more than this are not kept, however near their
lips are: of one speaker the lips were 0.15 mm nearer on two held-out seconds, with a confidence of 0.02 less, and
0.05 mm farther on six others."""

WARMUP_STEPS: Final = 10
"""Steps of the warm-up. Tuned by hand; not measured."""

EMA: Final = 0.95
"""Decay of the moving average: its memory of 20 steps fits into the steps between two scores."""

_FRONTAL_DEG: Final = 15.0
"""A frame whose yaw and pitch are within this of the middle pose may be the portrait of the held-out films."""


class Footage(NamedTuple):
    """A prepared video, split in time."""

    packs: Path
    """Folder of packs: split `train`, and `val` for the held-out end."""
    held_out: list[Speech]
    portrait: Portrait
    teeth: OwnTeeth
    """What the video shows of the person's teeth."""


class Tuned(NamedTuple):
    """What training found."""

    tensors: dict[str, np.ndarray] | None
    """The best weights; None if the start's were not beaten."""
    steps: int
    """Steps that they were trained for."""
    before: LipScore
    after: LipScore
    """Scores of the start and of the best weights."""


class Adapted(NamedTuple):
    """The result of `pcavs adapt`."""

    path: Path
    """The bundle that was written."""
    steps: int
    """Steps that its weights were trained for; 0 if they are those of the start."""
    before: LipScore
    after: LipScore


def run(options: AdaptOptions) -> Adapted:
    """Prepares the video, fine-tunes, and writes the better weights; the prepared video stays in `run`.

    Raises:
        InputError: The video or the weights do not exist, or `out` exists.
        DataError: The video has too little usable speech.
        WeightsError: The weights cannot be trained: they have no bundle, or are not of a `flow` talker.
        OutputError: `run` or `out` cannot be written.
    """
    began = time.monotonic()
    if not options.video.is_file():
        raise InputError(f"no video at {options.video}; give a video of the person speaking")
    if options.out.exists() and not options.overwrite:
        raise InputError(f"{options.out} exists; choose another --out or add --overwrite")
    refuse_replacing([options.out], [("the video", options.video), ("the bundle to train from", options.weights)])
    place = find_weights(options.weights).bundle
    if place is None:
        raise WeightsError(f"{options.weights} has no bundle to train from; give a .safetensors file")
    bundle = load_bundle(place)
    if bundle.spec.kind != "flow":
        raise WeightsError(f"{place} is a {bundle.spec.kind} talker; adapt needs a flow talker")
    folder = options.run or options.out.with_suffix(".run")
    footage = _footage(options.video, folder, bundle.spec)
    training = _training(options, place, bundle.spec, footage, folder)
    tuned = _fine_tune(training, footage, began + options.minutes * 60)
    return _keep(options, bundle, place.name, tuned, footage.teeth)


def _keep(options: AdaptOptions, start_bundle: Bundle, name: str, tuned: Tuned, teeth: OwnTeeth) -> Adapted:
    """Writes the better weights, and the person's teeth beside them; says which weights they are."""
    if tuned.tensors is None:
        logger.info("no weights were better on the held-out seconds: those of the start are written")
    elif math.isinf(tuned.before.error_mm):
        logger.info("kept step %d: the film of the start shows no face", tuned.steps)
    else:
        gain = tuned.before.error_mm - tuned.after.error_mm
        logger.info("kept step %d: lips %.2f mm nearer to the truth on the held-out seconds", tuned.steps, gain)
    facts = {
        "adapted_from": name,
        "adapted_steps": str(tuned.steps),
        "adapted_lips_mm": f"{tuned.before.error_mm:.3f} {tuned.after.error_mm:.3f}",
    }
    tensors = start_bundle.tensors if tuned.tensors is None else tuned.tensors
    kept = dataclasses.replace(start_bundle, tensors=tensors, provenance=start_bundle.provenance | facts)
    save_bundle(kept, options.out, half=True)
    save_teeth(teeth, file_digest(options.out), teeth_path(options.out))
    if teeth == OwnTeeth():
        logger.info("no frames show the teeth well enough: those of everybody are drawn")
    else:
        logger.info("%s holds how far the person's teeth reach and how bright they are", teeth_path(options.out).name)
    return Adapted(options.out, tuned.steps, tuned.before, tuned.after)


def _footage(video: Path, folder: Path, spec: TalkerSpec) -> Footage:
    """Prepares the video, holds its end out, and packs both parts."""
    clips = usable_clips(video, folder)
    num_frames = sum(len(clip.mesh) for clip in clips)
    if num_frames < MIN_FRAMES:
        raise DataError(
            f"{video} has {num_frames / FRAME_RATE:.1f} s of usable speech, {MIN_FRAMES / FRAME_RATE:.0f} s are "
            f"needed; give a longer video ({folder / 'shards' / 'report.html'} shows what could not be used)"
        )
    least, most = HELD_OUT_FRAMES
    cuts = held_out_from([len(clip.mesh) for clip in clips], min(max(num_frames // HELD_OUT_SHARE, least), most))
    features = None if spec.flow.features is None else SpeechFeatures(spec.flow.features)
    parts: list[PackedClip] = []
    held_out: list[Speech] = []
    for clip, cut in zip(clips, cuts, strict=True):
        packed = pack_clip(clip, spec.sizes.frame_px, features)
        spans = (("train", 0, cut), ("val", cut, packed.num_frames))
        parts += [packed.part(a, b)._replace(key=f"{clip.key}-{split}", split=split) for split, a, b in spans if b > a]
        if cut < len(clip.mesh):
            assert clip.waveform is not None
            held_out.append(Speech(clip.waveform[count_samples(cut) :], clip.mesh[cut:]))
    write_packs(parts, folder / "packs", frame_px=spec.sizes.frame_px, features=spec.flow.features)
    frames = (pair for clip in clips for pair in zip(decode_pictures(clip.film), clip.mesh, strict=True))
    teeth = measure_teeth(frames)
    return Footage(folder / "packs", held_out, choose_portrait(clips, cuts), teeth)


def held_out_from(lengths: Sequence[int], wanted: int) -> list[int]:
    """Returns for each clip the first frame that is held out, so that the last `wanted` frames of all are.

    A clip is held out whole, or not at all, where a part of less than half a second would be left; `wanted` is then
    met about.
    """
    cuts: list[int] = []
    for length in reversed(lengths):
        taken = min(wanted, length)
        taken = 0 if taken < _LEAST_PART_FRAMES else length if length - taken < _LEAST_PART_FRAMES else taken
        cuts.append(length - taken)
        wanted = max(0, wanted - taken)
    return cuts[::-1]


def usable_clips(video: Path, folder: Path) -> list[AlignedClip]:
    """Prepares the video, and returns its usable clips in the order of time.

    Args:
        video: Video of the person.
        folder: Folder of the run; a video that was prepared in it is not prepared again.

    Raises:
        InputError: The folder holds something else.
        DataError: No clip can be used.
        OutputError: The folder cannot be written.
    """
    source, shards = folder / "film", folder / "shards"
    index = source / "index.csv"
    _refuse_other_content(folder, source, video)
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
    clips = [clip for shard in find_shards(shards) for clip in read_shard(shard)]
    for clip in clips:
        moved = clip.facts.get("offset_corrected", 0)
        if moved:
            logger.info("%s: the sound was moved by %+d frames, to where the lips are", clip.key, moved)
    return sorted(clips, key=lambda clip: int(clip.facts["start_frame"]))


def _refuse_other_content(folder: Path, source: Path, video: Path) -> None:
    """Refuses a folder of another run, whose clips would be learnt from, or of other files, which would be replaced.

    Raises:
        InputError: It holds something else than this video and what was made of it.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    if not source.is_dir():
        raise InputError(f"{folder} holds other files than those of pcavs adapt; choose another --run")
    for copy in source.iterdir():
        is_copy = copy.suffix not in (".csv", ".part")
        if is_copy and (copy.name != video.name or file_digest(copy) != file_digest(video)):
            raise InputError(f"{folder} holds what was made of another video; remove it, or choose another --run")


def choose_portrait(clips: Sequence[AlignedClip], cuts: Sequence[int]) -> Portrait:
    """Chooses the frame of the training part whose mouth is most shut, among those with the head as it mostly is."""
    meshes = np.concatenate([clip.mesh[:cut] for clip, cut in zip(clips, cuts, strict=True)])
    places = [(clip, frame) for clip, cut in zip(clips, cuts, strict=True) for frame in range(cut)]
    turns = angles_deg(head_pose(meshes).rotation.astype(np.float64))[:, :2]
    aside = np.abs(turns - np.median(turns, axis=0)).max(axis=1) > _FRONTAL_DEG
    clip, frame = places[int(np.argmin(mouth_opening(meshes) + aside))]
    return Portrait(next(iter(decode_pictures(clip.film, [frame]))), clip.mesh[frame])


def _fine_tune(training: TrainOptions, footage: Footage, deadline: float) -> Tuned:
    """Trains until the scores stop improving, the steps are done or the time is up; returns the best weights.

    Args:
        training: Options of the run.
        footage: What to score on.
        deadline: Time (`time.monotonic`) at which all should be done.
    """
    verify(training)
    shutil.rmtree(training.run, ignore_errors=True)
    process = Process(training)
    session = start(training, process)
    journal = Journal(training)
    # Its dropout would make the speech that the face is trained on fainter than that of films.
    session.model.speech.eval()
    film = HeldOutFilm(footage.portrait, footage.held_out, session.spec, load_features(session.spec))
    shown = build_model(session.spec)
    before, score_s = _score(session, shown, film)
    logger.info("%.1f s are held out; before: %s", film.seconds, before.text())
    best, kept, best_step, tries = before, None, 0, 0
    for step, inputs, waited_s in batches(session.stage, 0, training, process.device):
        rate = training.lr * min(1.0, step / training.warmup_steps)
        values = train_step(session, inputs, step, rate)
        if values is None:
            journal.skip(step, rate)
        else:
            update_average(session.average, session.model, training.ema, step)
            journal.add(step, rate, waited_s, values)
        is_late = time.monotonic() + 2 * score_s > deadline
        if step % SCORE_STEPS and step < training.steps and not is_late:
            continue
        score, score_s = _score(session, shown, film)
        journal.row({"step": step, "validation": score._asdict()})
        logger.info("step %d: %s", step, score.text())
        tries += 1
        if is_better(score, best, before):
            best, best_step, tries = score, step, 0
            kept = {name: value.cpu().numpy().copy() for name, value in session.average.items()}
        if tries == PATIENCE or is_late:
            logger.info("stopped: %s", "the time is up" if is_late else "the score no longer improves")
            break
    return Tuned(kept, best_step, before, best)


def is_better(score: LipScore, best: LipScore, start: LipScore) -> bool:
    """Tells whether lips are nearer to the truth than the best so far, and as much in sync as the start's."""
    return (
        score.error_mm < best.error_mm - LEAST_GAIN_MM and score.confidence >= start.confidence - MOST_CONFIDENCE_LOST
    )


def _score(session: Session, shown: Model, film: HeldOutFilm) -> tuple[LipScore, float]:
    """Scores the moving average of the weights; returns the seconds that it took, too."""
    began = time.monotonic()
    fill(shown, {name: value.cpu().numpy() for name, value in session.average.items()}, "the average")
    score = film.score(inference_networks(shown), session.process.device)
    return score, time.monotonic() - began


def _training(options: AdaptOptions, place: Path, spec: TalkerSpec, footage: Footage, folder: Path) -> TrainOptions:
    """Returns the options of the training run.

    Running statistics are frozen, because those of one person's face would be far from those of the training data.
    """
    training = TrainOptions(
        packs=(footage.packs,),
        run=folder / "train",
        stage="generator",
        start=place,
        features="mel" if spec.flow.features is None else "whisper",
        size="tiny" if spec.flow.frame_px == TINY_FLOW.frame_px else "default",
        pose_dim=spec.flow.pose_dim,
        trained="face",
        prior=options.prior,
        frozen_statistics=True,
        colour_from_step=0,
        clips=4,
        moments=4,
        lr=options.lr,
        steps=options.steps,
        warmup_steps=min(WARMUP_STEPS, options.steps),
        decay_steps=0,
        ema=EMA,
        discriminators=("mouth",),
        device=options.device,
    )
    trained = spec_of(training)
    if (trained.flow, trained.mel, trained.crop) != (spec.flow, spec.mel, spec.crop):
        raise WeightsError(f"{place} has other sizes than this version trains; adapt weights that it made")
    return training
