"""Compiles a timeline into a head track as long as the film.

The result depends on nothing but the timeline, its sources and the rhythm of the speech.
"""

from collections.abc import Iterable
from fractions import Fraction
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float

from pcavs.media.timeline import nearest_index
from pcavs.numeric import smoothstep
from pcavs.pose import expression
from pcavs.pose.expression import ExpressionTrack
from pcavs.pose.face import to_expression
from pcavs.pose.life import natural
from pcavs.pose.presets import NATURAL, Rhythm, preset
from pcavs.pose.source import SegmentReader
from pcavs.pose.timeline import (
    Key,
    KeysSegment,
    MixSegment,
    PresetSegment,
    Segment,
    Timeline,
    TrackSegment,
    VideoSegment,
)
from pcavs.pose.track import COLUMNS as HEAD_COLUMNS
from pcavs.pose.track import FaceRows, HeadTrack, cross_fade, extrapolate, limit_slew_rate, smoothed
from pcavs.spec import FRAME_RATE

_LONGEST_FADE_FRAMES: Final = 3 * FRAME_RATE
"""How far a segment's source is read beyond the segment's end, to continue under the fade into the next segment. Under
a longer fade it is extrapolated. Tuned by hand; not measured."""


_HEAD: Final = slice(0, len(HEAD_COLUMNS))
_FACE: Final = slice(len(HEAD_COLUMNS), len(HEAD_COLUMNS) + len(expression.COLUMNS))
_MOVED: Final = slice(0, _FACE.stop)
_BLINKS: Final = slice(_FACE.stop, _FACE.stop + 2)
"""Columns of a motion: those of the head, then those of the expression, which `_MOVED` joins, then the closure of both
lids by blinks. Strengths, weights, fades and smoothing change what is moved, but a blink always shuts the eye."""

Motion = Float[np.ndarray, "_ 17"]
"""Head track, expression track without blinks, and blinks, side by side."""


class CompiledMotion(NamedTuple):
    """What a timeline says, for each frame of a film."""

    head: HeadTrack
    expression: ExpressionTrack | None
    """None if the timeline moves nothing but the head."""
    moves_lids: bool = False
    """Whether lids follow a film or natural motion, which blink by themselves."""


def compile_motion(timeline: Timeline, num_frames: int, rhythm: Rhythm, sources: SegmentReader) -> CompiledMotion:
    """Computes head and expression of a film; the arguments are those of `compile_timeline`.

    Raises:
        InputError: A source cannot be read.
    """
    motion = _compile(timeline, num_frames, rhythm, sources)
    face = expression.limited(motion[:, _FACE])
    face[:, expression.LIDS] = expression.add_blinks(face[:, expression.LIDS], motion[:, _BLINKS])
    return CompiledMotion(
        limit_slew_rate(motion[:, _HEAD]), face if face.any() else None, moves_lids(timeline.segments)
    )


def moves_lids(segments: Iterable[Segment]) -> bool:
    """Tells whether segments blink by themselves: films that lend their face, and natural motion."""
    return any(
        (isinstance(each, MixSegment) and moves_lids(each.parts))
        or (isinstance(each, VideoSegment | TrackSegment) and each.performance)
        or (isinstance(each, PresetSegment) and each.name == NATURAL)
        for each in segments
    )


def compile_timeline(timeline: Timeline, num_frames: int, rhythm: Rhythm, sources: SegmentReader) -> HeadTrack:
    """Computes the head track of a film; from frame to frame it changes by `track.LARGEST_STEP` at most.

    Args:
        timeline: The timeline.
        num_frames: Length of the film.
        rhythm: Loudness of the speech in each frame, 0 to 1.
        sources: Reads videos and saved tracks.

    Raises:
        InputError: A source cannot be read.
    """
    return compile_motion(timeline, num_frames, rhythm, sources).head


def _compile(timeline: Timeline, num_frames: int, rhythm: Rhythm, sources: SegmentReader) -> Motion:
    pieces: list[tuple[Motion, int]] = []
    at = Fraction(0)
    for number, segment in enumerate(timeline.segments):
        first = nearest_index(at, FRAME_RATE)
        if first >= num_frames:
            break
        last = number == len(timeline.segments) - 1
        track = _segment_track(segment, num_frames - first, rhythm[first:], sources)
        length = _segment_length(segment, track, num_frames - first)
        if last and segment.duration_s is None and timeline.extrapolation == "hold":
            length = num_frames - first
        # A piece continues under the fade into the next one.
        num_needed = length if last else min(length + _LONGEST_FADE_FRAMES, num_frames - first)
        pieces.append((extrapolate(track, num_needed, segment.extrapolation), first))
        at += Fraction(segment.duration_s) if segment.duration_s is not None else Fraction(length, FRAME_RATE)
    end = min(num_frames, max(1, nearest_index(at, FRAME_RATE)))
    fade_frames = nearest_index(timeline.cross_fade_s, FRAME_RATE)
    joined = _joined(pieces, end, fade_frames)
    combined = _scaled(extrapolate(joined, num_frames, timeline.extrapolation), timeline.strength)
    combined[:, _MOVED] = smoothed(combined[:, _MOVED], timeline.smoothing_s, FRAME_RATE)
    return combined


