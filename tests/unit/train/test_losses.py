"""Losses, on hand-worked cases."""

import math

import pytest
import torch

from pcavs.data.pack import find_packs
from pcavs.data.pack_corpus import PackCorpus
from pcavs.models.generator import FLOW_GAIN
from pcavs.train.generator import greyed
from pcavs.train.losses import (
    contrast_across,
    contrast_within,
    edge_distance,
    flow_at,
    landmark_flow,
    masked_mean,
    published_contrast,
    roughness,
)
from pcavs.train.reconstruction import INVENTED_WEIGHT, mouth_areas, mouth_masks, picture_terms
from pcavs.train.stage import step_rng

ONE = torch.tensor(1.0)


def test_partners_of_equal_direction_are_found():
    codes = torch.eye(4) * torch.tensor([[0.1], [1.0], [7.0], [100.0]])
    loss, found = contrast_across(codes, torch.eye(4), torch.tensor(50.0))
    assert float(found) == 1
    assert float(loss) == pytest.approx(0, abs=1e-5)


def test_equal_codes_cost_the_logarithm_of_their_number():
    loss, _ = contrast_across(torch.ones(8, 3), torch.ones(8, 3), torch.tensor(10.0))
    assert float(loss) == pytest.approx(math.log(8), rel=1e-5)
    loss, _ = contrast_within(torch.ones(8, 3), torch.ones(8, 3), 4, torch.tensor(10.0))
    assert float(loss) == pytest.approx(math.log(4), rel=1e-5)


def test_within_a_clip_other_clips_do_not_count():
    """Each clip has the same four codes: ambiguous in the batch, unique in the clip."""
    codes = torch.eye(4).repeat(3, 1)
    assert float(contrast_within(codes, codes, 4, torch.tensor(50.0))[1]) == 1
    assert float(contrast_within(codes, codes, 4, torch.tensor(50.0))[0]) == pytest.approx(0, abs=1e-5)
    assert float(contrast_across(codes, codes, torch.tensor(50.0))[0]) == pytest.approx(math.log(3), rel=1e-3)


def test_exchanged_moments_of_a_clip_count_as_errors():
    codes = torch.eye(4).repeat(2, 1)
    swapped = codes[[1, 0, 3, 2, 4, 5, 6, 7]]
    assert float(contrast_within(codes, swapped, 4, ONE)[1]) == 0.5


def test_the_published_contrast_by_hand():
    """Two clips whose visual codes are a right angle apart; speech codes are 0.6 radians from their partners."""
    angles = torch.tensor([0.0, math.pi / 2])
    seen = torch.stack([angles.cos(), angles.sin()], dim=1)
    heard = torch.stack([(angles + 0.6).cos(), (angles + 0.6).sin()], dim=1) * torch.tensor([[3.0], [0.2]])
    near, far, farther = (2 * math.sin(angle / 2) for angle in (0.6, math.pi / 2 - 0.6, math.pi / 2 + 0.6))
    rows = [math.log1p(math.exp(1 / other - 1 / near)) for other in (farther, far)]
    loss, found = published_contrast(seen, heard)
    assert float(loss) == pytest.approx(sum(rows), rel=1e-4)
    assert float(found) == 1


def test_the_published_contrast_treats_the_other_side_as_a_constant():
    torch.manual_seed(0)
    seen, heard = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4)
    published_contrast(seen, heard)[0].backward()
    assert seen.grad is not None
    both = seen.grad.clone()
    a, b = torch.nn.functional.normalize(seen, dim=1), torch.nn.functional.normalize(heard, dim=1)
    logits = 1 / (a[:, None] - b[None]).norm(dim=2)
    seen.grad = None
    torch.nn.functional.cross_entropy(logits, torch.arange(3)).backward()
    torch.testing.assert_close(both, seen.grad)


def test_the_published_contrast_has_no_guard():
    """As published: two equal codes give an infinite loss, and the loop skips the step."""
    codes = torch.eye(3)
    assert not math.isfinite(float(published_contrast(codes, codes)[0]))


def test_a_masked_mean_ignores_masked_values():
    values = torch.tensor([1.0, 2.0, 30.0])
    assert float(masked_mean(values, torch.tensor([1.0, 1.0, 0.0]))) == 1.5
    assert float(masked_mean(values, torch.zeros(3))) == 0


