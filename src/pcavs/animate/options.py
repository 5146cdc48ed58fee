"""Options of one film: shared by the command line and the Python call."""

import dataclasses
import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, get_args

from pcavs.errors import InputError

Device = Literal["auto", "cpu", "cuda"]
Compat = Literal["published"]

LEAST_SIDE_PX = 32
MOST_SIDE_PX = 2048


@dataclasses.dataclass(frozen=True, kw_only=True)
class FilmOptions:
    """What is to be seen and heard."""

    identity: Path
    """Picture of the person to animate (PNG, JPEG, WebP), or a film, of which the first frame is taken."""
    audio: Path
    """Driving audio: any file with sound. It becomes the film's sound, at its own rate and channels."""
    pose: Path | None = None
    """Film whose head motion is borrowed, to and fro where it is shorter than the speech; without it the head
    stays as it is in the identity picture."""
    size: int | None = None
    """Side of the film in pixels, even; without it, as the weights' spec says."""
    start: float = 0.0
    """Where in the driving audio to begin, in seconds."""
    end: float | None = None
    """Where in the driving audio to stop, in seconds; without it, at its end."""
    seed: int = 0
    """Noted in the film; no talker draws random numbers, so every seed gives the same frames."""
    compat: Compat | None = None
    """`published` repeats the published code's timing and alignment, defects included, to compare with it: the
    picture is 80 ms early and lacks frames. For `paper` talkers only."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AnimateOptions(FilmOptions):
    """Makes a picture speak: identity and voice in, a talking film out."""

    out: Path
    """The film to write, an .mp4."""
    weights: Path | None = None
    """A .safetensors bundle, or a folder made by `pcavs weights export`; without it, the talker that ships."""
    device: Device = "auto"
    """`cpu` runs OpenVINO, `cuda` runs torch; `auto` is `cpu` unless only torch can run the weights."""
    overwrite: bool = False
    """Replaces a film that is there already."""
    quiet: bool = False
    """Prints nothing but errors."""
    json: bool = False
    """Prints the summary as one JSON object, for programs."""


def verify(options: FilmOptions) -> None:
    """Refuses a size, seed or compat that no film can have.

    Raises:
        InputError: In one line, the setting and what would do.
    """
    size = options.size
    if size is not None and (size % 2 or not LEAST_SIDE_PX <= size <= MOST_SIDE_PX):
        raise InputError(f"a size of {size} cannot be used; give an even number from {LEAST_SIDE_PX} to {MOST_SIDE_PX}")
    if options.compat not in (None, *get_args(Compat)):
        raise InputError(f"a compat of {options.compat} cannot be used; give published, or leave it out")
    if options.seed < 0:
        raise InputError(f"a seed of {options.seed} cannot be used; give 0 or more")


def unknown_setting(name: str, known: Iterable[str]) -> str:
    """Says in one line that there is no such setting, and which one may have been meant."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"no such setting: {name}" + (f"; did you mean {close[0]}?" if close else "")
