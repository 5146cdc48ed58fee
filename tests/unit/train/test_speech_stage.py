"""Stage `speech` learns lip shapes from states, of lip tracks and faces, and leaves the other networks as they are."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from helpers.drawn import drawn_clip
from pcavs.data.corpus import Hearing, pictures
from pcavs.data.pack import find_packs
from pcavs.data.pack_corpus import PackCorpus
from pcavs.errors import DataError, InputError
from pcavs.models.build import build_model
from pcavs.models.motion import Codes
from pcavs.models.state import tensors_of
from pcavs.spec import STATES_PER_FRAME, TINY_FLOW, FeatureSpec, TalkerSpec
from pcavs.train import run
from pcavs.train.options import TrainOptions, verify
from pcavs.train.speech import STRETCH_FRAMES, SpeechStage
from pcavs.train.stage import TrainingHeads
from pcavs.train.validate_lips import opening, validate_lips
from pcavs.train.visual_content import VisualContents
from pcavs.weights.bundle import load_bundle

FLOW = dataclasses.replace(TINY_FLOW, features=FeatureSpec())
FRAMES = 48


def track_of(key: str, **facts: str):
    clip = drawn_clip(key, frames=FRAMES, **facts)
    return clip._replace(jpegs=[], mesh=clip.mesh[:0], pose=clip.pose[:0], mel=None)


def corpus_of(*clips) -> PackCorpus:
    return PackCorpus(clips, 64, None, Hearing(FLOW.past_states, FLOW.future_states))


@pytest.fixture(scope="module")
def corpus() -> PackCorpus:
    tracks = [track_of(f"track-{number}", source="tracks") for number in range(3)]
    return corpus_of(*(drawn_clip(f"face-{number}", frames=FRAMES) for number in range(3)), *tracks)


def options_of(folder: Path, **changes) -> TrainOptions:
    settings = {"stage": "speech", "features": "whisper", "size": "tiny", "clips": 4, "moments": 2, "lr": 3e-3}
    return TrainOptions(run=folder, precision="32-true", **({"packs": (folder,)} | settings | changes))


class MouthReader(nn.Module):
    """Stands for a trained motion encoder: content turns with the darkness of the mouth's area."""

    def __init__(self) -> None:
        super().__init__()
        base, turn = torch.randn(2, FLOW.content_dim, generator=torch.Generator().manual_seed(3))
        self.register_buffer("base", base)
        self.register_buffer("turn", turn)

    def forward(self, face: torch.Tensor) -> Codes:
        darkness = -face[:, :, 34:52, 24:40].mean(dim=(1, 2, 3))[:, None]
        return Codes(1.0 * self.base + 10 * (darkness - 0.03) * self.turn, torch.zeros(len(face), 12))


class CountingReader(MouthReader):
    """Counts the faces that it reads."""

    faces = 0

    def forward(self, face: torch.Tensor) -> Codes:
        self.faces += len(face)
        return super().forward(face)


def stage_of(corpus: PackCorpus, folder: Path):
    torch.manual_seed(0)
    model = build_model(TalkerSpec(flow=FLOW))
    model.motion = MouthReader()
    heads = TrainingHeads(TalkerSpec(flow=FLOW), 80)
    return model, heads, SpeechStage(model, heads, corpus, options_of(folder))


def test_stretches_hold_the_states_and_lips_of_the_same_frames(corpus: PackCorpus):
    drawn = corpus.stretches(np.random.default_rng(1), 8, 20, 2)
    assert drawn.states.shape == (8, FLOW.past_states + 2 * 19 + 1 + FLOW.future_states, FLOW.features.dim)
    middle = drawn.states[:, FLOW.past_states :: STATES_PER_FRAME, 1][:, :20].numpy()
    for states, lips in zip(middle, drawn.lips.numpy(), strict=True):
        assert np.corrcoef(states, opening(lips))[0, 1] > 0.9


