"""Discriminators and adversarial losses, on hand-worked cases and at the published sizes."""

import pytest
import torch

from pcavs.data.pack import find_packs
from pcavs.data.pack_corpus import PackCorpus
from pcavs.models.discriminator import MultiscaleDiscriminator, PatchDiscriminator
from pcavs.train.adversarial import (
    Discriminator,
    discriminator_hinge,
    feature_matching,
    generator_hinge,
    mouth_windows,
    r1_penalty,
)
from pcavs.train.reconstruction import mouth_masks
from pcavs.train.stage import step_rng


def maps_of(*logits: float) -> list[list[torch.Tensor]]:
    """Maps of a discriminator whose scales have one logit each and no features."""
    return [[torch.full((1, 1, 1, 1), logit)] for logit in logits]


def test_the_published_discriminator_has_the_published_size():
    published = MultiscaleDiscriminator()
    assert sum(parameter.numel() for parameter in published.parameters()) == 5_527_682
    large, small = published(torch.zeros(1, 3, 224, 224))
    assert [tuple(each.shape[1:]) for each in large] == [
        *((3, 224, 224), (64, 113, 113), (128, 57, 57), (256, 29, 29), (512, 30, 30), (1, 31, 31))
    ]
    assert small[0].shape[-1] == 112


def test_the_smaller_scale_is_an_average_without_padding():
    small = MultiscaleDiscriminator(2, (4, 8))(torch.ones(1, 3, 32, 32))[1][0]
    assert torch.equal(small, torch.ones(1, 3, 16, 16))


def test_hinge_losses_by_hand():
    assert float(discriminator_hinge(maps_of(1.0, 3.0), maps_of(-1.0, -2.0))) == 0
    assert float(discriminator_hinge(maps_of(0.0, 0.0), maps_of(0.0, 0.0))) == 2
    assert float(discriminator_hinge(maps_of(-1.0, 1.0), maps_of(-1.0, 1.0))) == pytest.approx((2 + 2) / 2)
    assert float(generator_hinge(maps_of(3.0, -1.0))) == -1


def test_feature_matching_includes_the_picture_and_leaves_the_logits_out():
    generated = [[torch.zeros(1, 3, 4, 4), torch.zeros(1, 8, 2, 2), torch.zeros(1, 1, 1, 1)]]
    target = [[torch.ones(1, 3, 4, 4), torch.full((1, 8, 2, 2), 3.0), torch.full((1, 1, 1, 1), 100.0)]]
    assert float(feature_matching(generated, target)) == 4
    assert float(feature_matching(generated * 2, target * 2)) == 4


def test_the_penalty_is_the_squared_gradient():
    pictures = torch.zeros(2, 3, 1, 1, requires_grad=True)
    slope = torch.tensor([1.0, 2.0, 2.0])[None, :, None, None]
    assert float(r1_penalty([[(pictures * slope).sum(dim=1, keepdim=True)]], pictures)) == pytest.approx(9)


def test_a_mouth_window_contains_the_mouth(drawn_packs):
    batch = PackCorpus.load(find_packs([drawn_packs]), "train").batch(step_rng(0, 1), 4, 2)
    inside = mouth_masks(batch.target_mesh, 64)[0]
    seen = mouth_windows(inside.expand(-1, 3, -1, -1), batch.target_mesh, 24)
    assert seen.shape == (8, 3, 24, 24)
    assert float(seen.mean()) > 4 * float(inside.mean())
    rim = torch.cat([seen[..., 0], seen[..., -1]])
    assert float(rim.abs().max()) == 0
    moved = mouth_windows(batch.target, batch.target_mesh + 0.3, 24)
    assert not torch.equal(moved, mouth_windows(batch.target, batch.target_mesh, 24))


def test_a_discriminator_learns_to_tell_blurred_from_sharp():
    torch.manual_seed(0)
    discriminator = Discriminator("face", MultiscaleDiscriminator(1, (8, 16)))
    optimizer = torch.optim.Adam(discriminator.parameters(), 2e-3, betas=(0.0, 0.9))
    mesh = torch.zeros(4, 478, 2)
    terms: dict[str, torch.Tensor] = {}
    for _ in range(60):
        sharp = torch.randint(2, (4, 3, 16, 16)).float() * 2 - 1
        blurred = torch.nn.functional.avg_pool2d(sharp, 3, 1, 1)
        terms = discriminator.discriminator_terms(blurred, sharp, mesh)
        optimizer.zero_grad()
        terms["face_discriminator"].backward()
        optimizer.step()
    assert float(terms["face_discriminator"].detach()) < 1
    assert float(terms["face_real"].detach()) > float(terms["face_generated"].detach()) + 0.5


def test_the_penalty_is_computed_in_full_precision():
    discriminator = Discriminator("mouth", MultiscaleDiscriminator(1, (4, 8)), window_px=16)
    faces = torch.rand(2, 3, 32, 32) * 2 - 1
    mesh = torch.zeros(2, 478, 2)
    with torch.autocast("cpu", torch.bfloat16):
        half = discriminator.penalty_terms(faces, mesh)["mouth_r1"]
    assert half.dtype == torch.float32
    half.backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in discriminator.parameters() if p.grad is not None)


def test_logits_do_not_depend_on_other_pictures_of_the_batch():
    torch.manual_seed(0)
    network = PatchDiscriminator((4, 8, 8)).eval()
    pictures = torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(network(pictures)[-1][:1], network(pictures[:1])[-1])
