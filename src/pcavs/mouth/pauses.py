"""Computes, from the level of the speech, in which frames the mouth rests: its pauses.

`pause_weights` knows the whole speech, `RunningPauses` only what was said so far and a little ahead.
"""

from collections import deque
from typing import Final

import cv2
import numpy as np
from jaxtyping import Float32

from pcavs.media.mel import LazyMel, frame_levels, heard
from pcavs.numeric import smoothstep, smoothstep_at
from pcavs.spec import FRAME_RATE, MEL_WINDOW_FRAMES
from pcavs.types import Mel

_LOUD_PERCENTILE: Final = 90
"""Percentile of the frames' levels that counts as the level of loud speech. Tuned by hand; not measured."""
_PAUSE_BELOW_LOUD: Final = 0.22
"""A frame is quiet if its level is lower than that of loud speech by more than this. Mel levels: 1 is 100 dB, so 22 dB.
Tuned by hand; not measured."""
MEL_REACH_FRAMES: Final = MEL_WINDOW_FRAMES // 2
"""Half of a mel window: the windows of frames within this distance of speech contain speech, so the mouth does not rest
in them."""
STATE_REACH_FRAMES: Final = 12
"""The same for speech encoders that hear states (0.48 s): they close the mouth in short pauses themselves, and open it
before a word. Measured on films of four GRID speakers, whose openings follow the true ones with 0.73 without any rest,
0.71 with a reach of 8 and 0.67 with `MEL_REACH_FRAMES`."""
_FADE_FRAMES: Final = 3
"""Frames over which the mouth comes to rest, and leaves it again. Tuned by hand; not measured."""
_NO_SPEECH_FRAMES: Final = 1000
"""Distance to the nearest speech where there is none."""

_PRIOR_LEVEL: Final = 0.47
"""Level of loud speech (its `_LOUD_PERCENTILE`) that is assumed before anything was heard: that of clear recordings."""
_PRIOR_FRAMES: Final = 1.0
"""Frames that this assumption counts for. With 1, the level of a quiet voice is known after 0.4 s of it."""
_SPEECH_RANGE: Final = 0.3
"""Frames count as speech if their level is within 30 dB of the loudest one."""
_PEAK_DECAY: Final = 0.03 / FRAME_RATE
"""The level of the loudest frame falls by 3 dB a second of speech."""
_HALF_LIFE_FRAMES: Final = 20 * FRAME_RATE
"""Frames of speech after which a frame counts half."""
_LEVEL_STEPS: Final = 200
"""Steps of the levels' histogram: half a dB each."""


def pause_weights(
    mel: Mel | LazyMel, num_frames: int, reach_frames: int = MEL_REACH_FRAMES
) -> Float32[np.ndarray, " time"]:
    """Computes how far the mouth rests in each frame: 0 in speech, 1 in pauses, with smooth transitions.

    Pauses shorter than twice the reach count as speech: the closures of b, p and t are up to 0.2 s long. Silence at the
    start and the end of the film counts as part of a longer pause.

    Args:
        mel: Mel spectrogram of the speech; frame k's window begins at bin 4 k.
        num_frames: Length of the film.
        reach_frames: Frames before and after speech in which the mouth does not rest.
    """
    level = frame_levels(mel, num_frames)
    loud = float(np.percentile(heard(level), _LOUD_PERCENTILE))
    quiet = (level < loud - _PAUSE_BELOW_LOUD).astype(np.uint8)
    padding = 2 * max(MEL_WINDOW_FRAMES, reach_frames)
    padded = np.pad(quiet, padding, constant_values=1)[None]
    distance = cv2.distanceTransform(padded, cv2.DIST_L1, 3)[0, padding:][:num_frames]
    return np.asarray(smoothstep((distance - reach_frames) / _FADE_FRAMES), np.float32)


class RunningLevel:
    """The level of loud speech so far: a percentile of the frames that are speech; older frames count less.

    It continues from one utterance to the next.
    """

    def __init__(self) -> None:
        self._counts = np.zeros(_LEVEL_STEPS)
        self._counts[round(_PRIOR_LEVEL * _LEVEL_STEPS)] = _PRIOR_FRAMES
        self._peak = 0.0

    def add(self, level: float) -> bool:
        """Takes the level of the next frame, 0 to 1; returns whether it is quiet."""
        if level >= self._peak - _SPEECH_RANGE and level > 0:
            self._peak = max(level, self._peak - _PEAK_DECAY)
            self._counts *= 0.5 ** (1 / _HALF_LIFE_FRAMES)
            self._counts[min(int(level * _LEVEL_STEPS), _LEVEL_STEPS - 1)] += 1
        return level < self.loud - _PAUSE_BELOW_LOUD

    @property
    def loud(self) -> float:
        """Level of loud speech, 0 to 1."""
        total = np.cumsum(self._counts)
        return float(np.searchsorted(total, _LOUD_PERCENTILE / 100 * total[-1])) / _LEVEL_STEPS


class RunningPauses:
    """Computes `pause_weights` of an utterance frame by frame, from the frames so far and a few ahead.

    As in `pause_weights` the mouth does not rest for `reach_frames` after speech. Before speech it comes out of rest as
    early as the frames ahead are known.

    Args:
        voice: Level of loud speech so far, which this object continues.
        ahead_frames: Frames, the present one included, whose level is known; 1 or more.
        reach_frames: Frames after speech, and before it at most, in which the mouth does not rest.
    """

    def __init__(self, voice: RunningLevel, ahead_frames: int, reach_frames: int) -> None:
        self._voice, self._reach = voice, reach_frames
        self._reach_ahead = min(reach_frames, max(0, ahead_frames - _FADE_FRAMES))
        self._since_loud = _NO_SPEECH_FRAMES
        """Frames since the last loud one."""
        self._quiet: deque[bool] = deque()
        """For the frames from the present one on."""

    def add(self, level: float) -> None:
        """Takes the level of the next frame, 0 to 1."""
        self._quiet.append(self._voice.add(level))

    def next(self) -> np.float32:
        """Returns how far the mouth rests in the next frame, 0 to 1; frames that were not added yet count as quiet."""
        until_loud = next((ahead for ahead, is_quiet in enumerate(self._quiet) if not is_quiet), _NO_SPEECH_FRAMES)
        is_quiet = self._quiet.popleft() if self._quiet else True
        self._since_loud = self._since_loud + 1 if is_quiet else 0
        distance = min(self._since_loud - self._reach, until_loud - self._reach_ahead)
        return np.float32(smoothstep_at(distance / _FADE_FRAMES))
