"""Layers against direct references: modulation against scaled kernels, warping against shifted pixels."""

import pytest
import torch
from torch.nn import functional

from pcavs.models.blocks import LEAKY_SLOPE, ModulatedConv, base_grid, resize, warp
from pcavs.models.generator import Fields, compose


@pytest.mark.parametrize("kernel", [1, 3])
def test_modulated_activations_equal_modulated_kernels(kernel: int):
    """Karras et al., CVPR 2020, equations 1 and 3, as written: one scaled kernel per sample."""
    torch.manual_seed(0)
    conv = ModulatedConv(6, 5, 4, kernel)
    with torch.no_grad():
        conv.bias.normal_()
    x, style = torch.randn(3, 6, 9, 9), torch.randn(3, 4) * 2
    expected = []
    for features, scale in zip(x, conv.affine(style), strict=True):
        weight = conv.weight * scale[None, :, None, None]
        weight = weight / weight.square().sum(dim=(1, 2, 3), keepdim=True).sqrt()
        expected.append(functional.conv2d(features[None], weight, padding=kernel // 2) + conv.bias[None, :, None, None])
    rectified = functional.leaky_relu(torch.cat(expected), LEAKY_SLOPE) * 2**0.5
    torch.testing.assert_close(conv(x, style), rectified, atol=1e-4, rtol=1e-4)


def test_initial_style_scale_is_one():
    conv = ModulatedConv(6, 5, 4)
    assert torch.equal(conv.affine(torch.zeros(1, 4)), torch.ones(1, 6))


def test_base_grid_holds_pixel_centres():
    grid = base_grid(4, torch.zeros(1))
    assert torch.equal(grid[0, 0, 0], torch.tensor([-0.75, -0.25, 0.25, 0.75]))
    assert torch.equal(grid[0, 1, :, 0], torch.tensor([-0.75, -0.25, 0.25, 0.75]))


@pytest.mark.parametrize(("axis", "dimension"), [(0, 3), (1, 2)], ids=["x", "y"])
@pytest.mark.parametrize("pixels", [1, -1, 3])
def test_warp_reads_each_pixel_from_its_flow(axis: int, dimension: int, pixels: int):
    """A flow of +2/side reads the next pixel to the right (x) or below (y): the image moves left or up."""
    side = 16
    picture = torch.rand(1, 3, side, side)
    flow = torch.zeros(1, 2, side, side)
    flow[:, axis] = 2 * pixels / side
    moved = warp(picture, flow)
    inner = slice(3, side - 3)
    torch.testing.assert_close(
        moved[:, :, inner, inner], picture.roll(-pixels, dims=dimension)[:, :, inner, inner], atol=1e-5, rtol=0
    )


def test_warp_repeats_the_edge():
    picture = torch.rand(1, 1, 8, 8)
    flow = torch.zeros(1, 2, 8, 8)
    flow[:, 0] = 4.0
    torch.testing.assert_close(warp(picture, flow), picture[..., -1:].expand(-1, -1, -1, 8))


def test_flow_may_be_larger_than_the_map():
    picture = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(warp(picture, torch.zeros(1, 2, 16, 16)), resize(picture, 16), atol=1e-5, rtol=0)


@pytest.mark.parametrize("side", [16, 64, 50])
def test_zero_flow_and_open_mask_return_the_picture(side: int):
    picture = torch.rand(2, 3, side, side) * 2 - 1
    fields = Fields(torch.zeros(2, 2, 8, 8), torch.ones(2, 1, 16, 16), torch.rand(2, 3, 16, 16))
    torch.testing.assert_close(compose(picture, fields), picture, atol=1e-5, rtol=0)


def test_closed_mask_returns_the_colours():
    picture, colours = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16)
    fields = Fields(torch.zeros(1, 2, 8, 8), torch.zeros(1, 1, 16, 16), colours)
    torch.testing.assert_close(compose(picture, fields), colours)


def test_flow_is_relative_to_the_size_of_the_picture():
    """The same fields move a picture of 16 and of 64 pixels by the same share of its side."""
    fields = Fields(torch.full((1, 2, 8, 8), 0.25), torch.ones(1, 1, 16, 16), torch.zeros(1, 3, 16, 16))
    for side in (16, 64):
        picture = torch.rand(1, 3, side, side)
        shift = side // 8
        expected = picture.roll((-shift, -shift), dims=(2, 3))
        inner = slice(0, side - shift)
        torch.testing.assert_close(
            compose(picture, fields)[..., inner, inner], expected[..., inner, inner], atol=1e-5, rtol=0
        )
