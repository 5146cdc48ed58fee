"""Who learns from what: every network of a stage, and the pose and content heads from no picture."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from pcavs.data.library import Library
from pcavs.data.pack import find_packs
from pcavs.models.build import build_model
from pcavs.spec import TINY_PAPER, TalkerSpec
from pcavs.train.generator import GeneratorStage
from pcavs.train.losses import retrieval
from pcavs.train.options import TrainOptions, verify
from pcavs.train.session import STAGES
from pcavs.train.stage import Phase, Scratch, Stage, TrainingHeads
from pcavs.train.weights import BINDING, FLOW


@pytest.fixture
def make_stage(drawn_packs: Path, tiny_spec: TalkerSpec):
    library = Library.load(find_packs([drawn_packs]), "train")
    options = TrainOptions(packs=(drawn_packs,), run=drawn_packs / "run", clips=3, moments=2, size="tiny")

    def make(**changes: object) -> Stage:
        torch.manual_seed(0)
        chosen = dataclasses.replace(options, **changes)
        verify(chosen)
        spec = dataclasses.replace(tiny_spec, kind=chosen.kind, paper=TINY_PAPER)
        return STAGES[chosen.stage](build_model(spec), TrainingHeads(spec, 80), library, chosen)

    return make


def phase(stage: Stage, name: str) -> Phase:
    return next(each for each in stage.phases if each.name == name)


def share_of_weights(module: nn.Module) -> float:
    """Norm of the gradient by the norm of the weights."""
    gradients = [p.grad.detach() for p in module.parameters() if p.grad is not None]
    if not gradients:
        return 0.0
    norm = (
        torch.stack([g.norm() for g in gradients]).norm()
        / torch.stack([p.detach().norm() for p in module.parameters()]).norm()
    )
    return float(norm)


PUBLISHED = {"kind": "paper", "losses": "published", "pose_head": "free", "augmentation": "paper"}
CASES = {
    "identity": ({"stage": "identity"}, {"identity", "classifier"}),
    "sync": ({"stage": "sync"}, {"motion", "speech", "heads"}),
    "visual": ({"stage": "visual", "pose_head": "free"}, {"motion", "identity", "generator", "heads"}),
    "generator": (
        {"stage": "generator", "judges": ("mouth", "face")},
        {"motion", "speech", "identity", "generator", "heads", "mouth_judge", "face_judge"},
    ),
    "paper identity": ({"stage": "identity", "kind": "paper", "margin": 0.2}, {"identity", "classifier"}),
    "paper generator": (
        {"stage": "generator", "kind": "paper", "judges": ("mouth", "face")},
        {"motion", "speech", "identity", "generator", "heads", "mouth_judge", "face_judge", "classifier"},
    ),
    "published identity": ({"stage": "identity", **PUBLISHED}, {"identity", "classifier"}),
    "published sync": ({"stage": "sync", **PUBLISHED}, {"motion", "speech"}),
    "published generator": (
        {"stage": "generator", "judges": ("face",), **PUBLISHED},
        {"motion", "speech", "identity", "generator", "face_judge", "classifier"},
    ),
}


@pytest.mark.parametrize(("changes", "wanted"), CASES.values(), ids=CASES.keys())
def test_every_network_of_a_stage_learns(changes, wanted, make_stage):
    assert taught_networks(make_stage(**changes)) == wanted


@pytest.mark.parametrize("case", ["generator", "paper generator"])
def test_every_network_learns_in_half_precision(case: str, make_stage):
    changes, wanted = CASES[case]
    assert taught_networks(make_stage(**changes), torch.bfloat16) == wanted


def taught_networks(stage: Stage, precision: torch.dtype = torch.float32) -> set[str]:
    """Runs step 1; gives the networks that got a gradient, after checking that all terms and gradients are finite."""
    drawn, scratch, taught = stage.batch(1), Scratch(), set[str]()
    stage.modules.train()
    for each in stage.phases:
        if not each.due(1):
            continue
        stage.modules.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            loss, terms = each.loss(drawn, 1, scratch)
        assert all(bool(torch.isfinite(value)) for value in terms.values()), (each.name, terms)
        loss.backward()
        networks = dict(stage.learners[each.learner].modules.named_children())
        networks |= dict(networks.pop("talker").named_children()) if "talker" in networks else {}
        for name, network in networks.items():
            finite = [bool(torch.isfinite(p.grad).all()) for p in network.parameters() if p.grad is not None]
            assert all(finite), (each.name, name)
            if share_of_weights(network) > 1e-7:
                taught.add(name)
    return taught


@pytest.mark.parametrize("kind", ["sync", "generator"])
def test_no_parameter_of_the_flow_talker_is_forgotten(kind, make_stage):
    stage = make_stage(stage=kind)
    stage.phases[-1].loss(stage.batch(1), 1, Scratch())[0].backward()
    for name, parameter in stage.learners["talker"].modules.named_parameters():
        assert parameter.grad is not None, name


def test_rebuilding_frames_teaches_neither_what_is_seen_nor_the_pose(make_stage):
    """A pose head that reconstruction may train carries the mouth (docs/decisions/0003): the leak is closed here."""
    stage = make_stage(stage="generator", judges=("mouth", "face"))
    for step in range(1, 4):
        _, terms = phase(stage, "rebuild").loss(stage.batch(step), step, Scratch())
        rebuilt = [terms[name] * weight for name, weight in FLOW.items() if name not in BINDING and weight]
        assert len(rebuilt) == sum(weight > 0 for weight in FLOW.values()) - len(BINDING)
        stage.modules.zero_grad(set_to_none=True)
        torch.stack(rebuilt).sum().backward()
        talker = stage.modules.get_submodule("talker")
        taught = {name: share_of_weights(network) for name, network in talker.named_children()}
        assert taught.pop("motion") == 0
        assert all(share > 1e-6 for share in taught.values()), taught
        assert share_of_weights(stage.modules.get_submodule("heads")) == 0


def test_each_term_of_the_pose_reaches_the_pose_head_alone(make_stage):
    stage = make_stage(stage="sync")
    _, terms = stage.loss(stage.batch(1), 1, Scratch())
    terms["pose"].backward()
    motion = stage.modules.get_submodule("talker.motion")
    assert share_of_weights(motion.get_submodule("pose_head")) > 1e-6
    assert share_of_weights(motion.get_submodule("content_head")) == 0


def test_the_frames_of_a_moment_are_contrasted_as_one(make_stage):
    """Untrained codes are at chance: the logarithm of the number of moments, however many frames are joined."""
    stage = make_stage(stage="sync", clips=3, moments=4, joined_frames=3)
    drawn = stage.batch(1)
    assert drawn.augmented.shape[0] == drawn.batch.mel.shape[0] == 36
    with torch.no_grad():
        _, terms = stage.loss(drawn, 1, Scratch())
        motion, speech = (stage.modules.get_submodule(f"talker.{name}") for name in ("motion", "speech"))
        codes = [motion(drawn.augmented).content, speech(drawn.batch.mel)]
    rows = [torch.stack([code[0::3], code[1::3], code[2::3]], dim=1).flatten(1) for code in codes]
    scale = stage.modules.get_submodule("heads").scale
    torch.testing.assert_close(terms["across"], retrieval(rows[0], rows[1], scale)[0])
    assert float(terms["within"]) == pytest.approx(math.log(4), abs=0.4)
    assert float(terms["across"]) == pytest.approx(math.log(12), abs=0.8)


def test_sync_steps_between_join_frames_and_rebuilding_does_not(make_stage):
    stage = make_stage(stage="generator", sync_every=2, joined_frames=2)
    assert stage.batch(1).batch.target.shape[0] == 3 * 2
    assert stage.batch(2).batch.target.shape[0] == 4 * 16 * 2
    for step in (1, 2):
        due = next(each for each in stage.phases if each.due(step))
        assert bool(torch.isfinite(due.loss(stage.batch(step), step, Scratch())[0]))


def test_published_losses_contrast_and_rebuild_the_same_joined_frames(make_stage):
    stage = make_stage(stage="generator", judges=("face",), clips=2, moments=1, joined_frames=3, **PUBLISHED)
    assert stage.batch(1).batch.target.shape[0] == 6
    assert "face_judge" in taught_networks(stage)


def test_meeting_moves_speech_towards_sight_and_not_back(make_stage):
    stage = make_stage(stage="sync")
    _, terms = stage.loss(stage.batch(1), 1, Scratch())
    terms["meet"].backward()
    assert share_of_weights(stage.modules.get_submodule("talker.speech")) > 1e-6
    assert share_of_weights(stage.modules.get_submodule("talker.motion")) == 0


def test_a_loss_follows_from_seed_and_step_alone(make_stage):
    first, again = (make_stage(stage="generator") for _ in range(2))
    for a, b in zip(first.batch(5).batch, again.batch(5).batch, strict=True):
        assert torch.equal(a, b)
    a, b = (phase(stage, "rebuild").loss(stage.batch(5), 5, Scratch())[0] for stage in (first, again))
    assert torch.equal(a, b)


def test_silent_clips_alone_teach_the_generator_too(drawn_packs: Path, tiny_spec: TalkerSpec):
    library = Library.load(find_packs([drawn_packs]), "train")
    silent = Library([clip for clip in library.clips if clip.mel is None], 64)
    options = TrainOptions(packs=(drawn_packs,), run=drawn_packs / "run", clips=2, moments=2)
    stage = GeneratorStage(build_model(tiny_spec), TrainingHeads(tiny_spec, 80), silent, options)
    loss, terms = phase(stage, "rebuild").loss(stage.batch(1), 1, Scratch())
    assert bool(torch.isfinite(loss))
    assert not {"across", "within", "meet", "lips_heard"} & set(terms)
