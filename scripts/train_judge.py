"""Trains the sync judge of `pcavs evaluate`, and measures how well it tells true from shifted sound.

    python scripts/train_judge.py --packs PACKS ... --out FOLDER --minutes 25
    python scripts/train_judge.py --packs PACKS ... --out FOLDER --measure

Trains on the clips of the split `train` and measures on those of `val`. No person, head or voice of an evaluation may
be in the training split. Training parameters were tuned by hand and not measured.
"""

import argparse
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import openvino as ov
import torch
from torch import Tensor, nn
from torch.nn import functional

from judge_augmentation import augment_crops, augment_lips, augment_mel, mirrored_lips
from pcavs.data.pack import MEL_PADDING_BINS, PackedClip, decode_picture, find_packs, read_pack
from pcavs.metrics.crops import MOUTH_PX, mouth_crops, standardised
from pcavs.metrics.sync import beats_shifted, score_sync, write_judge_facts
from pcavs.models.judge import LIPS_DIM, MouthEncoder, VoiceEncoder
from pcavs.spec import MEL_BINS_PER_FRAME, MEL_WINDOW_BINS, MEL_WINDOW_FRAMES, MelSpec

logger = logging.getLogger(__name__)

SEGMENT_FRAMES = 32
"""Length of the piece of a clip that a step uses."""
BATCH_CLIPS = 12
"""Clips per step."""
MAX_SHIFT_FRAMES: Final = 12
"""Largest shift of the negatives of the sequence loss."""
TESTED_SHIFTS: Final = (2, 3, 5, 10)
"""Shifts, in frames, that are compared with the true sound when the judge is measured."""

_MEL_CHANNELS: Final = MelSpec().mel_channels
_LEARNING_RATE: Final = 2e-3
_WEIGHT_DECAY: Final = 0.02
_WARM_UP_STEPS: Final = 100
_MIN_RATE_SHARE: Final = 0.02
"""Smallest learning rate as a share of the largest."""
_RATE_EXPONENT: Final = 1.5
"""The learning rate is the largest one times cos(progress * 90 degrees) to this power."""
_MAX_GRADIENT_NORM: Final = 5.0
_EMA_DECAY: Final = 0.998
"""Decay per step of the averaged weights, which are the result."""
_EMA_START_STEPS: Final = 10
"""Early decay is step / (step + this), so that the first steps are forgotten quickly."""
_LOG_STEPS: Final = 25
_MEASURE_EVERY_S: Final = 240
"""Processor time between measurements on the held-out clips."""
_FIRST_SCALE: Final = 10.0
_MAX_SCALE: Final = 40.0
"""Inverse temperature of the contrastive loss at the start, and its upper limit."""
_MASKED_LOGIT: Final = -1e4
_SEQUENCE_SHARPNESS: Final = 3.0
"""Factor on the logits of the sequence loss, whose cosines are means and so vary less."""


class Clip(NamedTuple):
    """What training needs of a clip."""

    key: str
    speaker: str
    source: str
    crops: np.ndarray
    """(time, 48, 48) uint8."""
    lips: np.ndarray
    """(time, 80) cm, the clip's mean removed."""
    mel: np.ndarray
    """(80, bins) with padding."""


class Judge(nn.Module):
    """Both encoders and the inverse temperature of their comparison."""

    def __init__(self) -> None:
        super().__init__()
        self.mouth, self.voice = MouthEncoder(), VoiceEncoder()
        self.log_scale = nn.Parameter(torch.tensor(np.log(_FIRST_SCALE), dtype=torch.float32))


