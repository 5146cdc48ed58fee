"""Compares what a speech encoder may hear, how far ahead, and what it learns from: stage `speech` from random weights.

    python scripts/make_tracks.py vary --shards SHARDS --split train --copies 1 --out VOICES
    python scripts/make_tracks.py write --maps lip_maps.npz --split train --hours 0.4 --out SYNTHETIC
    python scripts/build_speech.py --model base --out NETWORKS/base-2
    python benchmarks/ablate_speech.py --shards SHARDS --others EVALUATION --networks NETWORKS --voices VOICES \
        --synthetic SYNTHETIC --out OUT

`SHARDS` holds filmed people (`pcavs prepare`), `EVALUATION` is the folder of a finished `pcavs evaluate` of people in
nobody's training data, `NETWORKS` a folder of networks of `scripts/build_speech.py`, one in each subfolder. Every
variant is trained with the same steps and seeds; the motion encoder of the package's talker gives the visual content.
The variants:

- `package`: the network of features in the package, the shards alone, a look-ahead of 0.16 s.
- `mel`: log-mel in its place, two bins of 10 ms for each state.
- the name of a subfolder of NETWORKS: that network.
- `0 s`, `0.1 s`, `0.2 s`: another look-ahead of the encoder's convolutions, beside that of the features.
- `other pitches`, `synthetic tracks`: these beside the shards; each source is drawn as often.

Scores are correlations of the lips read from held-out speech with the true ones: `opening` and `width` of the shards'
people who are in `val` alone, a person's clips averaged first, and `others`, the opening of EVALUATION's people at the
best lag within 8 frames, as found clips are often out of sync. The table shows the mean over seeds, least and largest.
Features and scores are kept in OUT, and the same command continues.
"""

import argparse
import dataclasses
import functools
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Float16
from torch import nn

from pcavs.data.corpus import Hearing
from pcavs.data.pack import STATE_MARGIN_FRAMES, PackedClip, find_packs, read_pack, write_packs
from pcavs.data.pack_corpus import PackCorpus
from pcavs.data.shard import read_shard
from pcavs.data.states import clip_states
from pcavs.evaluate.clips import load_clip
from pcavs.face.regions import LIPS, lips_shape
from pcavs.media.files import write_json
from pcavs.media.mel import padded_mel
from pcavs.metrics.curves import correlation, lagged_correlation
from pcavs.models.build import build_model
from pcavs.models.flow import FlowModel
from pcavs.models.motion import MotionEncoder
from pcavs.models.speech import StateEncoder
from pcavs.models.state import fill
from pcavs.prepare.packing import find_shards, pack_clip
from pcavs.runtime.features import SpeechFeatures
from pcavs.spec import (
    MEL_BINS_PER_FRAME,
    MEL_WINDOW_BINS,
    MESH_POINTS,
    POSE_DIM,
    SAMPLES_PER_FRAME,
    STATES_PER_FRAME,
    FeatureSpec,
    FlowSpec,
    MelSpec,
    TalkerSpec,
)
from pcavs.synth.tracks import packed, read_tracks
from pcavs.train.options import TrainOptions
from pcavs.train.run import learning_rate
from pcavs.train.speech import SpeechStage
from pcavs.train.stage import TrainingHeads, torch_seed
from pcavs.train.validate_lips import opening, width
from pcavs.train.visual_content import VisualContents
from pcavs.types import Waveform
from pcavs.weights.bundle import load_bundle
from pcavs.weights.locate import find_weights

logger = logging.getLogger("ablate_speech")

PACKAGE, MEL = "package", "mel"
LOOK_AHEADS: Final = {
    "0 s": ((5, 0), (5, 0), (5, 0), (5, 0)),
    "0.1 s": ((5, 1), (5, 1), (5, 1), (5, 2)),
    "0.2 s": ((5, 2), (5, 2), (5, 3), (5, 3)),
}
"""`FlowSpec.state_context` by how far ahead it looks."""
MAX_LAG_FRAMES: Final = 8
COLUMNS: Final = ("opening", "width", "others")

