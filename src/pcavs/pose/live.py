"""Moves a head without knowing the future: the presets, one frame after another, and recorded motion that is replayed.

The presets are those of `presets`, in a form that needs neither the whole speech nor its length: each axis has random
numbers of its own, and nods come a little after the beat. `idle`, which films do not have, breathes and looks about.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, Protocol, runtime_checkable

import numpy as np

from pcavs.media.timeline import bounce_index
from pcavs.numeric import smoothstep_at
from pcavs.pose import presets
from pcavs.pose.presets import PITCH, ROLL, YAW
from pcavs.pose.track import COLUMNS, Extrapolation, HeadRow, HeadTrack, close_loop
from pcavs.spec import FRAME_RATE

_WANDER_STREAM: Final = 0xA8E5
"""Distinguishes the random numbers of the axes from others that are drawn with the same seed."""
_Y, _SIZE = 4, 5
"""Further columns of a head track."""

_BREATH_S: Final = 4.2
"""Time of one breath: 14 a minute, as adults breathe at rest."""
_BREATH: Final = ((PITCH, 0.35), (_Y, 0.004), (_SIZE, 0.0015))
"""What a breath moves: column, and how far (degrees, face widths, logarithm of size). Chosen by eye."""
_IDLE_WANDER: Final = ((YAW, 4.5, 2.4), (PITCH, 5.3, 1.4), (ROLL, 6.1, 1.4))
"""Random motion of `idle`: column, period in seconds, largest angle in degrees. Chosen by eye."""

_RHYTHM_HALF_LIFE_FRAMES: Final = 20 * FRAME_RATE
"""Frames after which a frame counts half in the running percentiles of the loudness."""
_RHYTHM_STEPS: Final = 100
"""Steps of the loudness' histogram: 1 dB each."""
_PRIOR_LEVELS: Final = (0.1, 0.47)
"""Levels of quiet and of loud speech that are assumed at first."""
_PRIOR_FRAMES: Final = 12.0
"""Frames that each of them counts for."""
_PAUSE_RHYTHM: Final = 0.2
"""Rhythm below which `listening-nod` takes a moment for a pause. Chosen by eye."""


@runtime_checkable
class LiveMotion(Protocol):
    """Head poses, one frame after another."""

    is_relative: bool
    """Whether rows are turns away from the photograph's own pose; otherwise their angles are absolute."""

    def step(self, rhythm: float) -> HeadRow:
        """Returns the row of the next frame.

        Args:
            rhythm: Loudness of the speech, 0 to 1, as far ahead as it is known.
        """
        ...


class RunningRhythm:
    """The rhythm of the speech so far: its level between running percentiles, 0 to 1; see `presets.rhythm_of`."""

    def __init__(self) -> None:
        self._counts = np.zeros(_RHYTHM_STEPS)
        for level in _PRIOR_LEVELS:
            self._counts[int(level * _RHYTHM_STEPS)] += _PRIOR_FRAMES

    def add(self, level: float) -> float:
        """Takes the level of the next frame, 0 to 1; returns its rhythm."""
        self._counts *= 0.5 ** (1 / _RHYTHM_HALF_LIFE_FRAMES)
        self._counts[min(int(level * _RHYTHM_STEPS), _RHYTHM_STEPS - 1)] += 1
        total = np.cumsum(self._counts)
        shares = np.array([presets.QUIET_PERCENTILE, presets.LOUD_PERCENTILE]) / 100 * total[-1]
        low, high = np.searchsorted(total, shares) / _RHYTHM_STEPS
        return min(max((level - float(low)) / max(float(high - low), presets.MIN_RANGE), 0.0), 1.0)


