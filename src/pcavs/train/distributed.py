"""Devices, precision and processes of a run, on top of Lightning Fabric."""

import contextlib
import dataclasses
import logging
from collections.abc import Iterable
from typing import Any, Final

import torch
from torch import Tensor, nn

from pcavs.errors import InputError
from pcavs.train.options import TrainOptions
from pcavs.train.recipe import RUN_RECIPE, read_recipe

MAX_GRADIENT_NORM: Final = 5.0
"""Norm to which larger gradients of a phase are clipped. Tuned by hand; not measured."""


class Process:
    """One process of a run; with several devices each device has one, and they agree on every step.

    Gradients are averaged here, after each phase, instead of by a wrapper around the networks, because phases train
    different parts of the same networks (docs/decisions/0017).

    Attributes:
        device: Where this process computes.
        rank: Number of this process, from 0.
        world_size: Number of processes.
    """

    def __init__(self, options: TrainOptions) -> None:
        """Starts the other processes, if the options ask for several.

        Raises:
            InputError: The device does not exist.
        """
        if options.device == "cuda" and not torch.cuda.is_available():
            raise InputError("device cuda was given, and torch finds none; use --device cpu or auto")
        several = options.devices * options.nodes > 1
        fabric_class = _fabric_class()
        for name in ("lightning_fabric", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.WARNING)  # it sets its own level, INFO, when it is imported
        self._fabric: Any = fabric_class(
            accelerator=options.device if options.device != "auto" or torch.cuda.is_available() else "cpu",
            devices=options.devices,
            num_nodes=options.nodes,
            precision=settle_precision(options).precision,
            strategy="ddp" if several else "auto",
        )
        self._fabric.launch()
        self.device: torch.device = self._fabric.device
        self.rank: int = self._fabric.global_rank
        self.world_size: int = self._fabric.world_size

    @property
    def is_first(self) -> bool:
        """Whether this process writes the run's files."""
        return self.rank == 0

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Returns a context that computes in the run's precision."""
        return self._fabric.autocast()

    def gather(self, tensor: Tensor) -> Tensor:
        """Concatenates the rows of all processes, in their order; gradients flow back."""
        if self.world_size == 1:
            return tensor
        return self._fabric.all_gather(tensor, sync_grads=True).flatten(0, 1)

    def backward(self, loss: Tensor, parameters: Iterable[nn.Parameter]) -> Tensor:
        """Computes gradients, averages them over processes and clips their norm.

        Returns:
            The norm before clipping. It is not finite on all processes if any process has a loss or a gradient that is
            not, so that all skip the step.
        """
        parameters = list(parameters)
        # Checked before the backward pass: that of a warp reads out of bounds where the flow is NaN, and crashes.
        if not self._all(bool(torch.isfinite(loss))):
            return torch.full((), float("nan"))
        loss.backward()
        if self.world_size > 1:
            self._average(parameters)
        return nn.utils.clip_grad_norm_(parameters, MAX_GRADIENT_NORM)

    def mean(self, values: dict[str, Tensor]) -> dict[str, Tensor]:
        """Averages scalars over processes, for the journal."""
        if self.world_size == 1 or not values:
            return values
        message = torch.stack([value.detach().float().to(self.device) for value in values.values()])
        message = self._fabric.all_reduce(message, reduce_op="mean")
        return dict(zip(values, message.unbind(), strict=True))

    def wait(self) -> None:
        """Waits until all processes have come here."""
        self._fabric.barrier()

    def any(self, condition: bool) -> bool:
        """Returns whether the condition holds on any process; all processes must call it."""
        return not self._all(not condition)

    def _all(self, condition: bool) -> bool:
        if self.world_size == 1:
            return condition
        votes = self._fabric.all_reduce(torch.tensor(float(condition), device=self.device), reduce_op="sum")
        return float(votes) > self.world_size - 0.5

    def _average(self, parameters: list[nn.Parameter]) -> None:
        """Averages gradients in one message; a parameter that no process used keeps having no gradient."""
        used = torch.tensor([float(each.grad is not None) for each in parameters], device=self.device)
        parts = [torch.zeros_like(each) if each.grad is None else each.grad for each in parameters]
        message = torch.cat([used, *(part.flatten().float() for part in parts)])
        message = self._fabric.all_reduce(message, reduce_op="sum")
        used, rest = message[: len(parameters)], message[len(parameters) :] / self.world_size
        for each, count, part in zip(parameters, used, rest.split([p.numel() for p in parameters]), strict=True):
            each.grad = part.view_as(each).to(each.dtype) if bool(count > 0) else None


def _fabric_class() -> Any:
    # Imported late: it takes seconds, and preparing options needs none of it.
    try:
        from lightning_fabric import Fabric
    except ModuleNotFoundError:
        from lightning.fabric import Fabric  # pyright: ignore[reportMissingImports] - part of the package `lightning`
    return Fabric


def begin_training(module: nn.Module, *, frozen: bool) -> None:
    """Puts a module into training mode; with `frozen`, batch normalisations stay in evaluation mode."""
    module.train()
    for part in module.modules():
        if frozen and isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.eval()


def settle_precision(options: TrainOptions) -> TrainOptions:
    """Replaces the precision `auto` by what the run was begun with or, for a new run, by what suits the device."""
    if options.precision != "auto":
        return options
    begun = read_recipe(options.run).get("precision", "auto") if (options.run / RUN_RECIPE).exists() else "auto"
    return dataclasses.replace(options, precision=_fast_precision(options.device) if begun == "auto" else begun)


def _fast_precision(device: str) -> str:
    """Returns the fastest precision of a device; torch emulates bf16 on processors that lack it, slowly."""
    on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    return "bf16-mixed" if on_gpu or cpu_has_bf16() else "32-true"


def cpu_has_bf16() -> bool:
    """Tells whether torch convolves in bf16 by instructions of the processor (AVX512-BF16)."""
    return torch.cpu._is_avx512_bf16_supported()  # pyright: ignore[reportPrivateUsage] - no public name
