"""Augmentation changes how a face looks and not where it is."""

import pytest
import torch

from pcavs.data.augment import destroy_identity


def faces(batch: int = 4, side: int = 32) -> torch.Tensor:
    return torch.rand((batch, 3, side, side), generator=torch.Generator().manual_seed(1)) * 2 - 1


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_faces_stay_in_range_and_each_has_its_own_draw():
    one = faces(1).expand(16, -1, -1, -1)
    changed = destroy_identity(one, draw())
    assert changed.shape == one.shape
    assert changed.min() >= -1
    assert changed.max() <= 1
    assert (changed[1:] - changed[0]).abs().mean(dim=(1, 2, 3)).min() > 0.02
    assert (changed - one).abs().mean() > 0.1


def test_the_generator_alone_decides():
    assert torch.equal(destroy_identity(faces(), draw(3)), destroy_identity(faces(), draw(3)))
    assert not torch.equal(destroy_identity(faces(), draw(3)), destroy_identity(faces(), draw(4)))


def test_global_randomness_is_not_touched():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    destroy_identity(faces(), draw())
    assert torch.equal(torch.get_rng_state(), before)


def test_no_strength_leaves_faces_alone():
    # The logarithm's foot is clipped at a thousandth of full white.
    torch.testing.assert_close(destroy_identity(faces(), draw(), strength=0.0), faces(), atol=2.1e-3, rtol=0)


@pytest.mark.parametrize("place", [(9.0, 20.0), (15.5, 15.5)])
def test_a_bright_square_stays_where_it_is(place: tuple[float, float]):
    side, half = 32, 4
    x, y = (torch.arange(side).float() - centre for centre in place)
    square = ((half + 0.5 - x.abs()).clamp(0, 1)[None, :] * (half + 0.5 - y.abs()).clamp(0, 1)[:, None]) * 1.2 - 0.6
    batch = square.expand(64, 3, side, side)
    changed = destroy_identity(batch, draw()).mean(dim=1)
    low, high = changed[:, 0, 0], changed[:, int(place[1]), int(place[0])]
    share = ((changed - low[:, None, None]) / (high - low)[:, None, None]).clamp(0, 1)
    share = share * (share > 0.25)
    for axis, centre in ((1, place[0]), (0, place[1])):
        centroid = (share.sum(dim=1 + (1 - axis)) * torch.arange(side)).sum(dim=1) / share.sum(dim=(1, 2))
        seen = high - low > 0.3
        assert seen.float().mean() > 0.5
        assert (centroid - centre).abs()[seen].max() < 0.1
