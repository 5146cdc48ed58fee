"""Trains the network that hears m, b and p, the sounds in which lips meet; the package contains the result.

    python scripts/train_bilabials.py hear --split train --espeak 500 --out HEARD
    python scripts/train_bilabials.py hear --split val --espeak 60 --out HEARD
    python scripts/train_bilabials.py hear --split train --said SAID/train --copies 3 --out HEARD
    python scripts/train_bilabials.py hear --split train --clips clips.csv --copies 2 --out HEARD
    python scripts/train_bilabials.py train HEARD --steps 1000
    python scripts/train_bilabials.py score HEARD

`hear` computes the speech features of speech with known phonemes: sentences that eSpeak NG speaks on the way, in the
languages of the split; utterances of `make_tracks.py speak`; and recorded clips with the phonemes that `align_grid.py`
wrote beside them (a table with the columns `path` and `split`). Copies of training speech have other speeds and
pitches, microphones, rooms and noise. `train` fits a small network over the states around a frame, and writes
`bilabials.xml` and `bilabials.bin`; `score` measures them on split `val`. Needs the extras train and synth.
"""

import argparse
import csv
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import openvino as ov
import torch
from jaxtyping import Float, Float32
from torch import Tensor, nn
from torch.nn import functional

from pcavs.data.pack import STATE_MARGIN_FRAMES
from pcavs.data.states import clip_states
from pcavs.evaluate.phonemes import bilabials, open_vowels, read_phonemes
from pcavs.media.audio import read_waveform
from pcavs.media.timeline import count_frames
from pcavs.metrics.closure import TOLERANCE_S
from pcavs.runtime.bilabials import NETWORK, BilabialDetector
from pcavs.runtime.features import SpeechFeatures
from pcavs.spec import FRAME_RATE, STATES_PER_FRAME, FeatureSpec
from pcavs.synth.acoustics import simulate_recording
from pcavs.synth.speech import Utterance, change_speed
from pcavs.synth.tracks import load_speech
from pcavs.synth.voices import espeak_speech
from pcavs.types import States
from pcavs.voices.phonemes import SILENCE, Phoneme

ASSETS: Final = Path(__file__).resolve().parent.parent / "src" / "pcavs" / "assets" / "speech"
SPEED: Final = (0.8, 1.25)
"""Range of the factor on speed and pitch of a copy."""
RECORDED_SHARE: Final = 0.7
"""Share of the copies that sound like recordings: microphone, room and noise."""
PAST_STATES, FUTURE_STATES = 12, 8
"""States before and after a frame's own that the network takes; those after are no more than the speech encoder's."""
WIDTH: Final = 64
KERNELS: Final = (7, 7, 9)
"""Sizes of the convolutions; together they take `PAST_STATES` and `FUTURE_STATES` beside the own state of a frame."""
DROPOUT: Final = 0.2
UNSURE_S: Final = 0.06
"""Time around m, b and p in which frames have no label: lips are on their way."""
SILENCE_WEIGHT: Final = 0.3
"""Weight of silent frames. Lips may meet there without harm."""
POSITIVE_WEIGHT: Final = 2.0
BATCH, CLIP_FRAMES = 32, 100
LEARNING_RATE, WEIGHT_DECAY, WARM_UP_STEPS = 2e-3, 0.02, 40
FAR_S: Final = 0.09
"""Distance from m, b and p from which on a detection counts as false."""


class Heard(NamedTuple):
    """Speech features of one utterance, and its phonemes."""

    source: str
    states: States
    """Those that packs store: `STATE_MARGIN_FRAMES` before and after the utterance included."""
    num_frames: int
    phonemes: tuple[Phoneme, ...]

    def around(self, first: int, num_frames: int) -> Float32[np.ndarray, "states dim"]:
        """Returns the states that the network takes for some frames, zeros after the end."""
        start = (STATE_MARGIN_FRAMES + first) * STATES_PER_FRAME - PAST_STATES
        wanted = PAST_STATES + (num_frames - 1) * STATES_PER_FRAME + 1 + FUTURE_STATES
        found = self.states[start : start + wanted].astype(np.float32)
        return np.pad(found, ((0, wanted - len(found)), (0, 0)))