def main() -> None:
    """Trains or measures a judge, and exports it if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", type=Path, nargs="+", required=True, help="folders of packs")
    parser.add_argument("--out", type=Path, required=True, help="folder for judge.pt and for the mouth crops")
    parser.add_argument("--start", type=Path, help="judge.pt from which to continue")
    parser.add_argument("--minutes", type=float, default=25, help="duration of training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", action="store_true", help="only measure the judge.pt in --out")
    parser.add_argument("--export", type=Path, help="folder for OpenVINO networks, as in the package")
    parser.add_argument(
        "--name", default="pcavs-judge", help="name with version; figures of two versions do not compare"
    )
    parser.add_argument("--trained-on", default="", help="description of the training data, for judge.json")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(arguments.seed)
    judge = Judge()
    state = arguments.out / "judge.pt" if arguments.measure else arguments.start
    if state:
        judge.load_state_dict(torch.load(state, weights_only=True))
    held_out = load(arguments.packs, "val", arguments.out)
    if not arguments.measure:
        train(judge, load(arguments.packs, "train", arguments.out), held_out, arguments)
    measured = measure(judge, held_out)
    logger.info("%s", json.dumps(measured, indent=1))
    if arguments.export:
        facts = {"name": arguments.name, "trained_on": arguments.trained_on, "held_out": measured}
        export(judge, arguments.export, facts)


def export(judge: Judge, folder: Path, facts: dict[str, object]) -> None:
    """Writes the encoders as OpenVINO networks with weights in half precision, and judge.json."""
    folder.mkdir(parents=True, exist_ok=True)
    judge.eval()
    frames = MEL_WINDOW_FRAMES
    inputs = {
        "mouth": (torch.rand(1, frames, MOUTH_PX, MOUTH_PX), torch.rand(1, frames, LIPS_DIM)),
        "voice": (torch.rand(1, 1, _MEL_CHANNELS, MEL_WINDOW_BINS),),
    }
    for name, network in (("mouth", judge.mouth), ("voice", judge.voice)):
        shapes = [ov.PartialShape([-1, *value.shape[1:]]) for value in inputs[name]]
        model = ov.convert_model(network, example_input=inputs[name], input=shapes)
        ov.save_model(model, folder / f"{name}.xml", compress_to_fp16=True)
    write_judge_facts(folder, {"licence": "Apache-2.0"} | facts)


def load(packs: Sequence[Path], split: str, cache: Path) -> list[Clip]:
    """Cuts the mouth crops of all clips with sound of a split, or reads them from the folder `cache`."""
    clips = []
    for pack in find_packs(packs):
        path = cache / f"{pack.parent.name}-{pack.stem}-{split}.npz"
        if not path.exists():
            with_sound = (each for each in read_pack(pack) if each.split == split and each.mel is not None)
            # Pieces between two gaps of the face track can be shorter than a step's segment.
            found = [_clip(each) for each in with_sound if len(each.jpegs) >= SEGMENT_FRAMES]
            arrays = {f"{name}{n}": value for n, clip in enumerate(found) for name, value in clip._asdict().items()}
            np.savez(path, count=len(found), **arrays)
        with np.load(path, allow_pickle=False) as stored:
            for n in range(int(stored["count"])):
                fields = {name: stored[f"{name}{n}"] for name in Clip._fields}
                texts = {name: str(fields.pop(name)) for name in ("key", "speaker", "source")}
                clips.append(Clip(**texts, **fields))
    return clips


def _clip(packed: PackedClip) -> Clip:
    pictures = [decode_picture(jpeg) for jpeg in packed.jpegs]
    side = pictures[0].shape[0]
    mesh = packed.mesh.astype(np.float32) * side
    mesh[:, :, :2] -= 0.5
    lips = packed.lips.astype(np.float32)
    assert packed.mel is not None
    crops = mouth_crops(pictures, mesh)
    return Clip(packed.key, packed.speaker, packed.source, crops, lips - lips.mean(axis=0), packed.mel)


def train(judge: Judge, clips: list[Clip], held_out: list[Clip], arguments: argparse.Namespace) -> None:
    """Trains until the time is over and leaves the averaged weights in `judge` and in judge.pt."""
    rng = np.random.default_rng(arguments.seed)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=_LEARNING_RATE, weight_decay=_WEIGHT_DECAY)
    probabilities = clip_probabilities(clips)
    judge.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - missing in torch's types
    average = {name: value.clone() for name, value in judge.state_dict().items()}
    began, step, measured_s = time.monotonic(), 0, time.process_time()
    while (progress := (time.monotonic() - began) / 60 / arguments.minutes) < 1:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, progress)
        judge.train()
        crops, lips, windows = batch(clips, rng, probabilities)
        with torch.autocast("cpu", torch.bfloat16):
            terms = losses(judge, crops, lips, windows)
        loss = terms["windows"] + terms["sequence"]
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(judge.parameters(), _MAX_GRADIENT_NORM)
        optimiser.step()
        step += 1
        decay = min(_EMA_DECAY, step / (step + _EMA_START_STEPS))
        for name, value in judge.state_dict().items():
            average[name] = value.clone() if not value.is_floating_point() else average[name].lerp(value, 1 - decay)
        if step % _LOG_STEPS == 0:
            logger.info("%5d %3.0f%% %s", step, 100 * progress, {k: round(v.item(), 3) for k, v in terms.items()})
        if time.process_time() - measured_s > _MEASURE_EVERY_S:
            measured_s = time.process_time()
            torch.save(average, arguments.out / "judge.pt")
            averaged = Judge()
            averaged.load_state_dict(average)
            logger.info("%s", measure(averaged, held_out))
    judge.load_state_dict(average)
    torch.save(average, arguments.out / "judge.pt")


def learning_rate(step: int, progress: float) -> float:
    """Returns the learning rate: a linear warm-up, then a power of a cosine over progress from 0 to 1."""
    decay = max(_MIN_RATE_SHARE, float(np.cos(progress * np.pi / 2)) ** _RATE_EXPONENT)
    return _LEARNING_RATE * min(1, (step + 1) / _WARM_UP_STEPS) * decay


def clip_probabilities(clips: list[Clip]) -> np.ndarray:
    """Returns the probability of drawing each clip.

    Sources have equal shares; within a source, a speaker's share grows with the square root of the number of clips.
    """
    odds = np.zeros(len(clips))
    for source in {clip.source for clip in clips}:
        speakers = [clip.speaker for clip in clips if clip.source == source]
        counts = {name: speakers.count(name) for name in set(speakers)}
        shares = [counts[c.speaker] ** -0.5 if c.source == source else 0.0 for c in clips]
        odds += np.array(shares) / sum(shares)
    return odds / odds.sum()


def batch(clips: list[Clip], rng: np.random.Generator, probabilities: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Draws augmented segments.

    Returns:
        Crops (clips, time, 48, 48), lip shapes (clips, time, 80) and mel windows (clips, time - 4, 1, 80, 20).
    """
    all_crops, all_lips, all_windows = [], [], []
    for index in rng.choice(len(clips), BATCH_CLIPS, p=probabilities):
        clip = clips[int(index)]
        first = int(rng.integers(0, len(clip.crops) - SEGMENT_FRAMES + 1))
        end = first + SEGMENT_FRAMES
        mirror = rng.random() < 0.5
        crops = clip.crops[first:end].astype(np.float32)
        all_crops.append(crops[:, :, ::-1].copy() if mirror else crops)
        lips = clip.lips[first:end].copy()
        all_lips.append(mirrored_lips(lips) if mirror else lips)
        mel = clip.mel[:, first * MEL_BINS_PER_FRAME : end * MEL_BINS_PER_FRAME + MEL_PADDING_BINS]
        all_windows.append(augment_mel(mel.astype(np.float32), rng)[window_index(0, SEGMENT_FRAMES)])
    crops, lips = torch.from_numpy(np.stack(all_crops)), torch.from_numpy(np.stack(all_lips))
    windows = torch.from_numpy(np.stack(all_windows))[:, :, None]
    return augment_crops(crops, rng), augment_lips(lips, rng), windows


