"""Trains the sync judge that `pcavs evaluate` uses, and measures how well it tells true from shifted sound.

    python scripts/train_judge.py --packs PACKS ... --out FOLDER --minutes 25
    python scripts/train_judge.py --packs PACKS ... --out FOLDER --measure

Trains on the clips of the split `train` and measures on those of `val`: no person, head or voice of an evaluation
may be among the former.
"""

import argparse
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import openvino as ov
import torch
from torch import Tensor, nn
from torch.nn import functional

from judge_noise import altered_crops, altered_lips, altered_mel, flipped
from pcavs.data.pack import MEL_PADDING_BINS, PackedClip, find_packs, read_pack
from pcavs.data.shard import decode_picture
from pcavs.metrics.crops import mouth_crops, without_light
from pcavs.metrics.sync import compare, prefers, write_judge_facts
from pcavs.models.judge import MouthEncoder, VoiceEncoder
from pcavs.spec import MEL_BINS_PER_FRAME, MEL_WINDOW_BINS, MEL_WINDOW_FRAMES

logger = logging.getLogger(__name__)

SEGMENT = 32
"""Frames of a clip in a step."""
CLIPS = 12
FARTHEST = 12
"""Largest shift that the sequence loss tells from none."""
SHIFTS = (2, 3, 5, 10)


class Clip(NamedTuple):
    """What training needs of a clip."""

    key: str
    speaker: str
    source: str
    crops: np.ndarray
    lips: np.ndarray
    mel: np.ndarray


class Judge(nn.Module):
    """Both readers and the temperature of their comparison."""

    def __init__(self) -> None:
        super().__init__()
        self.mouth, self.voice = MouthEncoder(), VoiceEncoder()
        self.log_scale = nn.Parameter(torch.tensor(np.log(10.0), dtype=torch.float32))


def main() -> None:
    """Trains, or measures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packs", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="an earlier judge.pt to go on from")
    parser.add_argument("--minutes", type=float, default=25)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("--export", type=Path, help="folder for the networks that the package ships")
    parser.add_argument(
        "--name", default="pcavs-judge", help="with its version: figures of two versions do not compare"
    )
    parser.add_argument("--trained-on", default="", help="what the packs hold, for the judge's own facts")
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
    """Writes the readers as OpenVINO networks, weights in half precision."""
    folder.mkdir(parents=True, exist_ok=True)
    judge.eval()
    inputs = {"mouth": (torch.rand(1, 5, 48, 48), torch.rand(1, 5, 80)), "voice": (torch.rand(1, 1, 80, 20),)}
    for name, network in (("mouth", judge.mouth), ("voice", judge.voice)):
        shapes = [ov.PartialShape([-1, *value.shape[1:]]) for value in inputs[name]]
        model = ov.convert_model(network, example_input=inputs[name], input=shapes)
        ov.save_model(model, folder / f"{name}.xml", compress_to_fp16=True)
    write_judge_facts(folder, {"licence": "Apache-2.0"} | facts)


def load(packs: Sequence[Path], split: str, cache: Path) -> list[Clip]:
    """Cuts the mouths out of the heard clips of a split; kept beside the result, for the next run."""
    clips = []
    for pack in find_packs(packs):
        place = cache / f"{pack.parent.name}-{pack.stem}-{split}.npz"
        if not place.exists():
            heard = (each for each in read_pack(pack) if each.split == split and each.mel is not None)
            # Pieces between two moments in which no face was found can be shorter than a step's segment.
            found = [_clip(each) for each in heard if len(each.jpegs) >= SEGMENT]
            arrays = {f"{name}{n}": value for n, clip in enumerate(found) for name, value in clip._asdict().items()}
            np.savez(place, count=len(found), **arrays)
        with np.load(place, allow_pickle=False) as stored:
            for n in range(int(stored["count"])):
                fields = {name: stored[f"{name}{n}"] for name in Clip._fields}
                words = {name: str(fields.pop(name)) for name in ("key", "speaker", "source")}
                clips.append(Clip(**words, **fields))
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
    """Steps until the time is over; the learning rate falls with the time."""
    rng = np.random.default_rng(arguments.seed)
    optimiser = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.02)
    odds = draw_odds(clips)
    judge.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue] - missing in torch's types
    average = {name: value.clone() for name, value in judge.state_dict().items()}
    began, step, logged = time.monotonic(), 0, time.process_time()
    while (done := (time.monotonic() - began) / 60 / arguments.minutes) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 2e-3 * min(1, (step + 1) / 100) * max(0.02, float(np.cos(done * np.pi / 2)) ** 1.5)
        judge.train()
        crops, lips, windows = batch(clips, rng, odds)
        with torch.autocast("cpu", torch.bfloat16):
            terms = losses(judge, crops, lips, windows)
        loss = terms["windows"] + terms["sequence"]
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(judge.parameters(), 5.0)
        optimiser.step()
        step += 1
        keep = min(0.998, step / (step + 10))
        for name, value in judge.state_dict().items():
            average[name] = value.clone() if not value.is_floating_point() else average[name].lerp(value, 1 - keep)
        if step % 25 == 0:
            logger.info("%5d %3.0f%% %s", step, 100 * done, {k: round(v.item(), 3) for k, v in terms.items()})
        if time.process_time() - logged > 240:
            logged = time.process_time()
            torch.save(average, arguments.out / "judge.pt")
            judged = Judge()
            judged.load_state_dict(average)
            logger.info("%s", measure(judged, held_out))
    judge.load_state_dict(average)
    torch.save(average, arguments.out / "judge.pt")


def draw_odds(clips: list[Clip]) -> np.ndarray:
    """Half of the draws for each kind of source; a speaker's share grows with the root of his clips."""
    odds = np.zeros(len(clips))
    for source in {clip.source for clip in clips}:
        speakers = [clip.speaker for clip in clips if clip.source == source]
        counts = {name: speakers.count(name) for name in set(speakers)}
        shares = [counts[c.speaker] ** -0.5 if c.source == source else 0.0 for c in clips]
        odds += np.array(shares) / sum(shares)
    return odds / odds.sum()