class BilabialNetwork(nn.Module):
    """Three convolutions over the states around a frame."""

    def __init__(self, dim: int) -> None:
        """Builds the layers, with random weights."""
        super().__init__()
        self.norm, self.enter, self.drop = nn.LayerNorm(dim), nn.Linear(dim, WIDTH), nn.Dropout(DROPOUT)
        self.layers = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, size) for size in KERNELS)
        self.leave = nn.Linear(WIDTH, 1)

    def forward(self, states: Float[Tensor, "batch states dim"]) -> Float[Tensor, "batch frames"]:
        """Returns the logit of each frame, from its states and those around it."""
        x = functional.relu(self.enter(self.drop(self.norm(states)))).transpose(1, 2)
        for layer in self.layers:
            x = functional.relu(layer(self.drop(x)))
        return self.leave(x[:, :, ::STATES_PER_FRAME].transpose(1, 2))[..., 0]


class _Probability(nn.Module):
    """What is exported: the probability of one frame."""

    def __init__(self, network: BilabialNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, states: Tensor) -> Tensor:
        return torch.sigmoid(self.network(states)[:, 0])


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, dest="command")
    listen = commands.add_parser("hear", help="compute the speech features of speech with known phonemes")
    listen.add_argument("--split", choices=("train", "val"), required=True)
    listen.add_argument("--espeak", type=int, default=0, help="number of utterances of eSpeak NG")
    listen.add_argument("--said", type=Path, help="folder of utterances that make_tracks.py kept")
    listen.add_argument("--clips", type=Path, help="table of recorded clips: path, split")
    listen.add_argument("--copies", type=int, default=1, help="copies of each utterance or clip, of split train")
    fit = commands.add_parser("train", help="train the network and write it")
    fit.add_argument("heard", type=Path)
    fit.add_argument("--steps", type=int, default=1000)
    measure = commands.add_parser("score", help="measure a network on split val")
    measure.add_argument("heard", type=Path)
    measure.add_argument("--network", type=Path, default=ASSETS)
    listen.add_argument("--out", type=Path, required=True)
    fit.add_argument("--out", type=Path, default=ASSETS)
    for command in (listen, fit):
        command.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    {"hear": hear, "train": train, "score": score}[arguments.command](arguments)


