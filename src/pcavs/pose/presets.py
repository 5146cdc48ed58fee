"""Generates head motion without a video: five presets, some of which follow the rhythm of the speech.

The numbers of the presets (angles in degrees, times in seconds or frames) were chosen by eye. Presets do not blink:
`head.blink` adds blinks to any motion.
"""

from collections.abc import Callable
from typing import Final, TypeAlias

import numpy as np
from jaxtyping import Float

from pcavs.media.mel import LazyMel, frame_levels, heard
from pcavs.numeric import smoothstep
from pcavs.pose.track import HeadTrack, still
from pcavs.spec import FRAME_RATE
from pcavs.types import Mel

Rhythm: TypeAlias = Float[np.ndarray, " time"]
"""Loudness of the speech in each frame, 0 to 1."""

YAW, PITCH, ROLL = 0, 1, 2
"""Columns of a head track."""

QUIET_PERCENTILE, LOUD_PERCENTILE = 10, 95
"""Percentiles of a film's loudness that become 0 and 1 in its rhythm."""
MIN_RANGE: Final = 0.05
"""Smallest range of loudness that is stretched to 0 to 1, so that noise in silence is no rhythm; 1 is 100 dB."""
START_S: Final = 1.0
"""Time over which a preset's motion grows from none to its full size."""

BEAT_SMOOTH_FRAMES: Final = 5
"""Width of the moving average that loudness goes through before beats and pauses are looked for."""
BEAT_LEVEL: Final = 0.45
"""Smallest smoothed loudness of a beat."""
BEAT_NEIGHBOURS: Final = 4
"""A beat is the loudest of this many frames before and after it."""
MIN_BEAT_INTERVAL_FRAMES: Final = 9
"""Smallest distance of two beats, about a third of a second; the second of two closer ones is dropped."""

LISTENING_WANDER: Final = ((YAW, 4.0, 1.5), (ROLL, 5.0, 1.5))
"""Random motion of `listening-nod`: column, period in seconds, largest angle in degrees."""
_FIRST_PAUSE_FRAME: Final = 30
"""Frame from which `listening-nod` looks for the first pause to nod in."""
_PAUSE_WINDOW_FRAMES: Final = 50
"""Frames among which it nods in the quietest one."""
DOUBLE_NOD: Final = ((0, 7.0), (13, 4.0))
"""Its double nod: frame of each nod, and its depth in degrees."""
LISTENING_NOD_FRAMES: Final = 13
"""Length of each of these nods."""
PAUSE_INTERVAL_FRAMES: Final = (60, 110)
"""Smallest and largest time from one double nod to the search for the next one."""

LIVELY_WANDER: Final = ((YAW, 1.8, 9.0), (PITCH, 2.2, 3.0), (ROLL, 2.0, 4.0))
"""Random motion of `lively`."""
LIVELY_NOD_DEG: Final = (3.0, 4.0)
"""Depth of its nods: the constant part, and what full loudness adds."""
LIVELY_NOD_FRAMES: Final = 11
"""Length of these nods."""

SLOW_TURN_DEG: Final = 20
"""Largest yaw of `slow-turn`."""
SLOW_TURN_S: Final = 8
"""Time in which it turns to both sides and back."""

DWELL_FRAMES: Final = (45, 100)
"""Smallest and largest time for which `presenter` looks at one part of the room, the turn towards it included."""
LOOK_FRAMES: Final = 18
"""Length of that turn."""
LOOK_DEG: Final = (-12, -6, 0, 6, 12)
"""Yaw of the parts of the room."""
LOOK_SPREAD_DEG: Final = 1.0
"""Standard deviation of the yaw about these."""
PRESENTER_ROLL: Final = 0.15
"""Roll of `presenter` for each degree of yaw."""
PRESENTER_WANDER: Final = (3.0, 1.0)
"""Random motion of its roll: period in seconds, largest angle in degrees."""
PRESENTER_NOD_DEG: Final = (3.0, 2.0)
"""Depth of its nods, as `LIVELY_NOD_DEG`. It nods on every second beat."""
PRESENTER_NOD_FRAMES: Final = 12
"""Length of these nods."""


def rhythm_of(mel: Mel | LazyMel, num_frames: int) -> Rhythm:
    """Measures the loudness of the speech in each frame, from a mel spectrogram whose window k begins at bin 4 k."""
    level = frame_levels(mel, num_frames)
    low, high = np.percentile(level, QUIET_PERCENTILE), np.percentile(heard(level), LOUD_PERCENTILE)
    return ((level - low) / max(high - low, MIN_RANGE)).clip(0, 1)


def preset(name: str, rhythm: Rhythm, seed: int) -> HeadTrack:
    """Generates a preset's track, as long as the rhythm; it begins with a row of zeros.

    Equal seeds give equal tracks.
    """
    track = PRESETS[name](rhythm, np.random.default_rng(seed))
    start = smoothstep((np.arange(len(track)) / FRAME_RATE / START_S).clip(max=1))
    return track * start[:, None]


def _still(rhythm: Rhythm, rng: np.random.Generator) -> HeadTrack:
    return still(len(rhythm))