class RecordedMotion:
    """Replays a head track.

    Args:
        track: The track; it is held, looped, or played forwards and backwards after its end.
        extrapolation: Which of the three.
        is_relative: Whether its angles are turns away from the photograph's own pose.
    """

    def __init__(self, track: HeadTrack, extrapolation: Extrapolation, *, is_relative: bool) -> None:
        self._track = close_loop(track) if extrapolation == "loop" else track
        self._extrapolation, self.is_relative = extrapolation, is_relative
        self._frame = 0

    def step(self, rhythm: float) -> HeadRow:
        """Returns the row of the next frame."""
        frame, length = self._frame, len(self._track)
        self._frame += 1
        if self._extrapolation == "hold":
            return self._track[min(frame, length - 1)]
        return self._track[frame % length if self._extrapolation == "loop" else bounce_index(frame, length)]


class HeldMotion:
    """Holds a pose, and breathes.

    Args:
        row: The pose; its angles are absolute.
    """

    is_relative = False

    def __init__(self, row: HeadRow) -> None:
        self._row, self._frame = row, 0

    def step(self, rhythm: float) -> HeadRow:
        """Returns the row of the next frame."""
        self._frame += 1
        return self._row + _breath(self._frame - 1)


def _breath(frame: int) -> HeadRow:
    row = np.zeros(len(COLUMNS))
    phase = float(np.sin(2 * np.pi * frame / (_BREATH_S * FRAME_RATE)))
    for column, size in _BREATH:
        row[column] = size * phase
    return row


class Wander:
    """Moves smoothly between random angles, one a period, as `presets` does."""

    def __init__(self, column: int, period_s: float, size_deg: float, seed: int, stream: int | None = None) -> None:
        """Seeds the random numbers: those of the column, unless another stream is given."""
        self.column = column
        self._step, self._size = period_s * FRAME_RATE, size_deg
        self._rng = np.random.default_rng((seed, _WANDER_STREAM, column if stream is None else stream))
        self._before, self._after, self._index, self._frame = self._aim(), self._aim(), 0, 0

    def next(self) -> float:
        """Returns the angle of the next frame."""
        place = self._frame / self._step
        while int(place) > self._index:
            self._before, self._after, self._index = self._after, self._aim(), self._index + 1
        self._frame += 1
        return self._before + (self._after - self._before) * smoothstep_at(place - self._index)

    def _aim(self) -> float:
        return float(np.clip(self._rng.normal(0, self._size / 2), -self._size, self._size))


class _Nods:
    """Adds up nods that were begun."""

    def __init__(self) -> None:
        self._coming: deque[float] = deque()

    def begin(self, depth_deg: float, length: int, delay: int = 0) -> None:
        """Begins a nod after a number of frames."""
        self._coming.extend([0.0] * (delay + length - len(self._coming)))
        for offset, share in enumerate(presets.nod_bump(length).tolist()):
            self._coming[delay + offset] -= depth_deg * share

    def next(self) -> float:
        """Returns the pitch of the next frame."""
        return self._coming.popleft() if self._coming else 0.0


class Beats:
    """Finds the beats of the speech, as `presets` does, a few frames after them."""

    def __init__(self) -> None:
        reach = presets.BEAT_NEIGHBOURS
        self._levels: deque[float] = deque(maxlen=presets.BEAT_SMOOTH_FRAMES)
        self._smooth: deque[float] = deque([0.0] * (2 * reach + 1), maxlen=2 * reach + 1)
        self._since = presets.MIN_BEAT_INTERVAL_FRAMES

    def add(self, rhythm: float) -> float | None:
        """Takes the rhythm of the next frame; returns that of a beat which is now certain, or None."""
        self._levels.append(rhythm)
        self._smooth.append(sum(self._levels) / presets.BEAT_SMOOTH_FRAMES)
        self._since += 1
        middle = self._smooth[presets.BEAT_NEIGHBOURS]
        if middle <= presets.BEAT_LEVEL or middle < max(self._smooth):
            return None
        if self._since < presets.MIN_BEAT_INTERVAL_FRAMES:
            return None
        self._since = 0
        return middle


