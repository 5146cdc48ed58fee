"""Options of `pcavs weights export` and `pcavs weights show`."""

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