def test_flow_is_sampled_at_landmarks():
    flow = torch.stack(torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij"))[None]
    column, row = 5, 2
    point = (torch.tensor([[[column, row]]]) + 0.5) / 4 - 1
    assert flow_at(flow, point).flatten().tolist() == pytest.approx([row, column], abs=1e-5)


def test_the_right_flow_leads_to_the_identity_frame():
    identity, target = torch.rand(2, 9, 2) - 0.5, torch.rand(2, 9, 2) - 0.5
    shift = torch.tensor([0.3, -0.1])
    flow = shift[None, :, None, None].expand(2, 2, 16, 16)
    weights = torch.ones(9)
    right = landmark_flow(flow, target + shift, target, weights)
    assert right.max() < 2e-3
    zero = landmark_flow(torch.zeros_like(flow), target + shift, target, weights)
    assert zero.tolist() == pytest.approx([math.hypot(0.3, 0.1) / FLOW_GAIN] * 2, rel=1e-4)
    assert landmark_flow(-flow, target + shift, target, weights).min() > 1.9 * zero.max()
    assert landmark_flow(flow, identity, target, weights).shape == (2,)


def test_weighted_landmarks_count_more():
    flow = torch.zeros(1, 2, 8, 8)
    target = torch.zeros(1, 2, 2)
    identity = torch.tensor([[[FLOW_GAIN, 0.0], [0.0, 0.0]]])
    weighted = landmark_flow(flow, identity, target, torch.tensor([3.0, 1.0]))
    assert float(weighted) == pytest.approx(0.75, abs=1e-3)


def test_a_ramp_is_smooth_and_a_kink_is_not():
    ramp = torch.linspace(-1, 1, 16).expand(1, 2, 16, 16)
    assert float(roughness(ramp)) == pytest.approx(0, abs=1e-5)
    assert float(roughness(ramp.abs())) > 0.01


def test_blur_costs_edges():
    sharp = torch.zeros(1, 1, 8, 8)
    sharp[..., 4:] = 1.0
    blurred = torch.nn.functional.avg_pool2d(sharp, 3, 1, 1)
    assert float(edge_distance(sharp, sharp)) == 0
    assert float(edge_distance(sharp, blurred)) > 0.1


def test_an_edge_counts_as_the_lesser_of_its_pixels():
    step = torch.zeros(1, 1, 4, 4)
    step[..., 2:] = 1.0
    flat, weight = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    whole = float(edge_distance(step, flat, weight))
    assert whole == float(edge_distance(step, flat))
    weight[..., 2] = 0.25
    assert float(edge_distance(step, flat, weight)) == pytest.approx(0.25 * whole)


def test_invented_pixels_count_less(drawn_packs):
    batch = PackCorpus.load(find_packs([drawn_packs]), "train").batch(step_rng(0, 1), 4, 2)
    assert bool((batch.confidence == 1).all())
    wrong = batch.target.clone()
    wrong[..., :32] = -wrong[..., :32]
    everywhere = picture_terms(wrong, batch, mouth_areas(batch))
    left = batch.confidence.clone()
    left[..., :16] = 0.0
    less = picture_terms(wrong, batch._replace(confidence=left), mouth_areas(batch._replace(confidence=left)))
    for name in ("pixels", "edges"):
        assert float(less[name]) == pytest.approx(INVENTED_WEIGHT * float(everywhere[name]), rel=0.2)
    assert float(less["mouth_pixels"]) == float(everywhere["mouth_pixels"]), "it is only recorded"


def test_invented_pixels_are_greyed_for_other_networks(drawn_packs):
    batch = PackCorpus.load(find_packs([drawn_packs]), "train").batch(step_rng(0, 1), 4, 2)
    assert torch.equal(greyed(batch.target, batch), batch.target)
    hidden = batch._replace(confidence=torch.zeros_like(batch.confidence))
    torch.testing.assert_close(greyed(batch.target, hidden), batch.target * INVENTED_WEIGHT)


def test_masks_cover_the_mouth(drawn_packs):
    batch = PackCorpus.load(find_packs([drawn_packs]), "train").batch(step_rng(0, 1), 4, 2)
    inside, mouth = mouth_masks(batch.target_mesh, 64)
    assert inside.shape == mouth.shape == (8, 1, 64, 64)
    assert set(torch.cat([inside, mouth]).unique().tolist()) == {0.0, 1.0}
    assert bool((mouth >= inside).all())
    assert 0.003 < float(inside.mean()) < float(mouth.mean()) < 0.15
    # The drawn mouth is dark inside, and darker than the faces around it.
    shade = batch.target.mean(dim=1, keepdim=True)
    assert float((shade * inside).sum() / inside.sum()) < float(shade.mean()) - 0.2
