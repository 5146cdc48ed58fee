"""The `paper` talker against the published networks, written plainly in `helpers.published`."""

import json
from pathlib import Path

import pytest
import torch

from helpers.release import CLASSES, Release, layout, make_release
from pcavs.models.generator import Codes
from pcavs.models.paper import PaperModel
from pcavs.models.plain import PlainFace, plain_networks
from pcavs.models.resnet import PaperIdentity
from pcavs.models.state import fill, tensors_of
from pcavs.models.talker import build_talker
from pcavs.spec import TINY_PAPER, PaperSpec, TalkerSpec
from pcavs.weights.published import from_published

TINY = TalkerSpec(kind="paper", paper=TINY_PAPER)


@pytest.fixture(scope="module")
def release() -> Release:
    return make_release(TINY_PAPER)


@pytest.fixture(scope="module")
def talker(release: Release) -> PaperModel:
    talker = build_talker(TINY)
    assert isinstance(talker, PaperModel)
    wanted = {name: value.shape for name, value in tensors_of(talker).items()}
    stored = {
        label: {name: value.numpy() for name, value in store.tensors.items()} for label, store in release.stores.items()
    }
    fill(talker, from_published(stored, wanted, TINY_PAPER), "here")
    return talker.eval()


@torch.no_grad()
def test_every_network_computes_what_was_published(talker: PaperModel, release: Release):
    given = {name: torch.from_numpy(value) for name, value in release.arrays.items()}
    identity = talker.encode_identity(given["in_id"][:, 0])
    heard, motion = talker.encode_speech(given["in_spec"]), talker.motion(given["in_pose"])
    feature = talker.motion.feature(given["in_pose"])
    driving = Codes(heard * TINY_PAPER.speech_gain, motion.pose)
    ours = {
        "id_vec": identity.vector,
        "id_map": identity.seed,
        "audio_feat": heard,
        "mouth_embed": talker.generator.content_embedding(driving.content),
        "ref_pose_code": talker.encode_pose(given["in_id"][:, 0]),
        "drv_noid": feature,
        "drv_headpose": talker.motion.pose_head(feature),
        "drv_pose_code": talker.encode_pose(given["in_pose"]),
        "drv_mouth_visual": talker.encode_lips(given["in_pose"]),
        "style": talker.generator.style(identity, driving),
        "pre_tanh_driven": talker.generator.unbounded(identity, driving),
        "out_driven": talker.render(identity, driving),
    }
    for name, value in ours.items():
        theirs = given[name].reshape(value.shape)
        assert theirs.std() > 0.01, name
        assert (value - theirs).abs().max() <= 2e-5 * theirs.abs().max(), name


@torch.no_grad()
def test_plain_networks_take_pictures_and_raise_what_is_heard(talker: PaperModel):
    plain = plain_networks(talker)
    faces = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    signed, window = faces.permute(0, 3, 1, 2) / 127.5 - 1, torch.rand(2, 1, 80, 20)
    vector, seed = plain["identity"](faces)
    identity = talker.encode_identity(signed)
    torch.testing.assert_close((vector, seed), tuple(identity), atol=1e-5, rtol=1e-4)
    seen, pose = plain["motion"](faces)
    torch.testing.assert_close((seen, pose), (talker.encode_lips(signed), talker.encode_pose(signed)))
    heard = plain["speech"](window)
    torch.testing.assert_close(heard, 1.2 * talker.encode_speech(window))
    face = plain["generator"](heard, pose, vector, seed)
    assert face.shape == (2, 3, 64, 64)
    torch.testing.assert_close(face, talker.render(PaperIdentity(vector, seed), Codes(heard, pose)))
    unbounded = PlainFace(talker.generator, bounded=False)(heard, pose, vector, seed)
    assert torch.equal(unbounded.tanh(), face)


@torch.no_grad()
def test_noise_is_the_stored_one_and_fresh_in_training_only(talker: PaperModel):
    identity = PaperIdentity(torch.randn(1, 64), torch.randn(1, 32, 2, 2))
    driving = Codes(torch.randn(1, 32), torch.randn(1, 12))
    assert torch.equal(talker.render(identity, driving), talker.render(identity, driving))
    talker.generator.train()
    try:
        assert not torch.equal(talker.render(identity, driving), talker.render(identity, driving))
    finally:
        talker.generator.eval()


@torch.no_grad()
def test_samples_of_a_batch_do_not_meet(talker: PaperModel):
    identity = PaperIdentity(torch.randn(3, 64), torch.randn(3, 32, 2, 2))
    driving = Codes(torch.randn(3, 32), torch.randn(3, 12))
    together = talker.render(identity, driving)
    alone = talker.render(*(type(each)(*(part[1:2] for part in each)) for each in (identity, driving)))
    torch.testing.assert_close(together[1:2], alone, atol=1e-5, rtol=1e-4)


def test_sizes_of_the_published_networks():
    """Parameters as published, less the heads of training and what never runs (spec of the release)."""
    with torch.device("meta"):
        talker = build_talker(TalkerSpec(kind="paper"))
    assert isinstance(talker, PaperModel)
    sizes = {name: sum(each.numel() for each in part.parameters()) for name, part in talker.named_children()}
    embedding = 500 * 513
    heads = {"E": 512 * 513 + 2 * 5830 * 513 + 5830 * 13, "V": 1000 * 2049 + 5830 * 2049, "A_sync": 5830 * 513}
    assert sizes == {
        "identity": 38_023_662 - heads["V"],
        "motion": 14_285_643 - heads["E"] - embedding,
        "speech": 10_364_434 - heads["A_sync"],
        "generator": 37_095_837 + embedding,
    }


def test_the_plain_networks_have_the_published_names(shared: Path):
    """Holds the test's own reference to the recorded layout, at full size."""
    keys = json.loads((shared / "oracle" / "keys.json").read_text())
    for label, names in layout(PaperSpec()).items():
        assert names.keys() == keys[label].keys()
        for name, shape in names.items():
            assert list(shape) == [CLASSES if size == 5830 else size for size in keys[label][name]], name
