"""Head motion that nobody had to film: five habits, moved by the rhythm of the speech where that fits.

None of them blinks: `lids` does that.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from jaxtyping import Float

from pcavs.media.mel import LazyMel, frame_levels
from pcavs.numeric import smoothstep
from pcavs.pose.track import HeadTrack, still
from pcavs.spec import FRAME_RATE
from pcavs.types import Mel

Rhythm: TypeAlias = Float[np.ndarray, " time"]
"""How loud the speech is in each frame, 0 to 1."""

_PITCH, _YAW, _ROLL = 1, 0, 2
_BEAT_REST_FRAMES = 9
"""Stresses come at most every third of a second or so; closer ones are one."""


def rhythm_of(mel: Mel | LazyMel, num_frames: int) -> Rhythm:
    """Measures the loudness of each frame in a mel spectrogram in which frame k's window begins at bin 4 k."""
    level = frame_levels(mel, num_frames)
    low, high = np.percentile(level, [10, 95])
    return ((level - low) / max(high - low, 0.05)).clip(0, 1)


def preset(name: str, rhythm: Rhythm, seed: int) -> HeadTrack:
    """Makes a preset's track for as long as the rhythm lasts; it begins looking ahead. Same seed, same track."""
    track = PRESETS[name](rhythm, np.random.default_rng(seed))
    start = smoothstep((np.arange(len(track)) / FRAME_RATE).clip(max=1))
    return track * start[:, None]


def _still(rhythm: Rhythm, rng: np.random.Generator) -> HeadTrack:
    return still(len(rhythm))


def _listening_nod(rhythm: Rhythm, rng: np.random.Generator) -> HeadTrack:
    """Small double nods every few seconds, where the speech pauses if it does, and hardly anything else."""
    track = still(len(rhythm))
    track[:, _YAW] = _wander(len(rhythm), 4.0, 1.5, rng)
    track[:, _ROLL] = _wander(len(rhythm), 5.0, 1.5, rng)
    first = 30
    while first < len(rhythm):
        window = rhythm[first : first + 50]
        at = first + int(np.argmin(np.convolve(window, np.ones(5) / 5, "same")))
        for beat, depth in ((0, 7.0), (13, 4.0)):
            _nod(track, at + beat, depth, 13)
        first = at + int(rng.integers(60, 110))
    return track


def _lively(rhythm: Rhythm, rng: np.random.Generator) -> HeadTrack:
    """Turns and leans all the time, and nods on what is stressed."""
    track = still(len(rhythm))
    track[:, _YAW] = _wander(len(rhythm), 1.8, 9.0, rng)
    track[:, _PITCH] = _wander(len(rhythm), 2.2, 3.0, rng)
    track[:, _ROLL] = _wander(len(rhythm), 2.0, 4.0, rng)
    for beat in _beats(rhythm):
        _nod(track, beat, 3.0 + 4.0 * float(rhythm[beat]), 11)
    return track


def _slow_turn(rhythm: Rhythm, rng: np.random.Generator) -> HeadTrack:
    """Looks to one side and to the other, 20 degrees each way, in eight seconds."""
    track = still(len(rhythm))
    track[:, _YAW] = 20 * np.sin(2 * np.pi * np.arange(len(rhythm)) / (8 * FRAME_RATE))
    return track


def _presenter(rhythm: Rhythm, rng: np.random.Generator) -> HeadTrack:
    """Looks at one part of the room, then at another, and marks what is stressed."""
    track = still(len(rhythm))
    first, aim = 0, 0.0
    while first < len(rhythm):
        dwell, move = int(rng.integers(45, 100)), 18
        target = float(rng.choice([-12, -6, 0, 6, 12])) + float(rng.normal(0, 1))
        steps = smoothstep(((np.arange(first, min(first + dwell, len(rhythm))) - first) / move).clip(max=1))
        track[first : first + dwell, _YAW] = aim + (target - aim) * steps
        first, aim = first + dwell, target
    track[:, _ROLL] = 0.15 * track[:, _YAW] + _wander(len(rhythm), 3.0, 1.0, rng)
    for beat in _beats(rhythm)[::2]:
        _nod(track, beat, 3.0 + 2.0 * float(rhythm[beat]), 12)
    return track


PRESETS: Final[dict[str, Callable[[Rhythm, np.random.Generator], HeadTrack]]] = {
    "still": _still,
    "listening-nod": _listening_nod,
    "lively": _lively,
    "slow-turn": _slow_turn,
    "presenter": _presenter,
}


def _wander(num_frames: int, period_s: float, size: float, rng: np.random.Generator) -> Float[np.ndarray, " time"]:
    """Moves smoothly between random aims, one a period, of standard deviation `size` / 2, at most `size`."""
    step = period_s * FRAME_RATE
    aims = rng.normal(0, size / 2, int(num_frames / step) + 3).clip(-size, size)
    place = np.arange(num_frames) / step
    before = place.astype(int)
    return aims[before] + (aims[before + 1] - aims[before]) * smoothstep(place - before)


def _beats(rhythm: Rhythm) -> list[int]:
    """Frames that are louder than those around them: where a speaker would nod."""
    smooth = np.convolve(rhythm, np.ones(5) / 5, "same")[: len(rhythm)]  # of a short rhythm it gives five
    peaks = [
        t for t in range(2, len(smooth) - 2) if smooth[t] > 0.45 and smooth[t] == smooth[max(0, t - 4) : t + 5].max()
    ]
    beats: list[int] = []
    for peak in peaks:
        if not beats or peak - beats[-1] >= _BEAT_REST_FRAMES:
            beats.append(peak)
    return beats


def _nod(track: HeadTrack, at: int, depth: float, length: int) -> None:
    """Lowers the head and raises it again, deepest at a frame; what lies outside of the track is left out."""
    frames = np.arange(at - length // 2, at - length // 2 + length)
    inside = (frames >= 0) & (frames < len(track))
    bump = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(length) + 0.5) / length)
    track[frames[inside], _PITCH] -= depth * bump[inside]
