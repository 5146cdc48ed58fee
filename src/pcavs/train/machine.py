"""Where training runs: devices, precision and the other processes, from Lightning Fabric."""

import contextlib
import logging
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pcavs.errors import InputError
from pcavs.train.options import TrainOptions

LARGEST_GRADIENT = 5.0
"""Norm to which a larger gradient is cut."""


class Machine:
    """One process of a run; with several devices each has a process, and they agree on every step.

    Gradients are averaged here, after each phase, and not by a wrapper around the networks: phases train different
    parts of the same networks, which such wrappers only bear at a price (docs/decisions/0017).

    Attributes:
        device: Where this process computes.
        rank: Number of this process, from 0.
        world: Number of processes.
    """

    def __init__(self, options: TrainOptions) -> None:
        """Starts the other processes, where there are to be any.

        Raises:
            InputError: The device is not here.
        """
        if options.device == "cuda" and not torch.cuda.is_available():
            raise InputError("device cuda is asked for, and torch finds none here; use --device cpu or auto")
        many = options.devices * options.nodes > 1
        fabric_class = _fabric_class()
        for name in ("lightning_fabric", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.WARNING)  # its own level, set as it is imported, tells too much
        self._fabric: Any = fabric_class(
            accelerator=options.device if options.device != "auto" or torch.cuda.is_available() else "cpu",
            devices=options.devices,
            num_nodes=options.nodes,
            precision=options.precision,
            strategy="ddp" if many else "auto",
        )
        self._fabric.launch()
        self.device: torch.device = self._fabric.device
        self.rank: int = self._fabric.global_rank
        self.world: int = self._fabric.world_size

    @property
    def leads(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Computes in the run's precision."""
        return self._fabric.autocast()

    def gather(self, tensor: Tensor) -> Tensor:
        """Joins the rows of all processes, in their order; gradients find their way back."""
        if self.world == 1:
            return tensor
        return self._fabric.all_gather(tensor, sync_grads=True).flatten(0, 1)

    def descend(self, loss: Tensor, parameters: Iterable[nn.Parameter]) -> Tensor:
        """Fills the gradients, averages them over processes, cuts them; gives their norm before.

        The norm is not finite where any process has a loss or a gradient that is not: all skip together.
        """
        parameters = list(parameters)
        # Backwards through a warp, a flow of NaN would read outside of the picture and end the process.
        if not self._all(bool(torch.isfinite(loss))):
            return torch.full((), float("nan"))
        loss.backward()
        if self.world > 1:
            self._average(parameters)
        return nn.utils.clip_grad_norm_(parameters, LARGEST_GRADIENT)

    def mean(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Averages scalars over processes, so that the journal tells of all frames shown."""
        if self.world == 1 or not values:
            return values
        message = torch.stack([value.detach().float().to(self.device) for value in values.values()])
        message = self._fabric.all_reduce(message, reduce_op="mean")
        return dict(zip(values, message.unbind(), strict=True))

    def wait(self) -> None:
        """Waits for all processes."""
        self._fabric.barrier()

    def any(self, wish: bool) -> bool:
        """Tells whether any process wishes; to be asked by all of them."""
        return not self._all(not wish)

    def _all(self, wish: bool) -> bool:
        if self.world == 1:
            return wish
        votes = self._fabric.all_reduce(torch.tensor(float(wish), device=self.device), reduce_op="sum")
        return float(votes) > self.world - 0.5

    def _average(self, parameters: list[nn.Parameter]) -> None:
        """In one message; a network that no process used keeps having no gradient."""
        used = torch.tensor([float(each.grad is not None) for each in parameters], device=self.device)
        parts = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        message = torch.cat([used, *(part.flatten().float() for part in parts)])
        message = self._fabric.all_reduce(message, reduce_op="sum")
        used, rest = message[: len(parameters)], message[len(parameters) :] / self.world
        for each, wanted, part in zip(parameters, used, rest.split([p.numel() for p in parameters]), strict=True):
            each.grad = part.view_as(each).to(each.dtype) if bool(wanted > 0) else None


def _fabric_class() -> Any:
    # Imported late: it takes seconds, and preparing options needs none of it.
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError:
        from lightning.fabric import Fabric  # pyright: ignore[reportMissingImports] - the large package holds it too
    return Fabric


def begin_training(module: nn.Module, *, frozen: bool) -> None:
    """Puts a module into training; `frozen` keeps its normalisations in evaluation, with the statistics they have."""
    module.train()
    for part in module.modules():
        if frozen and isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.eval()
