"""Options of the `pcavs weights` commands; docstrings are the help texts of the command line."""

import dataclasses
from pathlib import Path
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """Exports a bundle to OpenVINO networks, which animate without torch."""

    bundle: Path
    """The .safetensors file to export."""
    out: Path
    """Folder to write the networks to. Beside the bundle and with its name, it is found automatically."""
    precision: Literal["fp16", "fp32"] = "fp16"
    """Number format of the stored weights; fp16 takes half the space. The runtime chooses its own for computing."""
    overwrite: bool = False
    """Replace networks that exist."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShowOptions:
    """Checks weights and prints their spec, provenance, licence, size and digest."""

    bundle: Path
    """A .safetensors file, or a folder of networks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertOptions:
    """Converts the four published PC-AVS checkpoints to one bundle."""

    checkpoints: Path
    """Folder with latest_net_G.pth, latest_net_E.pth, latest_net_V.pth and latest_net_A_sync.pth."""
    out: Path
    """The .safetensors file to write."""
    overwrite: bool = False
    """Replace a bundle that exists."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ListOptions:
    """Lists the weights in the package, and those in a folder."""

    folder: Path | None = None
    """A folder with bundles or networks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifyOptions:
    """Checks weights: files complete, digests right, tensors as in the spec, all numbers finite."""

    weights: Path
    """A .safetensors file, or a folder of networks."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ParityOptions:
    """Compares what published checkpoints compute here with recorded results of the published code."""

    checkpoints: Path
    """Folder with the four published files."""
    arrays: Path
    """The .npz file with recorded inputs and results; its arrays are listed in docs/weights.md."""
    precision: Literal["f32", "bf16"] = "f32"
    """Precision of the arithmetic; bf16 has wider limits."""
    runtime: Literal["torch", "openvino", "both"] = "both"
    """Which runtime computes."""