States: TypeAlias = Float16[np.ndarray, "states dim"]
Hear: TypeAlias = Callable[[Waveform, int], States]
"""Computes the states that a pack holds of a clip, from its sound and its number of frames."""


class Variant(NamedTuple):
    """What is compared."""

    features: str = PACKAGE
    context: tuple[tuple[int, int], ...] = FlowSpec().state_context
    beside: Path | None = None
    """Folder of tracks that are learnt from as well."""


def main() -> None:
    """Trains what is missing and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True)
    parser.add_argument("--others", type=Path, required=True)
    parser.add_argument("--networks", type=Path)
    parser.add_argument("--voices", type=Path)
    parser.add_argument("--synthetic", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--every", type=int, default=6, help="uses every N-th clip of a speaker")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--clips", type=int, default=8, help="clips of a step, 64 frames each")
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    bench = Bench(arguments)
    for seed in range(arguments.seeds):
        for name, variant in variants(arguments).items():
            place = arguments.out / "scores" / name / f"{seed}.json"
            if not place.exists():
                began = time.process_time()
                scores = bench.scores(variant, seed)
                place.parent.mkdir(parents=True, exist_ok=True)
                write_json(place, scores)
                logger.info("%s, seed %d: %s, %.0f s", name, seed, scores, time.process_time() - began)
    print(table({name: read_scores(arguments.out / "scores" / name) for name in variants(arguments)}))


def variants(arguments: argparse.Namespace) -> dict[str, Variant]:
    """Returns the variants that the arguments allow, by name."""
    folders = sorted(place.parent for place in arguments.networks.glob("*/MANIFEST.json")) if arguments.networks else []
    found = {PACKAGE: Variant(), MEL: Variant(MEL)}
    found |= {folder.name: Variant(folder.name) for folder in folders}
    found |= {name: Variant(context=context) for name, context in LOOK_AHEADS.items()}
    beside = {"other pitches": arguments.voices, "synthetic tracks": arguments.synthetic}
    return found | {name: Variant(beside=place) for name, place in beside.items() if place}


class Bench:
    """Holds the data, and what all variants share."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        found = find_weights().bundle
        assert found is not None
        bundle = load_bundle(found)
        self._flow = bundle.spec.flow
        talker = build_model(bundle.spec)
        fill(talker, bundle.tensors, "the talker in the package")
        assert isinstance(talker, FlowModel)
        self._motion = talker.motion
        filmed = [clip for clip in self._data(PACKAGE, "shards") if clip.split == "train"]
        self._visual = VisualContents(self._motion, PackCorpus(filmed, self._flow.frame_px))

    def scores(self, variant: Variant, seed: int) -> dict[str, float]:
        """Trains a speech encoder and scores it on held-out people."""
        arguments = self._arguments
        flow = dataclasses.replace(self._flow, features=self._spec(variant.features), state_context=variant.context)
        clips = self._data(variant.features, "shards")
        learnt = [clip for clip in clips if clip.split == "train"]
        if (beside := variant.beside) is not None:
            learnt += self._packs(PACKAGE, beside.name, lambda: self._tracks(beside))
        known = {clip.speaker for clip in learnt}
        unseen = [clip for clip in clips if clip.split == "val" and clip.speaker not in known]
        others = self._data(variant.features, "others")
        options = TrainOptions(
            run=arguments.out,
            packs=(arguments.out,),
            stage="speech",
            features="whisper",
            seed=seed,
            clips=arguments.clips,
            moments=4,
            lr=1e-3,
            steps=arguments.steps,
            warmup_steps=min(20, arguments.steps // 4),
            decay_steps=arguments.steps // 2,
        )
        encoder, heads = trained(flow, learnt, self._motion, options, self._visual)
        return score(encoder, heads, flow, unseen) | {"others": score(encoder, heads, flow, others)["lagged"]}

    def _spec(self, features: str) -> FeatureSpec:
        if features in (PACKAGE, MEL):
            return FeatureSpec()
        manifest = (self._arguments.networks / features / "MANIFEST.json").read_text(encoding="utf-8")
        return FeatureSpec(**json.loads(manifest)["spec"])

    def _hear(self, features: str) -> Hear:
        if features == MEL:
            return mel_states
        folder = None if features == PACKAGE else self._arguments.networks / features
        return functools.partial(clip_states, SpeechFeatures(self._spec(features), folder, "f32", threads=1))

    def _data(self, features: str, name: str) -> list[PackedClip]:
        make = self._filmed if name == "shards" else self._others
        return self._packs(features, name, lambda: make(self._hear(features)))

    def _packs(self, features: str, name: str, make: Callable[[], Iterable[PackedClip]]) -> list[PackedClip]:
        """Reads clips from packs in OUT, which are made if they are missing."""
        folder = self._arguments.out / "packs" / features / name
        if not folder.exists():
            write_packs(make(), folder, frame_px=self._flow.frame_px, features=self._spec(features))
        return [clip for path in find_packs([folder]) for clip in read_pack(path)]

    def _filmed(self, hear: Hear) -> Iterator[PackedClip]:
        thinning = Thinning(self._arguments.every)
        for clip in (clip for shard in find_shards(self._arguments.shards) for clip in read_shard(shard)):
            if clip.waveform is not None and thinning.keeps(f"{clip.facts['split']} {clip.facts['speaker']}"):
                whole = pack_clip(clip, self._flow.frame_px, None)
                yield whole._replace(states=hear(clip.waveform, whole.num_frames))

    def _tracks(self, folder: Path) -> Iterator[PackedClip]:
        features = SpeechFeatures(FeatureSpec(), None, "f32", threads=1)
        thinning = Thinning(self._arguments.every)
        for path in sorted(folder.glob("*[0-9].npz")):
            for number, track in enumerate(read_tracks(path)):
                if thinning.keeps(str(track.facts["kind"])):
                    yield packed(track, f"{path.stem}-{number:02d}", "train", features)

    def _others(self, hear: Hear) -> Iterator[PackedClip]:
        """Reads the people of an evaluation that are not in the shards."""
        known = {clip.speaker for clip in self._data(PACKAGE, "shards")}
        for path in sorted((self._arguments.others / "work").glob("*.npz")):
            clip = load_clip(path)
            if clip.person not in known:
                assert clip.raw_meshes is not None
                lips = lips_shape(clip.raw_meshes).astype(np.float16)
                states = hear(clip.waveform, len(lips))
                yield track_clip(clip.key, clip.person, lips, states)


def track_clip(key: str, person: str, lips: np.ndarray, states: States) -> PackedClip:
    """Makes a held-out clip without pictures."""
    return PackedClip(
        key=key,
        speaker=person,
        source="others",
        split="val",
        jpegs=[],
        mesh=np.zeros((0, MESH_POINTS, 3), np.float16),
        lips=lips,
        pose=np.zeros((0, POSE_DIM), np.float32),
        mel=None,
        states=states,
    )


class Thinning:
    """Keeps the first of each owner's items and every `step`-th after it."""

    def __init__(self, step: int) -> None:
        self._step, self._seen = step, Counter[str]()

    def keeps(self, owner: str) -> bool:
        """Tells whether the owner's next item is kept."""
        self._seen[owner] += 1
        return (self._seen[owner] - 1) % self._step == 0


def mel_states(waveform: Waveform, num_frames: int) -> States:
    """Computes log-mel in the shape of states: two bins of 10 ms each, from the margin before the clip on."""
    margin = np.zeros(STATE_MARGIN_FRAMES * SAMPLES_PER_FRAME, np.float32)
    frames = num_frames + 2 * STATE_MARGIN_FRAMES
    mel = padded_mel(np.concatenate([margin, waveform, margin]), frames, MelSpec())
    first = MEL_WINDOW_BINS // 2  # the middle of the first frame's window
    own = mel[:, first : first + frames * MEL_BINS_PER_FRAME]
    return own.T.reshape(frames * STATES_PER_FRAME, -1).astype(np.float16)


def trained(
    flow: FlowSpec, clips: list[PackedClip], motion: MotionEncoder, options: TrainOptions, visual: VisualContents | None
) -> tuple[StateEncoder, TrainingHeads]:
    """Trains a speech encoder from random weights by stage `speech`.

    Args:
        flow: The talker.
        clips: Training clips; those that `visual` knows come first.
        motion: The motion encoder, which is not trained.
        options: Settings of the stage.
        visual: Visual content of the clips with faces; None reads it.
    """
    torch.manual_seed(options.seed)
    spec = TalkerSpec(flow=flow)
    model, heads = build_model(spec), TrainingHeads(spec, 2 * len(LIPS))
    assert isinstance(model, FlowModel)
    assert isinstance(model.speech, StateEncoder)
    model.motion = motion
    states = clips[0].states
    assert states is not None
    dim = states.shape[1]
    if dim != model.speech.enter.in_features:  # mel
        model.speech.norm, model.speech.enter = nn.LayerNorm(dim), nn.Linear(dim, flow.state_width)
    corpus = PackCorpus(clips, flow.frame_px, None, Hearing(flow.past_states, flow.future_states))
    stage = SpeechStage(model, heads, corpus, options, visual=visual)
    (learner,) = stage.learners.values()
    learner.modules.requires_grad_(True).train()
    optimizer = torch.optim.AdamW(learner.parameter_groups(), betas=learner.betas, weight_decay=learner.weight_decay)
    for step in range(1, options.steps + 1):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(options, step)
        torch.manual_seed(torch_seed(options.seed, step))
        loss, _ = stage.loss(stage.batch(step), step, {})
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
    return model.speech.eval(), heads


@torch.no_grad()
def score(encoder: StateEncoder, heads: TrainingHeads, flow: FlowSpec, clips: list[PackedClip]) -> dict[str, float]:
    """Correlates lips read from speech with the true ones, the mean over each person's clips, then over people.

    Returns:
        `opening` and `width` at no lag, `lagged`: the opening at the best lag.
    """
    found: dict[str, dict[str, list[float]]] = {name: {} for name in ("opening", "width", "lagged")}
    for clip in clips:
        assert clip.states is not None
        own = STATE_MARGIN_FRAMES * STATES_PER_FRAME
        heard = clip.states[
            own - flow.past_states : own + (clip.num_frames - 1) * STATES_PER_FRAME + 1 + flow.future_states
        ]
        content = encoder.sequence(torch.from_numpy(heard.astype(np.float32))[None])[0]
        read, true = heads.read_lips(content, trained=False).numpy(), clip.lips.astype(np.float32)
        lagged = lagged_correlation(opening(read), opening(true), MAX_LAG_FRAMES)
        values = {"opening": lagged.correlation, "width": correlation(width(read), width(true)), "lagged": lagged.peak}
        for name, value in values.items():
            found[name].setdefault(clip.speaker, []).append(value)
    return {name: mean_over_people(people) for name, people in found.items()}


def mean_over_people(people: dict[str, list[float]]) -> float:
    """Averages each person's values, then people."""
    return round(float(np.mean([np.mean(values) for values in people.values()])), 4)


def read_scores(folder: Path) -> list[dict[str, float]]:
    """Reads the scores of all seeds."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """Formats the scores of each variant's seeds as Markdown: mean, least and largest."""
    lines = [f"| variant | seeds | {' | '.join(COLUMNS)} |", "|---" * (2 + len(COLUMNS)) + "|"]
    for name, runs in found.items():
        cells = [spread([run[column] for run in runs]) for column in COLUMNS]
        lines.append(f"| {name} | {len(runs)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values: Float[np.ndarray, " seeds"] | list[float]) -> str:
    """Formats mean, least and largest."""
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


if __name__ == "__main__":
    main()