def _listening_nod(rhythm: Rhythm, rng: np.random.Generator) -> HeadTrack:
    """Makes small double nods every few seconds, in pauses of the speech if there are any; else hardly moves."""
    track = still(len(rhythm))
    for column, period_s, size_deg in LISTENING_WANDER:
        track[:, column] = wander(len(rhythm), period_s, size_deg, rng)
    first = _FIRST_PAUSE_FRAME
    while first < len(rhythm):
        window = rhythm[first : first + _PAUSE_WINDOW_FRAMES]
        at = first + int(np.argmin(_moving_average(window)))
        for beat, depth_deg in DOUBLE_NOD:
            _nod(track, at + beat, depth_deg, LISTENING_NOD_FRAMES)
        first = at + int(rng.integers(*PAUSE_INTERVAL_FRAMES))
    return track


def _lively(rhythm: Rhythm, rng: np.random.Generator) -> HeadTrack:
    """Turns and leans all the time, and nods on the beats of the speech."""
    track = still(len(rhythm))
    for column, period_s, size_deg in LIVELY_WANDER:
        track[:, column] = wander(len(rhythm), period_s, size_deg, rng)
    least_deg, more_deg = LIVELY_NOD_DEG
    for beat in beats(rhythm):
        _nod(track, beat, least_deg + more_deg * float(rhythm[beat]), LIVELY_NOD_FRAMES)
    return track


def _slow_turn(rhythm: Rhythm, rng: np.random.Generator) -> HeadTrack:
    """Turns to one side and to the other, as a sine."""
    track = still(len(rhythm))
    track[:, YAW] = SLOW_TURN_DEG * np.sin(2 * np.pi * np.arange(len(rhythm)) / (SLOW_TURN_S * FRAME_RATE))
    return track


def _presenter(rhythm: Rhythm, rng: np.random.Generator) -> HeadTrack:
    """Looks at one part of the room after another, and nods on every second beat of the speech."""
    track = still(len(rhythm))
    first, aim = 0, 0.0
    while first < len(rhythm):
        dwell = int(rng.integers(*DWELL_FRAMES))
        target = float(rng.choice(LOOK_DEG)) + float(rng.normal(0, LOOK_SPREAD_DEG))
        frames = np.arange(first, min(first + dwell, len(rhythm))) - first
        track[first : first + dwell, YAW] = aim + (target - aim) * smoothstep((frames / LOOK_FRAMES).clip(max=1))
        first, aim = first + dwell, target
    track[:, ROLL] = PRESENTER_ROLL * track[:, YAW] + wander(len(rhythm), *PRESENTER_WANDER, rng)
    least_deg, more_deg = PRESENTER_NOD_DEG
    for beat in beats(rhythm)[::2]:
        _nod(track, beat, least_deg + more_deg * float(rhythm[beat]), PRESENTER_NOD_FRAMES)
    return track


PRESETS: Final[dict[str, Callable[[Rhythm, np.random.Generator], HeadTrack]]] = {
    "still": _still,
    "listening-nod": _listening_nod,
    "lively": _lively,
    "slow-turn": _slow_turn,
    "presenter": _presenter,
}
"""Each preset generates a track from the rhythm of the speech and random numbers, before its motion is faded in."""
NATURAL: Final = "natural"
"""Name of the preset that moves the face, too (`pose.life`)."""
PRESET_NAMES: Final = (*PRESETS, NATURAL)
"""Names of all presets."""


def wander(num_frames: int, period_s: float, size_deg: float, rng: np.random.Generator) -> Float[np.ndarray, " time"]:
    """Moves smoothly between random angles, one a period (normal, deviation `size_deg` / 2, clipped to `size_deg`)."""
    step = period_s * FRAME_RATE
    aims = rng.normal(0, size_deg / 2, int(num_frames / step) + 3).clip(-size_deg, size_deg)
    place = np.arange(num_frames) / step
    before = place.astype(int)
    return aims[before] + (aims[before + 1] - aims[before]) * smoothstep(place - before)


def _moving_average(rhythm: Rhythm) -> Float[np.ndarray, " averaged"]:
    """Averages over `BEAT_SMOOTH_FRAMES`; the result is as long as the rhythm, or as the average if that is longer."""
    return np.convolve(rhythm, np.ones(BEAT_SMOOTH_FRAMES) / BEAT_SMOOTH_FRAMES, "same")


def beats(rhythm: Rhythm) -> list[int]:
    """Returns the frames at which the loudness has a peak: where a speaker would nod."""
    smooth = _moving_average(rhythm)[: len(rhythm)]
    reach = BEAT_NEIGHBOURS
    peaks = [
        t
        for t in range(BEAT_SMOOTH_FRAMES // 2, len(smooth) - BEAT_SMOOTH_FRAMES // 2)
        if smooth[t] > BEAT_LEVEL and smooth[t] == smooth[max(0, t - reach) : t + reach + 1].max()
    ]
    beats: list[int] = []
    for peak in peaks:
        if not beats or peak - beats[-1] >= MIN_BEAT_INTERVAL_FRAMES:
            beats.append(peak)
    return beats


def _nod(track: HeadTrack, at: int, depth_deg: float, length: int) -> None:
    """Adds a nod to a track's pitch: a raised cosine that is deepest at frame `at`; frames outside are ignored."""
    frames = np.arange(at - length // 2, at - length // 2 + length)
    inside = (frames >= 0) & (frames < len(track))
    track[frames[inside], PITCH] -= depth_deg * nod_bump(length)[inside]


def nod_bump(length: int) -> Float[np.ndarray, " length"]:
    """Returns the course of a nod of depth 1: a raised cosine."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(length) + 0.5) / length)
