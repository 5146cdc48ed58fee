"""State of a network by name: copied out, and loaded strictly."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from pcavs.errors import WeightsError


def tensors_of(module: nn.Module) -> dict[str, np.ndarray]:
    """Copies parameters and buffers, by name; counters of batches seen are left out."""
    state = module.state_dict()
    # np.array copies; Tensor.numpy would share the memory of weights that training goes on changing.
    return {name: value.detach().float().cpu().numpy().copy() for name, value in state.items() if _kept(name)}


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Tells the shapes of parameters and buffers, by name; a module of the device `meta` will do."""
    return {name: tuple(value.shape) for name, value in module.state_dict().items() if _kept(name)}


def fill(module: nn.Module, tensors: Mapping[str, np.ndarray], origin: str) -> None:
    """Loads tensors strictly.

    Raises:
        WeightsError: A tensor is missing, unknown or of another shape; the message begins with `origin`.
    """
    wanted = {name: value for name, value in module.state_dict().items() if _kept(name)}
    _check_names(tensors, {name: tuple(value.shape) for name, value in wanted.items()}, origin)
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(torch.from_numpy(np.asarray(tensors[name], order="C")))


def _kept(name: str) -> bool:
    return not name.endswith("num_batches_tracked")


def _check_names(found: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[int, ...]], origin: str) -> None:
    for name in sorted(wanted.keys() - found.keys()):
        raise WeightsError(f"{origin} has no tensor {name}, {wanted[name]} is needed; these weights are incomplete")
    for name in sorted(found.keys() - wanted.keys()):
        raise WeightsError(f"{origin} has a tensor {name} that its spec does not know; it belongs to another model")
    for name, shape in wanted.items():
        if found[name].shape != shape:
            raise WeightsError(f"{origin}: tensor {name} is {found[name].shape}, {shape} is needed")
