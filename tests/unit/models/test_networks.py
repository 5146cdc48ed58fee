"""Every network of both specs: shapes, size and cost."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pcavs.models.generator import Codes, compose
from pcavs.models.talker import FlowModel, build_talker
from pcavs.spec import TINY_FLOW, FlowSpec, TalkerSpec

SPECS = {"tiny": TalkerSpec(flow=TINY_FLOW), "default": TalkerSpec()}


@pytest.fixture(scope="module", params=SPECS)
def spec(request: pytest.FixtureRequest) -> TalkerSpec:
    return SPECS[request.param]


@pytest.fixture(scope="module")
def talker(spec: TalkerSpec) -> FlowModel:
    torch.manual_seed(0)
    return build_talker(spec).eval()


def faces(spec: FlowSpec, batch: int) -> torch.Tensor:
    return torch.rand(batch, 3, spec.frame_px, spec.frame_px) * 2 - 1


@torch.no_grad()
def test_shapes(talker: FlowModel, spec: TalkerSpec):
    flow, side = spec.flow, spec.flow.frame_px
    identity = talker.encode_identity(faces(flow, 2))
    assert identity.features.vector.shape == (2, flow.identity_dim)
    assert [tuple(level.shape) for level in identity.features.maps] == [
        (2, width, side >> power, side >> power)
        for power, width in zip((4, 3, 2, 1), flow.identity_widths[-2::-1], strict=True)
    ]
    content, pose = talker.encode_speech(torch.rand(2, 1, 80, 20)), talker.encode_pose(faces(flow, 2))
    assert content.shape == talker.encode_lips(faces(flow, 2)).shape == (2, flow.content_dim)
    assert pose.shape == identity.own.pose.shape == (2, 12)
    fields, flows = talker.generator(identity.features, identity.own, Codes(content, pose))
    assert [tuple(each.shape) for each in flows] == [(2, 2, side >> power, side >> power) for power in (4, 3, 2, 1)]
    assert fields.flow.shape == (2, 2, side // 2, side // 2)
    assert (fields.mask.shape, fields.colours.shape) == ((2, 1, side, side), (2, 3, side, side))
    assert 0 <= fields.mask.min() <= fields.mask.max() <= 1
    assert fields.colours.abs().max() <= 1
    picture = torch.rand(2, 3, flow.picture_px, flow.picture_px) * 2 - 1
    assert compose(picture, fields).shape == picture.shape


def test_size(talker: FlowModel, spec: TalkerSpec):
    limit = 1_000_000 if spec.flow == TINY_FLOW else 12_000_000
    assert sum(parameter.numel() for parameter in talker.parameters()) <= limit


@torch.no_grad()
def test_cost_of_a_frame():
    """What runs for each frame, with the picture at 256: speech, generator, and the pose of its source."""
    spec = SPECS["default"]
    talker = build_talker(spec).eval()
    identity = talker.encode_identity(faces(spec.flow, 1))
    picture = torch.zeros(1, 3, spec.flow.picture_px, spec.flow.picture_px)
    with FlopCounterMode(display=False) as counter:
        driving = Codes(talker.encode_speech(torch.zeros(1, 1, 80, 20)), talker.encode_pose(faces(spec.flow, 1)))
        compose(picture, talker.render(identity, driving))
    assert 0.1e9 < counter.get_total_flops() <= 10e9


@torch.no_grad()
def test_a_new_talker_nearly_gives_the_picture_back(talker: FlowModel, spec: TalkerSpec):
    """Flow starts at rest and the mask near one: learning begins from the identity picture, not from noise."""
    face = faces(spec.flow, 1)
    fields = talker.render(
        talker.encode_identity(face), Codes(torch.randn(1, spec.flow.content_dim), torch.randn(1, 12))
    )
    assert fields.flow.abs().mean() < 0.05
    assert fields.mask.mean() > 0.8


@torch.no_grad()
def test_loudness_of_content_says_nothing(talker: FlowModel, spec: TalkerSpec):
    identity = talker.encode_identity(faces(spec.flow, 1))
    content, pose = torch.randn(1, spec.flow.content_dim), torch.randn(1, 12)
    quiet, loud = (talker.render(identity, Codes(content * gain, pose)) for gain in (0.3, 30.0))
    for a, b in zip(quiet, loud, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_each_code_changes_the_frame(talker: FlowModel, spec: TalkerSpec):
    identity = talker.encode_identity(faces(spec.flow, 1))
    content, pose = torch.randn(1, spec.flow.content_dim), torch.randn(1, 12)
    still = talker.render(identity, Codes(content, pose)).flow
    for other in (Codes(torch.randn_like(content), pose), Codes(content, torch.randn_like(pose))):
        assert (talker.render(identity, other).flow - still).abs().max() > 1e-4


@torch.no_grad()
def test_samples_of_a_batch_do_not_meet(talker: FlowModel, spec: TalkerSpec):
    both = faces(spec.flow, 2)
    codes = Codes(torch.randn(2, spec.flow.content_dim), torch.randn(2, 12))
    together = talker.render(talker.encode_identity(both), codes)
    alone = talker.render(talker.encode_identity(both[1:]), Codes(*(code[1:] for code in codes)))
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:], b, atol=1e-4, rtol=1e-3)