def test_moments_are_in_equal_parts_of_the_stretch(corpus: PackCorpus):
    drawn = corpus.stretches(np.random.default_rng(2), 8, 20, 2)
    assert drawn.moments.shape == (8, 2)
    assert (drawn.moments // 10).tolist() == [[0, 1]] * 8
    assert torch.equal(drawn.shown.diff(dim=1), torch.ones(8, 19, dtype=torch.long))


def test_visual_content_is_that_of_each_frame_s_face_and_is_read_once(corpus: PackCorpus):
    motion = CountingReader()
    visual = VisualContents(motion, corpus)
    content = visual.of(0)
    face = pictures([corpus.faces(0, [17])])
    assert content.shape == (FRAMES, FLOW.content_dim)
    torch.testing.assert_close(content[17], MouthReader()(face).content[0])
    assert visual.of(0) is content
    assert motion.faces == FRAMES
    assert motion.training


def test_a_stretch_longer_than_its_clip_repeats_the_last_frame(corpus: PackCorpus):
    drawn = corpus.stretches(np.random.default_rng(3), 2, STRETCH_FRAMES, 1)
    assert torch.equal(drawn.lips[:, FRAMES - 1 : -1], drawn.lips[:, FRAMES:])


def test_other_stages_draw_no_lip_tracks(corpus: PackCorpus):
    batch = corpus.batch(np.random.default_rng(4), 12, 2)
    assert {corpus.speakers[index] for index in batch.speaker.tolist()} <= {f"face-{n}" for n in range(3)}


def test_only_the_speech_encoder_and_the_heads_learn(corpus: PackCorpus, tmp_path: Path):
    model, heads, stage = stage_of(corpus, tmp_path)
    before = {name: value.copy() for name, value in tensors_of(model).items()}
    optimizer = torch.optim.AdamW(stage.learners["model"].modules.parameters(), 1e-3)
    losses = []
    for step in range(1, 301):
        loss, terms = stage.loss(stage.batch(step), step, {})
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(terms["lips_heard"].detach()))
    assert {"lips_heard", "lips_speed", "lips_seen", "cross_modal", "across"} <= set(terms)
    changed = {name for name, value in tensors_of(model).items() if not np.array_equal(value, before[name])}
    assert changed
    assert all(name.startswith("speech.") for name in changed)
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    model.eval()
    scores = validate_lips(model, heads, corpus)
    assert scores["opening_heard"] > scores["opening_shifted"] + 0.3


def test_the_readout_reads_lips_from_visual_content_from_the_start(corpus: PackCorpus, tmp_path: Path):
    faces = corpus_of(*(clip for clip in corpus.clips if clip.jpegs))
    _, heads, stage = stage_of(faces, tmp_path)
    _, terms = stage.loss(stage.batch(1), 1, {})
    assert float(terms["lips_seen"]) < 0.3 * float(terms["lips_heard"].detach())
    assert heads.lips.weight.grad is None


def test_lip_tracks_alone_are_refused(tmp_path: Path):
    with pytest.raises(InputError, match="clips with faces"):
        stage_of(corpus_of(track_of("only")), tmp_path)


def test_a_talker_that_hears_mel_is_refused(corpus: PackCorpus, tmp_path: Path):
    model = build_model(TalkerSpec(flow=TINY_FLOW))
    with pytest.raises(InputError, match="add --features whisper"):
        SpeechStage(model, TrainingHeads(TalkerSpec(), 80), corpus, options_of(tmp_path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "paper"}, "a paper talker hears mel windows"),
        ({"packs": (), "shards": (Path("shards"),)}, "give packs instead of shards"),
        ({"augment_audio": True}, "augment-audio changes mel windows"),
    ],
)
def test_settings_that_do_not_fit_speech_features_are_refused(changes: dict, message: str, tmp_path: Path):
    with pytest.raises(InputError, match=message):
        verify(dataclasses.replace(options_of(tmp_path), **changes))


def test_a_corpus_that_hears_mel_has_no_stretches():
    corpus = PackCorpus([drawn_clip("a")], 64)
    with pytest.raises(DataError, match="speech features"):
        corpus.stretches(np.random.default_rng(0), 1, 4, 1)


def test_packs_of_other_features_are_refused(drawn_packs: Path):
    other = dataclasses.replace(FLOW, features=FeatureSpec(blocks=3))
    with pytest.raises(DataError, match="other speech features"):
        PackCorpus.load(find_packs([drawn_packs]), "train", None, other)


def test_a_run_of_the_stage_starts_from_a_talker_that_hears_mel(drawn_packs: Path, tmp_path: Path):
    """Its speech encoder starts anew, the rest is taken over; then the `generator` stage goes on with all of it."""
    mel = TrainOptions(
        run=tmp_path / "mel", packs=(drawn_packs,), size="tiny", steps=1, warmup_steps=0, decay_steps=0, clips=2
    )
    run.run(mel)
    speech = options_of(tmp_path / "speech", packs=(drawn_packs,), start=mel.run, steps=2, warmup_steps=0)
    run.run(dataclasses.replace(speech, decay_steps=0))
    before, after = (load_bundle(folder / "latest.safetensors") for folder in (mel.run, speech.run))
    assert after.spec.flow.features == FeatureSpec()
    for name, value in before.tensors.items():
        if not name.startswith("speech."):
            np.testing.assert_array_equal(after.tensors[name], value, err_msg=name)
    rest = dataclasses.replace(speech, run=tmp_path / "rest", stage="generator", start=speech.run, steps=1)
    path = run.run(dataclasses.replace(rest, decay_steps=0))
    assert load_bundle(path / "average.safetensors").spec == after.spec
