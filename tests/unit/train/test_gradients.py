"""Which loss trains which network: every network of a stage is trained, and pose and content heads by no picture."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from pcavs.data.pack import find_packs
from pcavs.data.pack_corpus import PackCorpus
from pcavs.models.build import build_model
from pcavs.spec import TINY_PAPER, TalkerSpec
from pcavs.train.generator import GeneratorStage
from pcavs.train.loss_weights import FLOW, SYNC
from pcavs.train.losses import contrast_across
from pcavs.train.options import TrainOptions, verify
from pcavs.train.session import STAGES
from pcavs.train.stage import Phase, Scratch, Stage, TrainingHeads


@pytest.fixture
def make_stage(drawn_packs: Path, tiny_spec: TalkerSpec):
    corpus = PackCorpus.load(find_packs([drawn_packs]), "train")
    options = TrainOptions(packs=(drawn_packs,), run=drawn_packs / "run", clips=3, moments=2, size="tiny")

    def make(**changes: object) -> Stage:
        torch.manual_seed(0)
        chosen = dataclasses.replace(options, **changes)
        verify(chosen)
        spec = dataclasses.replace(tiny_spec, kind=chosen.kind, paper=TINY_PAPER)
        return STAGES[chosen.stage](build_model(spec), TrainingHeads(spec, 80), corpus, chosen)

    return make


def phase(stage: Stage, name: str) -> Phase:
    return next(each for each in stage.phases if each.name == name)


def relative_gradient(module: nn.Module) -> float:
    """Norm of the gradient, as a share of the norm of the weights."""
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
        {"stage": "generator", "discriminators": ("mouth", "face")},
        {"motion", "speech", "identity", "generator", "heads", "mouth_discriminator", "face_discriminator"},
    ),
    "paper identity": ({"stage": "identity", "kind": "paper", "margin": 0.2}, {"identity", "classifier"}),
    "paper generator": (
        {"stage": "generator", "kind": "paper", "discriminators": ("mouth", "face")},
        {
            "motion",
            "speech",
            "identity",
            "generator",
            "heads",
            "mouth_discriminator",
            "face_discriminator",
            "classifier",
        },
    ),
    "published identity": ({"stage": "identity", **PUBLISHED}, {"identity", "classifier"}),
    "published sync": ({"stage": "sync", **PUBLISHED}, {"motion", "speech"}),
    "published generator": (
        {"stage": "generator", "discriminators": ("face",), **PUBLISHED},
        {"motion", "speech", "identity", "generator", "face_discriminator", "classifier"},
    ),
}


@pytest.mark.parametrize(("changes", "wanted"), CASES.values(), ids=CASES.keys())
def test_every_network_of_a_stage_is_trained(changes, wanted, make_stage):
    assert trained_networks(make_stage(**changes)) == wanted


@pytest.mark.parametrize("case", ["generator", "paper generator"])
def test_every_network_is_trained_in_half_precision(case: str, make_stage):
    changes, wanted = CASES[case]
    assert trained_networks(make_stage(**changes), torch.bfloat16) == wanted


def trained_networks(stage: Stage, precision: torch.dtype = torch.float32) -> set[str]:
    """Runs step 1; checks that terms and gradients are finite, and returns the networks that got a gradient."""
    inputs, scratch, trained = stage.batch(1), Scratch(), set[str]()
    stage.modules.train()
    for each in stage.phases:
        if not each.due(1):
            continue
        stage.modules.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
            loss, terms = each.loss(inputs, 1, scratch)
        assert all(bool(torch.isfinite(value)) for value in terms.values()), (each.name, terms)
        loss.backward()
        networks = dict(stage.learners[each.learner].modules.named_children())
        networks |= dict(networks.pop("model").named_children()) if "model" in networks else {}
        for name, network in networks.items():
            finite = [bool(torch.isfinite(p.grad).all()) for p in network.parameters() if p.grad is not None]
            assert all(finite), (each.name, name)
            if relative_gradient(network) > 1e-7:
                trained.add(name)
    return trained


@pytest.mark.parametrize("kind", ["sync", "generator"])
def test_every_parameter_of_the_flow_model_gets_a_gradient(kind, make_stage):
    stage = make_stage(stage=kind)
    stage.phases[-1].loss(stage.batch(1), 1, Scratch())[0].backward()
    for name, parameter in stage.learners["model"].modules.named_parameters():
        assert parameter.grad is not None, name


def test_reconstruction_trains_neither_content_head_nor_pose_head(make_stage):
    """A pose head that reconstruction trains carries the mouth (docs/decisions/0006)."""
    stage = make_stage(stage="generator", discriminators=("mouth", "face"))
    for step in range(1, 4):
        _, terms = phase(stage, "reconstruct").loss(stage.batch(step), step, Scratch())
        weighted = [terms[name] * weight for name, weight in FLOW.items() if name not in SYNC and weight]
        assert len(weighted) == sum(weight > 0 for weight in FLOW.values()) - len(SYNC)
        stage.modules.zero_grad(set_to_none=True)
        torch.stack(weighted).sum().backward()
        talker = stage.modules.get_submodule("model")
        trained = {name: relative_gradient(network) for name, network in talker.named_children()}
        assert trained.pop("motion") == 0
        assert all(share > 1e-6 for share in trained.values()), trained
        assert relative_gradient(stage.modules.get_submodule("heads")) == 0


def test_the_pose_term_trains_the_pose_head_only(make_stage):
    stage = make_stage(stage="sync")
    _, terms = stage.loss(stage.batch(1), 1, Scratch())
    terms["pose"].backward()
    motion = stage.modules.get_submodule("model.motion")
    assert relative_gradient(motion.get_submodule("pose_head")) > 1e-6
    assert relative_gradient(motion.get_submodule("content_head")) == 0


def test_the_frames_of_a_moment_are_contrasted_as_one_vector(make_stage):
    """Untrained codes cost the logarithm of the number of moments, however many frames are joined."""
    stage = make_stage(stage="sync", clips=3, moments=4, joined_frames=3)
    inputs = stage.batch(1)
    assert inputs.augmented.shape[0] == inputs.batch.speech.shape[0] == 36
    with torch.no_grad():
        _, terms = stage.loss(inputs, 1, Scratch())
        motion, speech = (stage.modules.get_submodule(f"model.{name}") for name in ("motion", "speech"))
        codes = [motion(inputs.augmented).content, speech(inputs.batch.speech)]
    rows = [torch.stack([code[0::3], code[1::3], code[2::3]], dim=1).flatten(1) for code in codes]
    scale = stage.modules.get_submodule("heads").scale
    torch.testing.assert_close(terms["across"], contrast_across(rows[0], rows[1], scale)[0])
    assert float(terms["within"]) == pytest.approx(math.log(4), abs=0.4)
    assert float(terms["across"]) == pytest.approx(math.log(12), abs=0.8)


def test_sync_steps_join_frames_and_reconstruction_does_not(make_stage):
    stage = make_stage(stage="generator", sync_every=2, joined_frames=2)
    assert stage.batch(1).batch.target.shape[0] == 3 * 2
    assert stage.batch(2).batch.target.shape[0] == 4 * 16 * 2
    for step in (1, 2):
        due = next(each for each in stage.phases if each.due(step))
        assert bool(torch.isfinite(due.loss(stage.batch(step), step, Scratch())[0]))


def test_published_losses_reconstruct_the_joined_frames(make_stage):
    stage = make_stage(stage="generator", discriminators=("face",), clips=2, moments=1, joined_frames=3, **PUBLISHED)
    assert stage.batch(1).batch.target.shape[0] == 6
    assert "face_discriminator" in trained_networks(stage)


def test_the_cross_modal_term_trains_the_speech_encoder_only(make_stage):
    stage = make_stage(stage="sync")
    _, terms = stage.loss(stage.batch(1), 1, Scratch())
    terms["cross_modal"].backward()
    assert relative_gradient(stage.modules.get_submodule("model.speech")) > 1e-6
    assert relative_gradient(stage.modules.get_submodule("model.motion")) == 0


def test_a_loss_depends_on_seed_and_step_only(make_stage):
    first, again = (make_stage(stage="generator") for _ in range(2))
    for a, b in zip(first.batch(5).batch, again.batch(5).batch, strict=True):
        assert torch.equal(a, b)
    a, b = (phase(stage, "reconstruct").loss(stage.batch(5), 5, Scratch())[0] for stage in (first, again))
    assert torch.equal(a, b)


def test_silent_clips_alone_train_the_generator(drawn_packs: Path, tiny_spec: TalkerSpec):
    corpus = PackCorpus.load(find_packs([drawn_packs]), "train")
    silent = PackCorpus([clip for clip in corpus.clips if clip.mel is None], 64)
    options = TrainOptions(packs=(drawn_packs,), run=drawn_packs / "run", clips=2, moments=2)
    stage = GeneratorStage(build_model(tiny_spec), TrainingHeads(tiny_spec, 80), silent, options)
    loss, terms = phase(stage, "reconstruct").loss(stage.batch(1), 1, Scratch())
    assert bool(torch.isfinite(loss))
    assert not {"across", "within", "cross_modal", "lips_heard"} & set(terms)
