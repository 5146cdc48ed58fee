"""One photo speaks any voice with any head movement (PC-AVS)."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pcavs.animate.talker import Talker

# OpenVINO reports every import to a measuring service, unless its telemetry package is not there.
sys.modules.setdefault("openvino_telemetry", None)  # pyright: ignore[reportArgumentType]

__version__ = "0.1.0"


def load(weights: str | Path | None = None, device: Literal["auto", "cpu", "cuda"] = "auto") -> "Talker":
    """Loads a talker, ready to animate.

    Args:
        weights: A .safetensors bundle or a folder made by `pcavs weights export`; None is the one that ships.
        device: `cpu` needs no torch, `cuda` does; `auto` is `cpu` unless only torch can run the weights.

    Raises:
        WeightsError: There are no such weights, or they are damaged.
        InputError: The device cannot be used.
    """
    from pcavs.animate.talker import load_talker

    return load_talker(None if weights is None else Path(weights), device)