def batch(clips: list[Clip], rng: np.random.Generator, odds: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Draws segments: crops (clips, time, 48, 48), lips (clips, time, 80), windows (clips, time - 4, 1, 80, 20)."""
    seen, shapes, heard = [], [], []
    for index in rng.choice(len(clips), CLIPS, p=odds):
        clip = clips[int(index)]
        first = int(rng.integers(0, len(clip.crops) - SEGMENT + 1))
        flip = rng.random() < 0.5
        crops = clip.crops[first : first + SEGMENT].astype(np.float32)
        seen.append(crops[:, :, ::-1].copy() if flip else crops)
        lips = clip.lips[first : first + SEGMENT].copy()
        shapes.append(flipped(lips) if flip else lips)
        part = clip.mel[:, first * MEL_BINS_PER_FRAME : (first + SEGMENT) * MEL_BINS_PER_FRAME + MEL_PADDING_BINS]
        heard.append(altered_mel(part.astype(np.float32), rng)[windows_of(0, SEGMENT)])
    crops, lips = torch.from_numpy(np.stack(seen)), torch.from_numpy(np.stack(shapes))
    return altered_crops(crops, rng), altered_lips(lips, rng), torch.from_numpy(np.stack(heard))[:, :, None]


def windows_of(first: int, frames: int) -> tuple[slice, np.ndarray]:
    """Indexes mel so that the windows of the middle frames of all five-frame windows come out, time first."""
    lead = MEL_WINDOW_FRAMES // 2
    starts = (np.arange(first + lead, first + frames - lead) * MEL_BINS_PER_FRAME)[:, None, None]
    return np.arange(80)[None, :, None], starts + np.arange(MEL_WINDOW_BINS)[None, None]


def embed(judge: Judge, crops: Tensor, lips: Tensor, windows: Tensor) -> tuple[Tensor, Tensor]:
    """Embeds all windows of segments: (clips, time - 4, 128) seen and heard."""
    frames = judge.mouth.frames(crops, lips)
    spans = frames.unfold(1, MEL_WINDOW_FRAMES, 1).transpose(2, 3)
    seen = judge.mouth.join(spans.flatten(0, 1)).unflatten(0, spans.shape[:2])
    return seen, judge.voice(windows.flatten(0, 1)).unflatten(0, windows.shape[:2])


def losses(judge: Judge, crops: Tensor, lips: Tensor, windows: Tensor) -> dict[str, Tensor]:
    """`windows`: find each one's partner in its clip; `sequence`: find the shift of a whole segment."""
    seen, heard = embed(judge, crops, lips, windows)
    cosine = seen @ heard.transpose(1, 2) * judge.log_scale.exp().clamp(max=40)
    count = cosine.shape[1]
    near = torch.ones(count, count).tril(1).triu(-1).bool() & ~torch.eye(count).bool()
    # Neighbours share four of five frames: they are neither partners nor strangers.
    logits = cosine.masked_fill(near, -1e4)
    wanted = torch.arange(count).expand(len(cosine), -1).flatten()
    forth = functional.cross_entropy(logits.flatten(0, 1), wanted)
    back = functional.cross_entropy(logits.transpose(1, 2).flatten(0, 1), wanted)
    shifts = [d for d in range(-FARTHEST, FARTHEST + 1) if abs(d) != 1]
    curve = torch.stack([cosine.diagonal(d, 1, 2).mean(dim=1) for d in shifts], dim=1)
    target = torch.full((len(curve),), shifts.index(0))
    found = (logits.argmax(dim=2) == torch.arange(count)).float().mean()
    return {
        "windows": (forth + back) / 2,
        "sequence": functional.cross_entropy(curve * 3, target),
        "found": found.detach(),
        "placed": (curve.argmax(dim=1) == target).float().mean().detach(),
    }


@torch.no_grad()
def measure(judge: Judge, clips: list[Clip]) -> dict[str, dict[str, float]]:
    """Of each group: accuracy by shift, and the confidence of matched, mismatched and silent sound."""
    judge.eval()
    groups: dict[str, list[dict[str, float]]] = {}
    embedded = [embed_clip(judge, clip) for clip in clips]
    for index, (clip, (seen, heard)) in enumerate(zip(clips, embedded, strict=True)):
        kind = "s1" if clip.speaker.endswith("s1") else "unseen people"
        group = clip.source if clip.source == "renders" else f"{clip.source} {kind}"
        other = embedded[(index + 1) % len(embedded)][1]
        count = min(len(seen), len(other))
        silent = judge.voice(torch.zeros(len(seen), 1, 80, 20)).numpy()
        confidences = {
            "confidence": compare(seen, heard).confidence,
            "confidence mismatched": compare(seen[:count], other[:count]).confidence,
            "confidence silent": compare(seen, silent).confidence,
        }
        groups.setdefault(group, []).append(accuracy(seen, heard) | confidences)
    return {
        name: {"clips": len(rows)} | {key: round(float(np.mean([r[key] for r in rows])), 3) for key in rows[0]}
        for name, rows in groups.items()
    }


def embed_clip(judge: Judge, clip: Clip) -> tuple[np.ndarray, np.ndarray]:
    """Embeds all windows of a clip, seen and heard."""
    crops, lips = torch.from_numpy(without_light(clip.crops))[None], torch.from_numpy(clip.lips)[None]
    windows = torch.from_numpy(clip.mel.astype(np.float32)[windows_of(0, len(clip.crops))])[None, :, None]
    seen, heard = embed(judge, crops, lips, windows)
    return seen[0].numpy(), heard[0].numpy()


def accuracy(seen: np.ndarray, heard: np.ndarray) -> dict[str, float]:
    """Of one clip: how often the true sound beats one of each shift, by windows and over the clip; and its offset."""
    cosine, row = seen @ heard.T, {}
    for shift in SHIFTS:
        row[f"window {shift}"] = float(prefers(seen, heard, shift).mean())
        row[f"clip {shift}"] = float(
            np.mean([np.diagonal(cosine).mean() > np.diagonal(cosine, d).mean() for d in (shift, -shift)])
        )
    row["best within 1"] = float(abs(compare(seen, heard).offset_frames) <= 1)
    return row


if __name__ == "__main__":
    main()
