"""Makes one photograph of a face speak any voice, with any head motion (PC-AVS).

`load` returns a `Talker`, whose `animate` makes a film from a photograph, speech and a head motion. `pcavs` is the
same on the command line.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pcavs.animate.talker import Talker
    from pcavs.provenance.verify import Verification

__version__ = "0.1.0"


def load(weights: str | Path | None = None, device: Literal["auto", "cpu", "cuda"] = "auto") -> "Talker":
    """Loads a talker: weights for a runtime, with the face networks, ready to animate.

    Args:
        weights: A .safetensors bundle, or a folder made by `pcavs weights export`; None loads the weights that ship
            with the package.
        device: `cpu` runs exported networks without torch; `cuda` needs torch; `auto` is `cpu`, unless the weights are
            a bundle that was never exported, which torch runs.

    Raises:
        WeightsError: The weights do not exist or are damaged.
        InputError: The device is not available.
    """
    from pcavs.animate.load import load_talker

    return load_talker(None if weights is None else Path(weights), device)


def verify(path: str | Path, *, anchor: str | Path | None = None, log: str | Path | None = None) -> "Verification":
    """Says where a film or sound comes from: signed credentials, the mark in its sound, and its tag.

    Args:
        path: Any film or sound, also of other software.
        anchor: Root certificate in PEM to trust besides the user's own.
        log: Log of films, as `animate(log=...)` writes it, to look the file up in.

    Raises:
        InputError: The file cannot be read, or is neither a film nor a sound.
    """
    from pcavs.provenance.verify import verify as verify_file

    return verify_file(path, anchor=anchor, log=log)
