"""Loading weights checks every name and shape first, and changes nothing if one is wrong."""

import numpy as np
import pytest
import torch
from torch import nn

from pcavs.errors import WeightsError
from pcavs.models.state import fill, tensors_of


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))


def test_copied_tensors_can_be_loaded_again():
    source, target = network(), network()
    fill(target, tensors_of(source), "here")
    for name, value in target.state_dict().items():
        assert torch.equal(value, source.state_dict()[name])


def test_copies_do_not_follow_the_network():
    """`Tensor.numpy` shares memory: once, the running average of a CPU run was the live weights themselves."""
    source = network()
    before = tensors_of(source)
    kept = {name: value.copy() for name, value in before.items()}
    with torch.no_grad():
        for value in source.parameters():
            value.add_(1)
    for name, value in before.items():
        np.testing.assert_array_equal(value, kept[name])


def test_counters_of_batches_are_left_out():
    assert sorted(tensors_of(network())) == [
        "0.bias",
        "0.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.weight",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("0.bias"), r"a\.safetensors has no tensor 0\.bias of shape \(3,\)"),
        (lambda t: t.update({"2.extra": np.zeros(1)}), r"has a tensor 2\.extra that its spec does not have"),
        (lambda t: t.update({"0.bias": np.zeros(4)}), r"tensor 0\.bias has shape \(4,\); its spec needs \(3,\)"),
    ],
    ids=["missing", "unknown", "wrong shape"],
)
def test_an_error_names_the_tensor_and_nothing_is_loaded(change, message):
    target = network()
    before, tensors = tensors_of(target), {name: value + 1 for name, value in tensors_of(target).items()}
    change(tensors)
    with pytest.raises(WeightsError, match=message) as caught:
        fill(target, tensors, "a.safetensors")
    assert "\n" not in str(caught.value)
    for name, value in tensors_of(target).items():
        np.testing.assert_array_equal(value, before[name])
