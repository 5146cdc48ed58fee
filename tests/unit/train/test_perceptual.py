"""The perceptual loss and its two networks."""

from pathlib import Path

import pytest
import torch

from pcavs.errors import WeightsError
from pcavs.models.identity import IdentityEncoder
from pcavs.models.resnet import ResNeXtEncoder
from pcavs.spec import TINY_FLOW, TINY_PAPER
from pcavs.train.perceptual import VGG_WIDTHS, identity_perceptual_loss, vgg_perceptual_loss


def vgg_state() -> dict[str, torch.Tensor]:
    """A state dict with torchvision's names and shapes, including layers that are not used."""
    torch.manual_seed(0)
    state, before, position = {}, 3, 0
    for width in (*VGG_WIDTHS, 512, 512, 512, 0):
        if not width:
            position += 1
            continue
        state[f"features.{position}.weight"] = torch.randn(width, before, 3, 3) * (2 / (9 * before)) ** 0.5
        state[f"features.{position}.bias"] = torch.zeros(width)
        before, position = width, position + 2
    return state | {"classifier.0.weight": torch.zeros(2, 2)}


@pytest.mark.parametrize("encoder", [IdentityEncoder(TINY_FLOW), ResNeXtEncoder(TINY_PAPER)], ids=["flow", "paper"])
def test_an_identity_encoder_stays_frozen(encoder):
    loss = identity_perceptual_loss(encoder)
    before = {name: value.clone() for name, value in loss.state_dict().items()}
    loss.train()
    a, b = torch.rand(2, 2, 3, 64, 64) * 2 - 1
    a.requires_grad_()
    distance = loss.distance(a, b)
    distance.backward()
    assert float(distance.detach()) > 0
    assert float(loss.distance(b, b)) == 0
    assert a.grad is not None
    assert all(torch.equal(value, before[name]) for name, value in loss.state_dict().items())
    assert not any(parameter.requires_grad for parameter in loss.parameters())


def test_the_identity_encoder_gives_five_maps():
    loss = identity_perceptual_loss(IdentityEncoder(TINY_FLOW))
    assert len(loss(torch.zeros(1, 3, 64, 64))) == 5


def test_vgg_is_read_from_a_file(tmp_path: Path):
    path = tmp_path / "vgg19.pth"
    torch.save(vgg_state(), path)
    maps = vgg_perceptual_loss(path)(torch.rand(1, 3, 32, 32))
    assert [tuple(each.shape[1:]) for each in maps] == [
        *((64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4), (512, 2, 2))
    ]
    assert all(float(each.min()) == 0 for each in maps)


@pytest.mark.parametrize("damage", ["missing", "text", "other layers", "pickled code"])
def test_a_file_that_is_not_vgg_is_one_line(damage: str, tmp_path: Path):
    path = tmp_path / "vgg19.pth"
    if damage == "text":
        path.write_text("not weights")
    elif damage == "other layers":
        torch.save({"features.0.weight": torch.zeros(1)}, path)
    elif damage == "pickled code":
        torch.save({"features.0.weight": Path}, path)
    with pytest.raises(WeightsError, match=r"is not torchvision's VGG19 .*; give the file of its state dict") as caught:
        vgg_perceptual_loss(path)
    assert "\n" not in str(caught.value)
