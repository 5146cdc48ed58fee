"""From a timeline to a head track as long as the film: a pure function of the timeline, its sources and the speech."""

from collections.abc import Callable
from fractions import Fraction

import numpy as np

from pcavs.media.timeline import nearest_index
from pcavs.numeric import smoothstep
from pcavs.pose.presets import Rhythm, preset
from pcavs.pose.timeline import (
    FilmSegment,
    Key,
    KeysSegment,
    MixSegment,
    PresetSegment,
    Segment,
    Timeline,
    TrackSegment,
)
from pcavs.pose.track import HeadTrack, extended, joined, limited, smoothed, still
from pcavs.spec import FRAME_RATE

Fetch = Callable[[FilmSegment | TrackSegment, int], HeadTrack]
"""Reads the material of a segment; no more than so many frames of it are needed."""

_LONGEST_FADE = 3 * FRAME_RATE
"""How far a piece is read beyond its end, to go on under a fade; where a fade is longer, it then stays."""


def lay_out(timeline: Timeline, num_frames: int, rhythm: Rhythm, fetch: Fetch) -> HeadTrack:
    """Makes the track of a film.

    Nothing in it moves faster than `headtrack.LARGEST_STEP`, not even at a seam.

    Args:
        timeline: What is asked for.
        num_frames: Of the film.
        rhythm: Loudness of the speech, one a frame.
        fetch: Reads films and saved tracks.

    Raises:
        InputError: Some material cannot be read.
    """
    pieces: list[tuple[HeadTrack, int]] = []
    at = Fraction(0)
    for number, segment in enumerate(timeline.segments):
        first = nearest_index(at, FRAME_RATE)
        if first >= num_frames:
            break
        last = number == len(timeline.segments) - 1
        track = _drawn(segment, num_frames - first, rhythm[first:], fetch)
        length = _length(segment, track, num_frames - first)
        if last and segment.duration_s is None and timeline.beyond == "hold":
            length = num_frames - first
        # A piece goes on under the fade into the next.
        wanted = length if last else min(length + _LONGEST_FADE, num_frames - first)
        pieces.append((extended(track, wanted, segment.beyond), first))
        at += Fraction(segment.duration_s) if segment.duration_s is not None else Fraction(length, FRAME_RATE)
    end = min(num_frames, max(1, nearest_index(at, FRAME_RATE)))
    fade_frames = nearest_index(timeline.cross_fade_s, FRAME_RATE)
    whole = extended(joined(pieces, end, fade_frames), num_frames, timeline.beyond)
    return limited(smoothed(whole * timeline.strength, timeline.smoothing_s, FRAME_RATE))


def _length(segment: Segment, track: HeadTrack, most: int) -> int:
    if segment.duration_s is None:
        return min(len(track), most)
    return max(1, min(nearest_index(segment.duration_s, FRAME_RATE), most))


def _drawn(segment: Segment, most: int, rhythm: Rhythm, fetch: Fetch) -> HeadTrack:
    """A segment's own material, at most so many frames of it."""
    if segment.duration_s is not None:
        most = min(most, nearest_index(segment.duration_s, FRAME_RATE) + _LONGEST_FADE)
    if isinstance(segment, KeysSegment):
        track = _between(segment.keys)[:most]
    elif isinstance(segment, PresetSegment):
        track = preset(segment.name, rhythm[:most], segment.seed)
    elif isinstance(segment, MixSegment):
        track = _mixed(segment, most, rhythm, fetch)
    else:
        track = fetch(segment, most)[:most]
    return track * segment.strength


def _mixed(segment: MixSegment, most: int, rhythm: Rhythm, fetch: Fetch) -> HeadTrack:
    parts = [(part, _drawn(part, most, rhythm, fetch)) for part in segment.parts]
    length = most if segment.duration_s is not None else max(_length(part, track, most) for part, track in parts)
    whole = still(length)
    for part, track in parts:
        whole += part.weight * extended(track, length, part.beyond)
    return whole


def _between(keys: tuple[Key, ...]) -> HeadTrack:
    """Poses from the first frame to the last key."""
    rows = np.array([[key.yaw, key.pitch, key.roll, key.x, key.y, np.log(key.scale)] for key in keys])
    times = np.array([key.at_s for key in keys])
    frames = np.arange(nearest_index(keys[-1].at_s, FRAME_RATE) + 1) / FRAME_RATE
    after = np.searchsorted(times, frames, side="right").clip(1, len(keys) - 1) if len(keys) > 1 else 0
    if len(keys) == 1:
        return np.repeat(rows, len(frames), axis=0)
    share = ((frames - times[after - 1]) / (times[after] - times[after - 1])).clip(0, 1)
    smooth = np.array([key.ease == "smooth" for key in keys])[after - 1]
    share = np.where(smooth, smoothstep(share), share)[:, None]
    return rows[after - 1] + share * (rows[after] - rows[after - 1])
