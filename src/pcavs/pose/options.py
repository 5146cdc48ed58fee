"""Options of `pcavs pose extract`, `pcavs pose plot` and `pcavs pose preview`."""

import dataclasses
from pathlib import Path

from pcavs.spec import Missing, Seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractOptions:
    """Measures the head motion in a video and saves it as a track (.npz), for `--pose` and for timelines."""

    video: Path
    """A video that shows a face. A picture gives a pose that is held."""
    out: Path
    """The track to write, an .npz."""
    start: Seconds = 0.0
    """Start of the part of the video to read, in seconds."""
    end: Seconds | None = None
    """End of the part of the video to read, in seconds. Without it, the end of the video."""
    missing: Missing = "interpolate"
    """Frames in which no face is found: interpolate the pose, hold the last pose, skip the frames, or fail."""
    face: str = "largest"
    """Which face to follow if there are several: largest, left, right, or a number counted from the left (the first is
    0)."""
    report: Path | None = None
    """Also writes, as JSON, in which frames a face was found."""
    overwrite: bool = False
    """Replaces a track that exists."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DrawOptions:
    """Settings of `pcavs pose plot` and `pcavs pose preview`."""

    pose: Path
    """As in `pcavs animate --pose`: a video, a timeline, a track, a preset's name, or degrees."""
    out: Path
    """The file to write."""
    audio: Path | None = None
    """Speech that gives the length, and presets their rhythm. Without it, a steady rhythm."""
    seconds: float = 8.0
    """Length in seconds, without audio."""
    outside: bool = False
    """Lets a timeline name files outside of its own folder."""
    overwrite: bool = False
    """Replaces a file that exists."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PlotOptions(DrawOptions):
    """Plots yaw, pitch and roll of a pose source over time (.png)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PreviewOptions(DrawOptions):
    """Makes a film of a wireframe head that moves as a pose source says (.mp4), without a talker."""