class LivePreset:
    """Base of the presets: random motion about each axis, which begins within a second."""

    is_relative = True
    wander: Sequence[tuple[int, float, float]] = ()
    """Random motion: column, period in seconds, largest angle in degrees."""
    breathes = False

    def __init__(self, seed: int) -> None:
        """Seeds the random numbers."""
        self._wander = [Wander(*each, seed) for each in self.wander]
        self._rng = np.random.default_rng((seed, _WANDER_STREAM))
        self._nods = _Nods()
        self._frame = 0

    def step(self, rhythm: float) -> HeadRow:
        """Returns the row of the next frame."""
        row = _breath(self._frame) if self.breathes else np.zeros(len(COLUMNS))
        for each in self._wander:
            row[each.column] += each.next()
        self.move(row, rhythm)
        row[PITCH] += self._nods.next()
        start = smoothstep_at(self._frame / FRAME_RATE / presets.START_S)
        self._frame += 1
        return row * start

    def move(self, row: HeadRow, rhythm: float) -> None:
        """Adds the preset's own motion to a row."""


class _Still(LivePreset):
    pass


class _Idle(LivePreset):
    wander = _IDLE_WANDER
    breathes = True


class _ListeningNod(LivePreset):
    """Makes small double nods every few seconds, when the speech pauses."""

    wander = presets.LISTENING_WANDER
    breathes = True
    _wait = presets.PAUSE_INTERVAL_FRAMES[0]

    def move(self, row: HeadRow, rhythm: float) -> None:
        self._wait -= 1
        if self._wait > -presets.PAUSE_INTERVAL_FRAMES[0] and (self._wait > 0 or rhythm > _PAUSE_RHYTHM):
            return  # where the speech does not pause it nods late
        for delay, depth_deg in presets.DOUBLE_NOD:
            self._nods.begin(depth_deg, presets.LISTENING_NOD_FRAMES, delay)
        self._wait = int(self._rng.integers(*presets.PAUSE_INTERVAL_FRAMES))


class _Lively(LivePreset):
    """Turns and leans all the time, and nods on the beats of the speech."""

    wander = presets.LIVELY_WANDER

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._beats = Beats()

    def move(self, row: HeadRow, rhythm: float) -> None:
        beat = self._beats.add(rhythm)
        if beat is not None:
            least_deg, more_deg = presets.LIVELY_NOD_DEG
            self._nods.begin(least_deg + more_deg * beat, presets.LIVELY_NOD_FRAMES)


class _SlowTurn(LivePreset):
    """Turns to one side and to the other, as a sine."""

    def move(self, row: HeadRow, rhythm: float) -> None:
        row[YAW] = presets.SLOW_TURN_DEG * np.sin(2 * np.pi * self._frame / (presets.SLOW_TURN_S * FRAME_RATE))


class _Presenter(LivePreset):
    """Looks at one part of the room after another, and nods on every second beat of the speech."""

    wander = ((ROLL, *presets.PRESENTER_WANDER),)
    _since, _dwell, _from, _to = 0, 0, 0.0, 0.0

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._beats, self._nods_now = Beats(), True

    def move(self, row: HeadRow, rhythm: float) -> None:
        if self._since >= self._dwell:
            self._from, self._since = self._to, 0
            self._dwell = int(self._rng.integers(*presets.DWELL_FRAMES))
            self._to = float(self._rng.choice(presets.LOOK_DEG)) + float(self._rng.normal(0, presets.LOOK_SPREAD_DEG))
        share = smoothstep_at(self._since / presets.LOOK_FRAMES)
        row[YAW] = self._from + (self._to - self._from) * share
        row[ROLL] += presets.PRESENTER_ROLL * row[YAW]
        self._since += 1
        beat = self._beats.add(rhythm)
        if beat is not None:
            if self._nods_now:
                least_deg, more_deg = presets.PRESENTER_NOD_DEG
                self._nods.begin(least_deg + more_deg * beat, presets.PRESENTER_NOD_FRAMES)
            self._nods_now = not self._nods_now


LIVE_PRESETS: Final[dict[str, Callable[[int], LivePreset]]] = {
    "idle": _Idle,
    "still": _Still,
    "listening-nod": _ListeningNod,
    "lively": _Lively,
    "slow-turn": _SlowTurn,
    "presenter": _Presenter,
}
"""Each preset by its name; they take a seed."""
