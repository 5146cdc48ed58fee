"""Options of adapting a talker to one person."""

import dataclasses
from pathlib import Path
from typing import Literal


@dataclasses.dataclass(frozen=True, kw_only=True)
class AdaptOptions:
    """Fits generator and identity encoder to one person's film, starting from weights that know many people."""

    video: Path
    """Film of the person speaking, half a minute or more; read, never changed."""
    out: Path
    """The .safetensors file to write."""
    run: Path | None = None
    """Folder for the prepared film and the training run, gone on with where it is there; left out, one beside `out`."""
    weights: str = "default"
    """Bundle to start from."""
    steps: int = 300
    """Training steps."""
    minutes: float | None = None
    """Stops after this long, whatever the step."""
    lr: float = 1e-4
    """Learning rate: a fifth of training's, as little is to change."""
    prior: float = 0.1
    """Price of the distance from the weights that it starts from; 0 lets them go anywhere."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` is `cuda` where torch finds one."""
    overwrite: bool = False
    """Replaces a file that is there already."""