def window_index(first: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the index that takes the mel windows of all frames but two at each end: (frames - 4, 80, 20)."""
    lead = MEL_WINDOW_FRAMES // 2
    starts = (np.arange(first + lead, first + frames - lead) * MEL_BINS_PER_FRAME)[:, None, None]
    return np.arange(_MEL_CHANNELS)[None, :, None], starts + np.arange(MEL_WINDOW_BINS)[None, None]


def embed(judge: Judge, crops: Tensor, lips: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
    """Embeds all windows of segments; returns mouth and sound embeddings, (clips, time - 4, 128) each."""
    frames = judge.mouth.frames(crops, lips)
    spans = frames.unfold(1, MEL_WINDOW_FRAMES, 1).transpose(2, 3)
    mouth = judge.mouth.join(spans.flatten(0, 1)).unflatten(0, spans.shape[:2])
    return mouth, judge.voice(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])


def losses(judge: Judge, crops: Tensor, lips: Tensor, windows: Tensor) -> dict[str, Tensor]:
    """Computes the losses and accuracies of a batch.

    Returns:
        `windows`: contrastive loss, each window must find its partner in the same clip. `sequence`: cross-entropy, the
        right shift of a whole segment must be found. `windows_right`, `sequences_right`: accuracies, 0 to 1.
    """
    mouth, sound = embed(judge, crops, lips, windows)
    cosine = mouth @ sound.transpose(1, 2) * judge.log_scale.exp().clamp(max=_MAX_SCALE)
    count = cosine.shape[1]
    # Neighbours share four of five frames, so they count neither as partners nor as negatives.
    neighbours = torch.ones(count, count).tril(1).triu(-1).bool() & ~torch.eye(count).bool()
    logits = cosine.masked_fill(neighbours, _MASKED_LOGIT)
    partners = torch.arange(count).expand(len(cosine), -1).flatten()
    mouth_to_sound = functional.cross_entropy(logits.flatten(0, 1), partners)
    sound_to_mouth = functional.cross_entropy(logits.transpose(1, 2).flatten(0, 1), partners)
    shifts = [d for d in range(-MAX_SHIFT_FRAMES, MAX_SHIFT_FRAMES + 1) if abs(d) != 1]
    curve = torch.stack([cosine.diagonal(d, 1, 2).mean(dim=1) for d in shifts], dim=1)
    target = torch.full((len(curve),), shifts.index(0))
    right = (logits.argmax(dim=2) == torch.arange(count)).float().mean()
    return {
        "windows": (mouth_to_sound + sound_to_mouth) / 2,
        "sequence": functional.cross_entropy(curve * _SEQUENCE_SHARPNESS, target),
        "windows_right": right.detach(),
        "sequences_right": (curve.argmax(dim=1) == target).float().mean().detach(),
    }


@torch.no_grad()
def measure(judge: Judge, clips: list[Clip]) -> dict[str, dict[str, float]]:
    """Averages accuracy by shift, and confidence with matching, other and silent sound, over groups of clips."""
    judge.eval()
    groups: dict[str, list[dict[str, float]]] = {}
    embedded = [embed_clip(judge, clip) for clip in clips]
    for index, (clip, (mouth, sound)) in enumerate(zip(clips, embedded, strict=True)):
        kind = "s1" if clip.speaker.endswith("s1") else "unseen people"
        group = clip.source if clip.source == "renders" else f"{clip.source} {kind}"
        other = embedded[(index + 1) % len(embedded)][1]
        count = min(len(mouth), len(other))
        silent = judge.voice(torch.zeros(len(mouth), 1, _MEL_CHANNELS, MEL_WINDOW_BINS)).numpy()
        confidences = {
            "confidence": score_sync(mouth, sound).confidence,
            "confidence mismatched": score_sync(mouth[:count], other[:count]).confidence,
            "confidence silent": score_sync(mouth, silent).confidence,
        }
        groups.setdefault(group, []).append(accuracy(mouth, sound) | confidences)
    return {
        name: {"clips": len(rows)} | {key: round(float(np.mean([r[key] for r in rows])), 3) for key in rows[0]}
        for name, rows in groups.items()
    }


def embed_clip(judge: Judge, clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """Embeds all windows of a clip; returns mouth and sound embeddings, (time - 4, 128) each."""
    crops, lips = torch.from_numpy(standardised(clip.crops))[None], torch.from_numpy(clip.lips)[None]
    windows = torch.from_numpy(clip.mel.astype(np.float32)[window_index(0, len(clip.crops))])[None, :, None]
    mouth, sound = embed(judge, crops, lips, windows)
    return mouth[0].numpy(), sound[0].numpy()


def accuracy(mouth: np.ndarray, sound: np.ndarray) -> dict[str, float]:
    """Measures how often the true sound of a clip beats shifted sound.

    Returns:
        `window D`: share of single windows that beat a shift of D frames. `clip D`: the same for the mean over the
        clip. `best within 1`: whether the best offset is at most one frame.
    """
    cosine, row = mouth @ sound.T, {}
    for shift in TESTED_SHIFTS:
        row[f"window {shift}"] = float(beats_shifted(mouth, sound, shift).mean())
        row[f"clip {shift}"] = float(
            np.mean([np.diagonal(cosine).mean() > np.diagonal(cosine, d).mean() for d in (shift, -shift)])
        )
    row["best within 1"] = float(abs(score_sync(mouth, sound).offset_frames) <= 1)
    return row


if __name__ == "__main__":
    main()
