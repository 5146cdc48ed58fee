"""The `flow` model at both sizes: shapes, number of parameters, cost, and what each code changes."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from pcavs.models.build import build_model
from pcavs.models.flow import FlowModel
from pcavs.models.generator import Codes, compose
from pcavs.spec import TINY_FLOW, FlowSpec, TalkerSpec

SPECS = {"tiny": TalkerSpec(flow=TINY_FLOW), "default": TalkerSpec()}


@pytest.fixture(scope="module", params=SPECS)
def spec(request: pytest.FixtureRequest) -> TalkerSpec:
    return SPECS[request.param]


@pytest.fixture(scope="module")
def model(spec: TalkerSpec) -> FlowModel:
    torch.manual_seed(0)
    return build_model(spec).eval()


def faces(spec: FlowSpec, batch: int) -> torch.Tensor:
    return torch.rand(batch, 3, spec.frame_px, spec.frame_px) * 2 - 1


@torch.no_grad()
def test_shapes(model: FlowModel, spec: TalkerSpec):
    flow, side = spec.flow, spec.flow.frame_px
    identity = model.encode_identity(faces(flow, 2))
    assert identity.features.vector.shape == (2, flow.identity_dim)
    assert [tuple(level.shape) for level in identity.features.maps] == [
        (2, width, side >> power, side >> power)
        for power, width in zip((4, 3, 2, 1), flow.identity_widths[-2::-1], strict=True)
    ]
    content, pose = model.encode_speech(torch.rand(2, 1, 80, 20)), model.encode_pose(faces(flow, 2))
    assert content.shape == model.encode_lips(faces(flow, 2)).shape == (2, flow.content_dim)
    assert pose.shape == identity.own.pose.shape == (2, 12)
    fields, flows = model.generator(identity.features, identity.own, Codes(content, pose))
    assert [tuple(each.shape) for each in flows] == [(2, 2, side >> power, side >> power) for power in (4, 3, 2, 1)]
    assert fields.flow.shape == (2, 2, side // 2, side // 2)
    assert (fields.mask.shape, fields.colours.shape) == ((2, 1, side, side), (2, 3, side, side))
    assert 0 <= fields.mask.min() <= fields.mask.max() <= 1
    assert fields.colours.abs().max() <= 1
    picture = torch.rand(2, 3, flow.picture_px, flow.picture_px) * 2 - 1
    assert compose(picture, fields).shape == picture.shape


def test_size(model: FlowModel, spec: TalkerSpec):
    limit = 1_000_000 if spec.flow == TINY_FLOW else 12_000_000
    assert sum(parameter.numel() for parameter in model.parameters()) <= limit


@torch.no_grad()
def test_cost_of_a_frame():
    """Speech encoder, generator and motion encoder run for each frame; the photograph has 256 pixels."""
    spec = SPECS["default"]
    model = build_model(spec).eval()
    identity = model.encode_identity(faces(spec.flow, 1))
    picture = torch.zeros(1, 3, spec.flow.picture_px, spec.flow.picture_px)
    with FlopCounterMode(display=False) as counter:
        driving = Codes(model.encode_speech(torch.zeros(1, 1, 80, 20)), model.encode_pose(faces(spec.flow, 1)))
        compose(picture, model.render(identity, driving))
    assert 0.1e9 < counter.get_total_flops() <= 10e9


@torch.no_grad()
def test_untrained_model_nearly_returns_the_photograph(model: FlowModel, spec: TalkerSpec):
    """The initial flow is near zero and the mask near one, so that training starts from the photograph."""
    face = faces(spec.flow, 1)
    fields = model.render(model.encode_identity(face), Codes(torch.randn(1, spec.flow.content_dim), torch.randn(1, 12)))
    assert fields.flow.abs().mean() < 0.05
    assert fields.mask.mean() > 0.8


@torch.no_grad()
def test_length_of_content_has_no_effect(model: FlowModel, spec: TalkerSpec):
    identity = model.encode_identity(faces(spec.flow, 1))
    content, pose = torch.randn(1, spec.flow.content_dim), torch.randn(1, 12)
    quiet, loud = (model.render(identity, Codes(content * gain, pose)) for gain in (0.3, 30.0))
    for a, b in zip(quiet, loud, strict=True):
        torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-3)


@torch.no_grad()
def test_each_code_changes_the_frame(model: FlowModel, spec: TalkerSpec):
    identity = model.encode_identity(faces(spec.flow, 1))
    content, pose = torch.randn(1, spec.flow.content_dim), torch.randn(1, 12)
    still = model.render(identity, Codes(content, pose)).flow
    for other in (Codes(torch.randn_like(content), pose), Codes(content, torch.randn_like(pose))):
        assert (model.render(identity, other).flow - still).abs().max() > 1e-4


@torch.no_grad()
def test_samples_of_a_batch_are_independent(model: FlowModel, spec: TalkerSpec):
    both = faces(spec.flow, 2)
    codes = Codes(torch.randn(2, spec.flow.content_dim), torch.randn(2, 12))
    together = model.render(model.encode_identity(both), codes)
    alone = model.render(model.encode_identity(both[1:]), Codes(*(code[1:] for code in codes)))
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a[1:], b, atol=1e-4, rtol=1e-3)
