"""Augmentation of the motion encoder's input: ours keeps positions, the paper's changes the geometry."""

import pytest
import torch

from pcavs.data.augment import AUGMENTATIONS, augment_colour, augment_like_paper


def faces(batch: int = 4, side: int = 32) -> torch.Tensor:
    return torch.rand((batch, 3, side, side), generator=torch.Generator().manual_seed(1)) * 2 - 1


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_faces_stay_in_range_and_each_has_its_own_draw():
    one = faces(1).expand(16, -1, -1, -1)
    changed = augment_colour(one, draw())
    assert changed.shape == one.shape
    assert changed.min() >= -1
    assert changed.max() <= 1
    assert (changed[1:] - changed[0]).abs().mean(dim=(1, 2, 3)).min() > 0.02
    assert (changed - one).abs().mean() > 0.1


def test_the_generator_is_the_only_source_of_randomness():
    assert torch.equal(augment_colour(faces(), draw(3)), augment_colour(faces(), draw(3)))
    assert not torch.equal(augment_colour(faces(), draw(3)), augment_colour(faces(), draw(4)))


def test_the_global_random_state_is_unchanged():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    augment_colour(faces(), draw())
    assert torch.equal(torch.get_rng_state(), before)


def test_zero_strength_leaves_faces_unchanged():
    # Levels are clipped from below to a thousandth of full white.
    torch.testing.assert_close(augment_colour(faces(), draw(), strength=0.0), faces(), atol=2.1e-3, rtol=0)


@pytest.mark.parametrize("place", [(9.0, 20.0), (15.5, 15.5)])
def test_a_bright_square_keeps_its_position(place: tuple[float, float]):
    side, half = 32, 4
    x, y = (torch.arange(side).float() - centre for centre in place)
    square = ((half + 0.5 - x.abs()).clamp(0, 1)[None, :] * (half + 0.5 - y.abs()).clamp(0, 1)[:, None]) * 1.2 - 0.6
    batch = square.expand(64, 3, side, side)
    changed = augment_colour(batch, draw()).mean(dim=1)
    low, high = changed[:, 0, 0], changed[:, int(place[1]), int(place[0])]
    share = ((changed - low[:, None, None]) / (high - low)[:, None, None]).clamp(0, 1)
    share = share * (share > 0.25)
    for axis, centre in ((1, place[0]), (0, place[1])):
        centroid = (share.sum(dim=1 + (1 - axis)) * torch.arange(side)).sum(dim=1) / share.sum(dim=(1, 2))
        seen = high - low > 0.3
        assert seen.float().mean() > 0.5
        assert (centroid - centre).abs()[seen].max() < 0.1


def grey_faces(clips: int, side: int = 32) -> torch.Tensor:
    return torch.zeros(clips, 3, side, side)


def dots(side: int) -> torch.Tensor:
    """Four blurred dots, away from the edges."""
    line = (torch.arange(side) + 0.5) / side * 2 - 1
    picture = torch.zeros(side, side)
    for x, y in ((-0.3, -0.3), (0.3, -0.3), (-0.3, 0.3), (0.3, 0.3)):
        picture += torch.exp(-((line[None, :] - x) ** 2 + (line[:, None] - y) ** 2) / 0.006)
    return (picture.clamp(0, 1) - 0.5).expand(1, 3, side, side)


def spread(picture: torch.Tensor) -> tuple[float, float]:
    """Standard deviation of the brightness along x and along y, the picture spanning [-1, 1]."""
    side = picture.shape[-1]
    line = (torch.arange(side) + 0.5) / side * 2 - 1
    weight = (picture - picture.median()).clamp(min=0)
    weight = weight * (weight > 0.3 * weight.max())
    total = weight.sum()
    deviations = []
    for axis in (weight.sum(dim=0) / total, weight.sum(dim=1) / total):
        middle = (axis * line).sum()
        deviations.append(float((axis * (line - middle) ** 2).sum() ** 0.5))
    return deviations[0], deviations[1]


@pytest.mark.parametrize("side", [64, 224])
def test_the_papers_augmentation_keeps_range_and_shape(side: int):
    changed = augment_like_paper(faces(4, side), 2, draw())
    assert changed.shape == (4, 3, side, side)
    assert changed.min() >= -1
    assert changed.max() <= 1
    assert torch.equal(changed, augment_like_paper(faces(4, side), 2, draw()))
    assert not torch.equal(changed, augment_like_paper(faces(4, side), 2, draw(1)))


def test_frames_of_a_clip_share_one_draw_and_clips_differ():
    one = dots(64).expand(36, -1, -1, -1)
    changed = augment_like_paper(one, 3, draw()).unflatten(0, (12, 3))
    # Only the side of the median filter is drawn for each face.
    apart = (changed[:, 1:] - changed[:, :1]).abs().mean(dim=(1, 2, 3, 4))
    assert int((apart == 0).sum()) >= 3
    assert float(apart.max()) < 0.1
    assert float((changed[1:, 0] - changed[0, 0]).abs().mean(dim=(1, 2, 3)).min()) > 0.01


def test_the_papers_colour_is_one_factor_on_neighbouring_channels():
    changed = (augment_like_paper(grey_faces(200), 1, draw()) + 1)[:, :, 16, 16]
    touched = (changed - 1).abs() > 1e-4
    patterns = {tuple(row.tolist()) for row in touched}
    assert patterns == {
        *((True, False, False), (True, True, False), (True, True, True)),
        *((False, True, False), (False, True, True)),
    }
    for row, mask in zip(changed, touched, strict=True):
        assert float(row[mask].max() - row[mask].min()) < 1e-4
    assert 0.3 - 1e-3 <= float(changed.min()) < 0.4
    assert 1.5 < float(changed.max()) <= 1.6 + 1e-3


def test_the_papers_change_of_proportions_scales_with_the_side():
    shapes = {}
    for side in (64, 128):
        changed = augment_like_paper(dots(side).expand(24, -1, -1, -1), 1, draw(2)).mean(dim=1)
        shapes[side] = [spread(picture) for picture in changed]
    ratios = torch.tensor([x / y for x, y in shapes[128]]).log()
    # 15 to 25 px of 112 on either side, in opposite directions, are ratios of 1.3 to 1.6; perspective changes them.
    assert float(ratios.abs().min()) > 0.1
    assert float(ratios.abs().max()) < 0.7
    assert bool((ratios > 0).any())
    assert bool((ratios < 0).any())
    assert torch.tensor(shapes[64]).flatten().tolist() == pytest.approx(torch.tensor(shapes[128]).flatten(), rel=0.15)


def test_augmentations_have_names():
    assert set(AUGMENTATIONS) == {"colour", "paper", "none"}
    assert torch.equal(AUGMENTATIONS["none"](faces(), 2, draw()), faces())
    assert torch.equal(AUGMENTATIONS["colour"](faces(), 2, draw()), augment_colour(faces(), draw()))
