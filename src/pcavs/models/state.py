"""Copies the weights of a network out as arrays, and loads them strictly."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from pcavs.errors import WeightsError

_COUNTER = "num_batches_tracked"
"""Counter of batch normalisation, used in training only; bundles do not hold it."""


def tensors_of(module: nn.Module) -> dict[str, np.ndarray]:
    """Returns float32 copies of parameters and persistent buffers, by name, without counters of batches."""
    state = module.state_dict()
    # Without the copy the arrays would share the memory of weights that training goes on changing.
    return {name: value.detach().float().cpu().numpy().copy() for name, value in state.items() if _kept(name)}


def shapes_of(module: nn.Module) -> dict[str, tuple[int, ...]]:
    """Returns the shapes of what `tensors_of` returns, by name; the module may be on the device `meta`."""
    return {name: tuple(value.shape) for name, value in module.state_dict().items() if _kept(name)}


def fill(module: nn.Module, tensors: Mapping[str, np.ndarray], origin: str) -> None:
    """Loads tensors into a module by name; counters of batches stay as they are. On an error nothing is changed.

    Args:
        module: Is changed in place.
        tensors: As `tensors_of` returns them.
        origin: Where the tensors come from; error messages begin with it.

    Raises:
        WeightsError: A tensor is missing, unknown or of another shape.
    """
    wanted = {name: value for name, value in module.state_dict().items() if _kept(name)}
    _check_names(tensors, {name: tuple(value.shape) for name, value in wanted.items()}, origin)
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(torch.from_numpy(np.asarray(tensors[name], order="C")))


def _kept(name: str) -> bool:
    return not name.endswith(_COUNTER)


def _check_names(found: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[int, ...]], origin: str) -> None:
    for name in sorted(wanted.keys() - found.keys()):
        raise WeightsError(f"{origin} has no tensor {name} of shape {wanted[name]}; the weights are incomplete")
    for name in sorted(found.keys() - wanted.keys()):
        raise WeightsError(f"{origin} has a tensor {name} that its spec does not have; it belongs to another model")
    for name, shape in wanted.items():
        if found[name].shape != shape:
            raise WeightsError(f"{origin}: tensor {name} has shape {found[name].shape}; its spec needs {shape}")
