"""Options of `pcavs pose`."""

import dataclasses
from pathlib import Path

from pcavs.spec import Missing


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractOptions:
    """Saves a film's head motion as a track (.npz) for `--pose` and for timelines."""

    film: Path
    """A film with a face; a picture is a pose that is held."""
    out: Path
    """The track to write, an .npz."""
    start: float = 0.0
    """Where in the film to begin, in seconds."""
    end: float | None = None
    """Where in the film to stop, in seconds; without it, at its end."""
    missing: Missing = "interpolate"
    """What to do about frames in which no face is seen: interpolate, hold the last pose, skip them, or fail."""
    face: str = "largest"
    """Whose motion, where there are several: largest, left, right, or a number from the left."""
    report: Path | None = None
    """Writes what was seen in each frame, as JSON."""
    overwrite: bool = False
    """Replaces a track that is there already."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawOptions:
    """What is to be drawn."""

    pose: Path
    """As `pcavs animate --pose`: a film, a timeline, a track, a preset's name, or degrees."""
    out: Path
    """The file to write."""
    audio: Path | None = None
    """Speech that gives the length, and presets their rhythm; without it a few seconds of even beats."""
    seconds: float = 8.0
    """Length where no audio gives one."""
    overwrite: bool = False
    """Replaces a file that is there already."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlotOptions(DrawOptions):
    """Draws a pose's yaw, pitch and roll over time as a picture (.png)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreviewOptions(DrawOptions):
    """Makes a film of a wire head that moves as a pose says (.mp4), without a talker."""
