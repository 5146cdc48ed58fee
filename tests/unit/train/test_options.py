"""Settings that disagree are refused; the schedule of the learning rate."""

import dataclasses
from pathlib import Path

import pytest
import torch

from pcavs.errors import DataError, InputError
from pcavs.train.distributed import Process
from pcavs.train.options import TrainOptions, frames_per_step, verify
from pcavs.train.run import batches, learning_rate, run, train_step
from pcavs.train.session import start


def options(**changes: object) -> TrainOptions:
    return TrainOptions(packs=(Path("packs"),), run=Path("run"), **changes)  # pyright: ignore[reportArgumentType]


def test_defaults_agree():
    verify(options())
    verify(options(stage="generator", moments=1))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0, "warmup_steps": 0, "decay_steps": 0}, "steps 0 must be at least 1"),
        (
            {"steps": 500, "warmup_steps": 100, "decay_steps": 401},
            "warmup-steps 100 and decay-steps 401 do not fit into steps 500; lower them or train longer",
        ),
        ({"size": "compact"}, "size compact is one of the paper talker; add --kind paper, or leave size out"),
        ({"clips": 0}, "clips 0 and moments 3 must both be at least 1"),
        ({"moments": 0}, "clips 6 and moments 0 must both be at least 1"),
        ({"joined_frames": 0}, "joined-frames 0 must be at least 1; 1 contrasts single frames"),
        ({"moments": 1}, "stage sync needs moments of at least 2: the other moments of a clip are its negatives"),
        (
            {"clips": 1, "losses": "published"},
            "the published contrast needs clips of at least 2: the other clips are its negatives",
        ),
        (
            {"discriminators": ("mouth",)},
            "discriminators mouth need generated frames, and stage sync makes none; leave them out",
        ),
        (
            {"stage": "generator", "term_weights": (("mouth_adverserial", 1.0),)},
            "stage generator has no loss term mouth_adverserial; did you mean mouth_adversarial?",
        ),
        (
            {"term_weights": (("zzz", 1.0),)},
            "stage sync has no loss term zzz; its terms are across, cross_modal, lips_heard, lips_seen, pose, within",
        ),
    ],
)
def test_settings_that_disagree_are_refused(changes: dict[str, object], message: str):
    with pytest.raises(InputError) as caught:
        verify(options(**changes))
    assert str(caught.value) == message


def test_frames_are_joined_only_where_they_are_contrasted():
    """Reconstruction draws single frames."""
    assert frames_per_step(options(clips=2, moments=3, joined_frames=4)) == 24
    assert frames_per_step(options(stage="generator", clips=2, moments=3, joined_frames=4)) == 6
    assert frames_per_step(options(stage="generator", losses="published", clips=2, moments=3, joined_frames=4)) == 24


def test_the_learning_rate_rises_holds_and_falls():
    chosen = options(lr=1e-3, steps=100, warmup_steps=10, decay_steps=20)
    rates = [learning_rate(chosen, step) for step in range(1, 101)]
    assert rates[:3] == pytest.approx([1e-4, 2e-4, 3e-4])
    assert rates[9:81] == pytest.approx([1e-3] * 72)
    assert rates[81:84] == pytest.approx([0.95e-3, 0.9e-3, 0.85e-3])
    assert rates[-1] == pytest.approx(1e-3 / 20)


def test_the_learning_rate_without_ramps_is_constant():
    chosen = options(lr=1e-3, steps=3, warmup_steps=0, decay_steps=0)
    assert [learning_rate(chosen, step) for step in (1, 2, 3)] == [1e-3] * 3


def test_the_generator_has_a_rate_of_its_own(drawn_packs: Path, tmp_path: Path):
    """A rate of zero leaves the generator's weights as they are, and no others."""
    chosen = TrainOptions(
        packs=(drawn_packs,),
        run=tmp_path,
        stage="visual",
        size="tiny",
        clips=2,
        steps=1,
        generator_rate=0.0,
        device="cpu",
    )
    chosen = dataclasses.replace(chosen, warmup_steps=0, decay_steps=0)
    session = start(chosen, Process(chosen))
    before = {name: value.detach().clone() for name, value in session.model.named_parameters()}
    for step, inputs, _ in batches(session.stage, 0, chosen, session.process.device):
        assert train_step(session, inputs, step, 1e-3) is not None
    moved = {name for name, value in session.model.named_parameters() if not torch.equal(value, before[name])}
    assert moved
    assert not any(name.startswith("generator.") for name in moved)


def test_a_missing_device_is_refused(drawn_packs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="device cuda was given, and torch finds none; use --device cpu"):
        run(TrainOptions(packs=(drawn_packs,), run=tmp_path, device="cuda"))


def test_packs_of_another_size_are_refused(drawn_packs: Path, tmp_path: Path):
    with pytest.raises(DataError, match="faces of 64 px, and the talker needs 128 px; pack again with --frame-px 128"):
        run(TrainOptions(packs=(drawn_packs,), run=tmp_path / "run", device="cpu"))
    assert not (tmp_path / "run").exists()
