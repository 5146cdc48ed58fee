"""Reads what stands after `--pose`: a video, a saved track, a timeline, a preset's name, or angles."""

import dataclasses
import difflib
from pathlib import Path
from typing import Final

from pcavs.errors import InputError
from pcavs.media.files import path_exists
from pcavs.media.timeline import frame_time_s, nearest_index
from pcavs.pose.presets import PRESETS
from pcavs.pose.timeline import FORMAT, FilmSegment, PresetSegment, Timeline, TrackSegment, read_timeline, timeline_from
from pcavs.pose.track import HeadTrack
from pcavs.pose.track_file import load_track
from pcavs.spec import FRAME_RATE

_ANGLES: Final = ("yaw", "pitch", "roll", "x", "y", "scale")


def read_pose(pose: Path, *, relative: bool, measured: bool = False) -> Timeline | None:
    """Reads what stands after `--pose`.

    Args:
        pose: A file; or, where there is no such file, a preset's name or angles such as `yaw=20,pitch=-5`.
        relative: Begins with the photograph's own pose, whatever the timeline says.
        measured: Takes a film's poses as its landmarks have them.

    Returns:
        A timeline; None for a film whose poses are to be taken as the talker's own encoder reads them.

    Raises:
        InputError: It is none of these.
    """
    text, is_named = str(pose), path_exists(pose)
    if not is_named and text in PRESETS:
        return Timeline(segments=(PresetSegment(name=text),), mode="relative")
    if not is_named and "=" in text:
        timeline = _angles(text)
    elif pose.suffix == ".json":
        timeline = read_timeline(pose)
    elif pose.suffix == ".npz":
        timeline = Timeline(segments=(TrackSegment(path=pose),), beyond="bounce")
    elif not is_named and not pose.suffix and len(pose.parts) == 1:
        close = difflib.get_close_matches(text, PRESETS, n=1)
        meant = f"did you mean {close[0]}?" if close else f"there are the presets {', '.join(PRESETS)}"
        raise InputError(f"no pose named {text}; {meant}")
    elif relative or measured:
        timeline = film_timeline(pose)
    else:
        return None
    return dataclasses.replace(timeline, mode="relative") if relative else timeline


def film_timeline(path: Path) -> Timeline:
    """The motion of one film, to and fro where it is shorter than the speech."""
    return Timeline(segments=(FilmSegment(path=path),), beyond="bounce")


def clipped_track(segment: TrackSegment, most: int) -> HeadTrack:
    """Reads a segment's part of a saved track, at most so many frames.

    Raises:
        InputError: It cannot be read, or is over before the segment begins.
    """
    track = load_track(segment.path)
    last = len(track) if segment.end_s is None else nearest_index(segment.end_s, FRAME_RATE)
    part = track[nearest_index(segment.start_s, FRAME_RATE) : last][:most]
    if not len(part):
        lasts = f"{frame_time_s(len(track)):.2f} s"
        raise InputError(f"{segment.path} lasts {lasts}, not until {segment.start_s:g} s; give an earlier start_s")
    return part


def _angles(text: str) -> Timeline:
    """Reads `yaw=20,pitch=-5`; what is not named is 0."""
    key: dict[str, float] = {"at_s": 0.0}
    for word in text.split(","):
        name, _, value = word.partition("=")
        name = name.strip()
        if name not in _ANGLES or name in key:
            raise InputError(f"the pose {text} cannot be read at {word!r}; give {', '.join(_ANGLES)}, each once")
        try:
            key[name] = float(value)
        except ValueError as error:
            raise InputError(f"the pose {text} cannot be read at {word!r}; give a number, as in yaw=20") from error
    fields = {"format": FORMAT, "segments": [{"kind": "keys", "keys": [key]}]}
    return timeline_from(fields, f"the pose {text}", Path())