def _joined(pieces: list[tuple[Motion, int]], num_frames: int, fade_frames: int) -> Motion:
    """Cross-fades pieces of motion; of each, the blinks that begin before the next piece are kept whole."""
    moved = cross_fade([(track[:, _MOVED], first) for track, first in pieces], num_frames, fade_frames)
    blinks = np.zeros((num_frames, 2))
    for number, (track, first) in enumerate(pieces):
        after = pieces[number + 1][1] if number + 1 < len(pieces) else num_frames
        part = expression.whole_runs(track[:, _BLINKS], after - first)[: num_frames - first]
        shown = blinks[first : first + len(part)]
        np.maximum(shown, part, out=shown)
    return np.column_stack([moved, blinks])


def _scaled(motion: Motion, factor: float) -> Motion:
    """Scales a motion; blinks stay whole, unless nothing is left of the motion."""
    return np.column_stack([motion[:, _MOVED] * factor, motion[:, _BLINKS] * float(factor > 0)])


def _segment_length(segment: Segment, track: Motion, max_frames: int) -> int:
    """Returns the frames that a segment lasts: its duration, or else the length of its track."""
    if segment.duration_s is None:
        return min(len(track), max_frames)
    return max(1, min(nearest_index(segment.duration_s, FRAME_RATE), max_frames))


def _segment_track(segment: Segment, max_frames: int, rhythm: Rhythm, sources: SegmentReader) -> Motion:
    """Returns a segment's own motion, before extrapolation, of at most `max_frames` frames."""
    if segment.duration_s is not None:
        max_frames = min(max_frames, nearest_index(segment.duration_s, FRAME_RATE) + _LONGEST_FADE_FRAMES)
    if isinstance(segment, KeysSegment):
        track = _interpolate_keys(segment.keys)[:max_frames]
    elif isinstance(segment, PresetSegment):
        track = _preset(segment, rhythm[:max_frames])
    elif isinstance(segment, MixSegment):
        track = _mix(segment, max_frames, rhythm, sources)
    else:
        head, face = sources.read(segment, max_frames)
        lent = _lent(segment, face, sources)
        track = _with_face(head, lent)[:max_frames]
    return _scaled(track, segment.strength)


def _mix(segment: MixSegment, max_frames: int, rhythm: Rhythm, sources: SegmentReader) -> Motion:
    """Adds up the weighted tracks of a mix's parts; who of them blinks shuts the eyes."""
    parts = [(part, _segment_track(part, max_frames, rhythm, sources)) for part in segment.parts]
    longest = max(_segment_length(part, track, max_frames) for part, track in parts)
    length = max_frames if segment.duration_s is not None else longest
    total = np.zeros((length, _BLINKS.stop))
    for part, track in parts:
        weighted = _scaled(extrapolate(track, length, part.extrapolation), part.weight)
        total[:, _MOVED] += weighted[:, _MOVED]
        total[:, _BLINKS] = np.maximum(total[:, _BLINKS], weighted[:, _BLINKS])
    return total


def _preset(segment: PresetSegment, rhythm: Rhythm) -> Motion:
    if segment.name == NATURAL:
        life = natural(rhythm, segment.seed)
        return np.column_stack([life.head, life.open_face, life.blinks, life.blinks])
    return _with_face(preset(segment.name, rhythm, segment.seed))


def _lent(
    segment: VideoSegment | TrackSegment, face: FaceRows | None, sources: SegmentReader
) -> ExpressionTrack | None:
    """Returns the expression that a film lends, its gaze relative to that of the photograph; None if only the head."""
    if not segment.performance or face is None:
        return None
    track = to_expression(face)
    track[:, expression.GAZE] -= sources.own_gaze_deg
    return track


def _with_face(head: HeadTrack, face: ExpressionTrack | None = None) -> Motion:
    """Puts the expression, and its blinks, beside a head track; None is that of the photograph."""
    face = expression.neutral(len(head)) if face is None else face.copy()
    face[:, expression.LIDS], blinks = expression.split_blinks(face[:, expression.LIDS])
    return np.column_stack([head, face, blinks])


def _interpolate_keys(keys: tuple[Key, ...]) -> Motion:
    """Interpolates keyframes from time 0 to the last key; before the first key its values are held."""
    rows = _interpolate(np.array([_key_row(key) for key in keys]), keys)
    face = rows[:, _FACE]
    follow = expression.gaze_lids(face[:, expression.GAZE_PITCH])[:, None]
    face[:, expression.LIDS] = expression.joined_lids(face[:, expression.LIDS], follow)
    return _with_face(rows[:, _HEAD], face)


def _key_row(key: Key) -> list[float]:
    face = [getattr(key, name) for name in expression.COLUMNS]
    return [key.yaw, key.pitch, key.roll, key.x, key.y, float(np.log(key.scale)), *face]


def _interpolate(rows: Float[np.ndarray, "keys 15"], keys: tuple[Key, ...]) -> Float[np.ndarray, "_ 15"]:
    times = np.array([key.at_s for key in keys])
    frames = np.arange(nearest_index(keys[-1].at_s, FRAME_RATE) + 1) / FRAME_RATE
    if len(keys) == 1:
        return np.repeat(rows, len(frames), axis=0)
    after = np.searchsorted(times, frames, side="right").clip(1, len(keys) - 1)
    share = ((frames - times[after - 1]) / (times[after] - times[after - 1])).clip(0, 1)
    smooth = np.array([key.ease == "smooth" for key in keys])[after - 1]
    share = np.where(smooth, smoothstep(share), share)[:, None]
    return rows[after - 1] + share * (rows[after] - rows[after - 1])
