"""Who learns from what: every network of a stage, and the pose and content heads from no picture."""

from pathlib import Path

import pytest
import torch
from torch import nn

from pcavs.data.library import Library
from pcavs.data.pack import find_packs
from pcavs.models.talker import build_talker
from pcavs.spec import TalkerSpec
from pcavs.train.generator import WEIGHTS, GeneratorStage
from pcavs.train.options import TrainOptions
from pcavs.train.stage import Stage, TrainingHeads
from pcavs.train.sync import SyncStage

BINDING = {"across", "within", "meet", "lips_seen", "lips_heard", "pose"}
"""Terms that do not look at the rebuilt frame."""


@pytest.fixture
def make_stage(drawn_packs: Path, tiny_spec: TalkerSpec):
    library = Library.load(find_packs([drawn_packs]), "train")
    options = TrainOptions(packs=(drawn_packs,), run=drawn_packs / "run", clips=4, moments=3)

    def make(kind: type[SyncStage] | type[GeneratorStage]) -> Stage:
        torch.manual_seed(0)
        talker = build_talker(tiny_spec)
        return kind(talker, TrainingHeads(tiny_spec, 80), library, options)

    return make


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


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=["f32", "bf16"])
@pytest.mark.parametrize("kind", [SyncStage, GeneratorStage], ids=["sync", "generator"])
def test_every_network_of_a_stage_learns(kind, precision, make_stage):
    stage = make_stage(kind)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        loss, _ = stage.loss(stage.batch(1), 1)
    loss.backward()
    networks = dict(stage.modules.named_children())
    networks |= dict(networks.pop("talker").named_children()) if "talker" in networks else {}
    wanted = {"motion", "speech", "heads"} | ({"identity", "generator"} if kind is GeneratorStage else set())
    assert set(networks) == wanted
    for name, network in networks.items():
        assert share_of_weights(network) > 1e-6, name
        for part, parameter in network.named_parameters():
            assert parameter.grad is not None, f"{name}.{part} has no gradient"
            assert bool(torch.isfinite(parameter.grad).all()), f"{name}.{part}"


def test_rebuilding_frames_teaches_neither_what_is_seen_nor_the_pose(make_stage):
    """A pose head that reconstruction may train carries the mouth (docs/decisions/0003): the leak is closed here."""
    stage = make_stage(GeneratorStage)
    for step in range(1, 4):
        _, terms = stage.loss(stage.batch(step), step)
        rebuilt = [terms[name] * weight for name, weight in WEIGHTS.items() if name not in BINDING]
        assert len(rebuilt) == len(WEIGHTS) - len(BINDING)
        stage.modules.zero_grad(set_to_none=True)
        torch.stack(rebuilt).sum().backward()
        talker = stage.modules.get_submodule("talker")
        taught = {name: share_of_weights(network) for name, network in talker.named_children()}
        assert taught.pop("motion") == 0
        assert all(share > 1e-6 for share in taught.values()), taught
        assert share_of_weights(stage.modules.get_submodule("heads")) == 0


def test_each_term_of_the_pose_reaches_the_pose_head_alone(make_stage):
    stage = make_stage(SyncStage)
    _, terms = stage.loss(stage.batch(1), 1)
    terms["pose"].backward()
    motion = stage.modules.get_submodule("motion")
    assert share_of_weights(motion.get_submodule("pose_head")) > 1e-6
    assert share_of_weights(motion.get_submodule("content_head")) == 0


def test_meeting_moves_speech_towards_sight_and_not_back(make_stage):
    stage = make_stage(SyncStage)
    _, terms = stage.loss(stage.batch(1), 1)
    terms["meet"].backward()
    assert share_of_weights(stage.modules.get_submodule("speech")) > 1e-6
    assert share_of_weights(stage.modules.get_submodule("motion")) == 0


def test_a_loss_follows_from_seed_and_step_alone(make_stage):
    first, again = (make_stage(GeneratorStage) for _ in range(2))
    for a, b in zip(first.batch(5), again.batch(5), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(first.loss(first.batch(5), 5)[0], again.loss(again.batch(5), 5)[0])


def test_silent_clips_alone_teach_the_generator_too(drawn_packs: Path, tiny_spec: TalkerSpec):
    library = Library.load(find_packs([drawn_packs]), "train")
    silent = Library([clip for clip in library.clips if clip.mel is None], 64)
    options = TrainOptions(packs=(drawn_packs,), run=drawn_packs / "run", clips=2, moments=2)
    stage = GeneratorStage(build_talker(tiny_spec), TrainingHeads(tiny_spec, 80), silent, options)
    loss, terms = stage.loss(stage.batch(1), 1)
    assert bool(torch.isfinite(loss))
    assert not {"across", "within", "meet", "lips_heard"} & set(terms)
