"""Options of the `pcavs weights` commands."""

import dataclasses
from pathlib import Path
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Converts a bundle into OpenVINO networks, which animate without torch."""

    bundle: Path
    """The .safetensors file to convert."""
    out: Path
    """Folder for the networks; named like the bundle and beside it, it is found by itself."""
    precision: Literal["fp16", "fp32"] = "fp16"
    """Of the stored numbers: fp16 is half the size; the arithmetic is chosen when they are run."""
    overwrite: bool = False
    """Replaces networks that are there already."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShowOptions:
    """Prints what weights say of themselves: spec, provenance, licence, size and digest."""

    bundle: Path
    """A .safetensors file, or a folder of networks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Converts the four published PC-AVS checkpoints into a bundle."""

    checkpoints: Path
    """Folder with latest_net_G.pth, latest_net_E.pth, latest_net_V.pth and latest_net_A_sync.pth."""
    out: Path
    """The .safetensors file to write."""
    overwrite: bool = False
    """Replaces a bundle that is there already."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListOptions:
    """Lists the talkers that ride in the package, and those of a folder."""

    folder: Path | None = None
    """A folder with bundles or networks of yours."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """Checks weights: whole, digests right, tensors as their spec says, numbers finite."""

    weights: Path
    """A .safetensors file, or a folder of networks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParityOptions:
    """Compares what published checkpoints compute here with what the published code recorded."""

    checkpoints: Path
    """Folder with the four published files."""
    arrays: Path
    """The .npz file of recorded inputs and results."""
    precision: Literal["f32", "bf16"] = "f32"
    """Of the arithmetic; bf16 is held to limits of its own."""
    runtime: Literal["torch", "openvino", "both"] = "both"
    """What computes."""
