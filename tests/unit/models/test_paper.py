"""The `paper` model against a direct implementation of the published networks (`helpers.published`)."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from helpers.release import CLASSES, Release, layout, make_release
from pcavs.models.build import build_model
from pcavs.models.fan import FanEncoder
from pcavs.models.generator import Codes
from pcavs.models.inference import FaceNetwork, inference_networks
from pcavs.models.paper import PaperModel
from pcavs.models.resnet import PaperIdentity
from pcavs.models.state import fill, tensors_of
from pcavs.spec import TINY_PAPER, PaperSpec, TalkerSpec
from pcavs.weights.published import from_published

TINY = TalkerSpec(kind="paper", paper=TINY_PAPER)


@pytest.fixture(scope="module")
def release() -> Release:
    return make_release(TINY_PAPER)


@pytest.fixture(scope="module")
def model(release: Release) -> PaperModel:
    model = build_model(TINY)
    assert isinstance(model, PaperModel)
    wanted = {name: value.shape for name, value in tensors_of(model).items()}
    stored = {
        label: {name: value.numpy() for name, value in store.tensors.items()} for label, store in release.stores.items()
    }
    fill(model, from_published(stored, wanted, TINY_PAPER), "here")
    return model.eval()


@torch.no_grad()
def test_every_network_equals_the_published_one(model: PaperModel, release: Release):
    given = {name: torch.from_numpy(value) for name, value in release.arrays.items()}
    identity = model.encode_identity(given["in_id"][:, 0])
    speech, motion = model.encode_speech(given["in_spec"]), model.motion(given["in_pose"])
    feature = model.motion.feature(given["in_pose"])
    driving = Codes(speech * TINY_PAPER.speech_gain, motion.pose)
    ours = {
        "id_vec": identity.vector,
        "id_map": identity.seed,
        "audio_feat": speech,
        "mouth_embed": model.generator.content_embedding(driving.content),
        "ref_pose_code": model.encode_pose(given["in_id"][:, 0]),
        "drv_noid": feature,
        "drv_headpose": model.motion.pose_head(feature),
        "drv_pose_code": model.encode_pose(given["in_pose"]),
        "drv_mouth_visual": model.encode_lips(given["in_pose"]),
        "style": model.generator.style(identity, driving),
        "pre_tanh_driven": model.generator.unbounded(identity, driving),
        "out_driven": model.render(identity, driving),
    }
    for name, value in ours.items():
        theirs = given[name].reshape(value.shape)
        assert theirs.std() > 0.01, name
        assert (value - theirs).abs().max() <= 2e-5 * theirs.abs().max(), name


@torch.no_grad()
def test_inference_networks_take_uint8_and_apply_the_speech_gain(model: PaperModel):
    networks = inference_networks(model)
    faces = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    signed, window = faces.permute(0, 3, 1, 2) / 127.5 - 1, torch.rand(2, 1, 80, 20)
    vector, seed = networks["identity"](faces)
    identity = model.encode_identity(signed)
    torch.testing.assert_close((vector, seed), tuple(identity), atol=1e-5, rtol=1e-4)
    lips, pose = networks["motion"](faces)
    torch.testing.assert_close((lips, pose), (model.encode_lips(signed), model.encode_pose(signed)))
    speech = networks["speech"](window)
    torch.testing.assert_close(speech, 1.2 * model.encode_speech(window))
    face = networks["generator"](speech, pose, vector, seed)
    assert face.shape == (2, 3, 64, 64)
    torch.testing.assert_close(face, model.render(PaperIdentity(vector, seed), Codes(speech, pose)))
    unbounded = FaceNetwork(model.generator, bounded=False)(speech, pose, vector, seed)
    assert torch.equal(unbounded.tanh(), face)


@torch.no_grad()
def test_noise_is_drawn_anew_in_training_only(model: PaperModel):
    identity = PaperIdentity(torch.randn(1, 64), torch.randn(1, 32, 2, 2))
    driving = Codes(torch.randn(1, 32), torch.randn(1, 12))
    assert torch.equal(model.render(identity, driving), model.render(identity, driving))
    model.generator.train()
    try:
        assert not torch.equal(model.render(identity, driving), model.render(identity, driving))
    finally:
        model.generator.eval()


@torch.no_grad()
def test_samples_of_a_batch_are_independent(model: PaperModel):
    identity = PaperIdentity(torch.randn(3, 64), torch.randn(3, 32, 2, 2))
    driving = Codes(torch.randn(3, 32), torch.randn(3, 12))
    together = model.render(identity, driving)
    alone = model.render(*(type(each)(*(part[1:2] for part in each)) for each in (identity, driving)))
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-4)


def test_sizes_of_the_published_networks():
    """Numbers of parameters as published, minus the heads for training and what inference never runs."""
    with torch.device("meta"):
        model = build_model(TalkerSpec(kind="paper"))
    assert isinstance(model, PaperModel)
    sizes = {name: sum(each.numel() for each in part.parameters()) for name, part in model.named_children()}
    embedding = 500 * 513
    heads = {"E": 512 * 513 + 2 * 5830 * 513 + 5830 * 13, "V": 1000 * 2049 + 5830 * 2049, "A_sync": 5830 * 513}
    assert sizes == {
        "identity": 38_023_662 - heads["V"],
        "motion": 14_285_643 - heads["E"] - embedding,
        "speech": 10_364_434 - heads["A_sync"],
        "generator": 37_095_837 + embedding,
    }


def test_the_reference_has_the_published_names_and_shapes(shared: Path):
    """Compares `helpers.published` at full size with the recorded layout of a release."""
    keys = json.loads((shared / "oracle" / "keys.json").read_text())
    for label, names in layout(PaperSpec()).items():
        assert names.keys() == keys[label].keys()
        for name, shape in names.items():
            assert list(shape) == [CLASSES if size == 5830 else size for size in keys[label][name]], name


def test_the_motion_encoder_learns_on_where_its_one_channel_is_negative():
    """All of the face passes through one channel; where a plain ReLU made it zero everywhere, runs ended dead."""
    motion = build_model(TINY).motion
    assert isinstance(motion, FanEncoder)
    channel = motion.project[2]
    assert isinstance(channel, nn.Conv2d)
    assert channel.bias is not None
    nn.init.constant_(channel.bias, -100.0)
    faces = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    feature = motion.feature(faces)
    assert torch.equal(feature, motion.project[-1].bias.expand_as(feature))
    feature.sum().backward()
    assert channel.bias.grad is not None
    assert float(channel.bias.grad.abs()) > 0