def hear(arguments: argparse.Namespace) -> None:
    """Writes one file for each utterance."""
    random = np.random.default_rng(arguments.seed)
    features = SpeechFeatures(FeatureSpec(), threads=1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    number = len(list(arguments.out.glob("*.npz")))
    for source, utterance in spoken(arguments, random):
        num_frames = count_frames(len(utterance.waveform))
        rows = [[each.ipa, each.start_s, each.end_s] for each in utterance.phonemes]
        np.savez(
            arguments.out / f"{arguments.split}_{number:05}.npz",
            states=clip_states(features, utterance.waveform, num_frames),
            about=json.dumps({"source": source, "num_frames": num_frames, "phonemes": rows}),
        )
        number += 1


def spoken(arguments: argparse.Namespace, random: np.random.Generator) -> Iterator[tuple[str, Utterance]]:
    """Yields utterances and where they come from."""
    is_val = arguments.split == "val"
    for _ in range(arguments.espeak):
        speech = espeak_speech(is_val, random)
        yield f"espeak {speech.language}", speech.utterance if is_val else varied(speech.utterance, random)
    copies = 1 if is_val else arguments.copies
    for path in sorted(arguments.said.glob("*.npz")) if arguments.said else ():
        speech = load_speech(path)
        for _ in range(copies):
            yield f"{speech.kind} {speech.language}", speech.utterance if is_val else varied(speech.utterance, random)
    for utterance in clips(arguments.clips, arguments.split) if arguments.clips else ():
        yield "clips", utterance
        for _ in range(copies - 1):
            yield "clips", varied(utterance, random)


def clips(table: Path, split: str) -> Iterator[Utterance]:
    """Yields the sound of a split's clips with the phonemes beside them."""
    with table.open(newline="", encoding="utf-8") as file:
        paths = [table.parent / row["path"] for row in csv.DictReader(file) if row["split"] == split]
    for path in paths:
        phonemes = read_phonemes(path.with_suffix(".json"))
        if phonemes:
            yield Utterance(waveform=read_waveform(path), phonemes=phonemes)


def varied(utterance: Utterance, random: np.random.Generator) -> Utterance:
    """Changes speed and pitch, and mostly adds a microphone, a room and noise."""
    changed = change_speed(utterance, float(random.uniform(*SPEED)))
    if random.random() > RECORDED_SHARE:
        return changed
    return Utterance(waveform=simulate_recording(changed.waveform, random), phonemes=changed.phonemes)


def read_heard(folder: Path, split: str) -> list[Heard]:
    """Reads what `hear` wrote."""
    heard = []
    for path in sorted(folder.glob(f"{split}_*.npz")):
        with np.load(path) as arrays:
            about = json.loads(str(arrays["about"]))
            phonemes = tuple(Phoneme(ipa=ipa, start_s=start, end_s=end) for ipa, start, end in about["phonemes"])
            heard.append(Heard(about["source"], arrays["states"], about["num_frames"], phonemes))
    if not heard:
        raise SystemExit(f"{folder} holds no speech of split {split}; run hear first")
    return heard


def labels(heard: Heard) -> tuple[Float32[np.ndarray, " frames"], Float32[np.ndarray, " frames"]]:
    """Returns 1 for the frames in m, b or p and 0 for others, and the weight of each frame."""
    times_s = np.arange(heard.num_frames) / FRAME_RATE
    wanted, weight = np.zeros((2, heard.num_frames), np.float32)
    weight[:] = 1
    for each in heard.phonemes:
        if each.ipa == SILENCE:
            weight[(times_s >= each.start_s) & (times_s < each.end_s)] = SILENCE_WEIGHT
    spans = bilabials(heard.phonemes)
    for start_s, end_s in spans:
        weight[(times_s > start_s - UNSURE_S) & (times_s < end_s + UNSURE_S)] = 0
    for start_s, end_s in spans:
        inside = (times_s >= start_s - 0.01) & (times_s <= end_s)
        if not inside.any():
            inside[min(heard.num_frames - 1, round((start_s + end_s) / 2 * FRAME_RATE))] = True
        wanted[inside] = weight[inside] = 1
    return wanted, weight


def train(arguments: argparse.Namespace) -> None:
    """Trains on all sources alike, and writes the network."""
    torch.manual_seed(arguments.seed)
    random = np.random.default_rng(arguments.seed)
    kinds: dict[str, list[Heard]] = {}
    for each in read_heard(arguments.heard, "train"):
        kinds.setdefault(each.source.split()[0], []).append(each)
    spec = FeatureSpec()
    network = BilabialNetwork(spec.dim)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    for step in range(arguments.steps):
        rate = LEARNING_RATE * min(1, (step + 1) / WARM_UP_STEPS, 2 * (arguments.steps - step) / arguments.steps)
        optimizer.param_groups[0]["lr"] = rate
        states, wanted, weight = draw_batch(kinds, random)
        losses = functional.binary_cross_entropy_with_logits(
            network(states), wanted, reduction="none", pos_weight=torch.tensor(POSITIVE_WEIGHT)
        )
        loss = (losses * weight).sum() / weight.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if (step + 1) % 100 == 0:
            print(f"step {step + 1} of {arguments.steps}: loss {loss.item():.3f}", flush=True)
    write(network.eval(), spec, arguments.out)


def draw_batch(kinds: dict[str, list[Heard]], random: np.random.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Draws parts of utterances, each kind of source as often as the others; returns states, labels and weights."""
    names, rows = sorted(kinds), []
    for _ in range(BATCH):
        of_kind = kinds[names[random.integers(len(names))]]
        heard = of_kind[random.integers(len(of_kind))]
        length = min(CLIP_FRAMES, heard.num_frames)
        first = int(random.integers(0, heard.num_frames - length + 1))
        parts = (each[first : first + length] for each in labels(heard))
        wanted, weight = (np.pad(part, (0, CLIP_FRAMES - length)) for part in parts)
        rows.append((heard.around(first, CLIP_FRAMES), wanted, weight))
    states, wanted, weight = (torch.from_numpy(np.stack(each)) for each in zip(*rows, strict=True))
    return states, wanted, weight


def write(network: BilabialNetwork, spec: FeatureSpec, out: Path) -> None:
    """Writes the network for OpenVINO, and its digests into the folder's manifest."""
    exported = ov.convert_model(
        _Probability(network), example_input=torch.zeros(1, PAST_STATES + 1 + FUTURE_STATES, spec.dim)
    )
    exported.reshape([1, PAST_STATES + 1 + FUTURE_STATES, spec.dim])
    facts = {"model": spec.model, "blocks": spec.blocks, "final_norm": spec.final_norm, "past_states": PAST_STATES}
    for name, value in facts.items():
        exported.set_rt_info(str(value), ["bilabials", name])
    out.mkdir(parents=True, exist_ok=True)
    ov.save_model(exported, out / NETWORK, compress_to_fp16=True)
    manifest_path = out / "MANIFEST.json"
    manifest = json.loads(manifest_path.read_text(encoding="utf-8")) if manifest_path.is_file() else {"files": {}}
    for path in (out / NETWORK, (out / NETWORK).with_suffix(".bin")):
        manifest["files"][path.name] = {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    manifest_path.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def score(arguments: argparse.Namespace) -> None:
    """Prints, for each source, how many m, b and p are heard, and how often one is heard where there is none."""
    detector = BilabialDetector(arguments.network)
    totals: dict[str, np.ndarray] = {}
    for heard in read_heard(arguments.heard, "val"):
        windows = np.stack([heard.around(frame, 1) for frame in range(heard.num_frames)])
        counts = np.array(count(heard, detector.probabilities(windows) > 0.5))
        totals[heard.source] = totals.get(heard.source, 0) + counts
    for source, (heard_ones, sounds, false, others, vowels, all_vowels) in sorted(totals.items()):
        print(
            f"{source}: {heard_ones} of {sounds} m, b, p heard within 40 ms; heard in {false / max(others, 1):.3f} of "
            f"{others} other frames that speak, in {vowels} of {all_vowels} open vowels"
        )


def count(heard: Heard, found: Float[np.ndarray, " frames"]) -> tuple[int, int, int, int, int, int]:
    """Counts heard sounds, sounds, false frames, frames far from any sound, false open vowels, open vowels."""
    times_s = np.arange(heard.num_frames) / FRAME_RATE
    far = np.ones(heard.num_frames, bool)
    hits = []
    for start_s, end_s in bilabials(heard.phonemes):
        near = (times_s >= start_s - TOLERANCE_S) & (times_s <= end_s + TOLERANCE_S)
        hits += [bool(found[near].any())] if near.any() else []
        far &= (times_s <= start_s - FAR_S) | (times_s >= end_s + FAR_S)
    for each in heard.phonemes:
        if each.ipa == SILENCE:
            far &= (times_s < each.start_s) | (times_s >= each.end_s)
    middles = [round((start_s + end_s) / 2 * FRAME_RATE) for start_s, end_s in open_vowels(heard.phonemes)]
    middles = [middle for middle in middles if middle < heard.num_frames and far[middle]]
    return sum(hits), len(hits), int(found[far].sum()), int(far.sum()), int(found[middles].sum()), len(middles)


if __name__ == "__main__":
    main()
