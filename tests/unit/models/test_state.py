"""Weights go into a network name for name and shape for shape, or not at all."""

import numpy as np
import pytest
import torch
from torch import nn

from pcavs.errors import WeightsError
from pcavs.models.state import fill, tensors_of


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3))


def test_what_is_copied_out_goes_back_in():
    source, target = network(), network()
    fill(target, tensors_of(source), "here")
    for name, value in target.state_dict().items():
        assert torch.equal(value, source.state_dict()[name])


def test_copies_do_not_follow_the_network():
    """`Tensor.numpy` shares memory: the running average of a CPU run was the live weights themselves."""
    source = network()
    before = tensors_of(source)
    kept = {name: value.copy() for name, value in before.items()}
    with torch.no_grad():
        for value in source.parameters():
            value.add_(1)
    for name, value in before.items():
        np.testing.assert_array_equal(value, kept[name])


def test_counters_of_batches_stay_out():
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
        (lambda t: t.pop("0.bias"), r"a\.safetensors has no tensor 0\.bias, \(3,\) is needed"),
        (lambda t: t.update({"2.extra": np.zeros(1)}), r"has a tensor 2\.extra that its spec does not know"),
        (lambda t: t.update({"0.bias": np.zeros(4)}), r"tensor 0\.bias is \(4,\), \(3,\) is needed"),
    ],
    ids=["missing", "unknown", "misshapen"],
)
def test_a_tensor_that_does_not_fit_is_named_and_nothing_is_loaded(change, message):
    target = network()
    before, tensors = tensors_of(target), {name: value + 1 for name, value in tensors_of(target).items()}
    change(tensors)
    with pytest.raises(WeightsError, match=message) as caught:
        fill(target, tensors, "a.safetensors")
    assert "\n" not in str(caught.value)
    for name, value in tensors_of(target).items():
        np.testing.assert_array_equal(value, before[name])
