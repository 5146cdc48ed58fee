"""Encodes speech as it arrives: the utterances of a live session."""

import functools
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from jaxtyping import Float32

from pcavs.animate.controls import Content, ContentEncoder
from pcavs.animate.speech_input import MelInput, StateInput, full_ahead_frames, speech_input
from pcavs.errors import InputError
from pcavs.media.live import LiveMel, LiveSpeech, LiveWindows, RunningLoudness
from pcavs.media.mel import padded_mel
from pcavs.media.mixing import Channels
from pcavs.media.speech import ArrayWindows
from pcavs.media.timeline import MEL_LEAD_FRAMES, count_frames, count_samples, frame_time_s, nearest_index
from pcavs.mouth.pauses import MEL_REACH_FRAMES, STATE_REACH_FRAMES, RunningLevel, RunningPauses, pause_weights
from pcavs.pose.live import RunningRhythm
from pcavs.pose.presets import Rhythm, rhythm_of
from pcavs.provenance.audio_mark import MARK_VERSION, SoundMarker
from pcavs.runtime.base import Features, Runtime
from pcavs.runtime.features import HopFeatures
from pcavs.spec import FRAME_RATE, MEL_WINDOW_FRAMES, MelSpec

Loudness: TypeAlias = Literal["running", "whole"] | float
"""How the loudness of speech is known: from what was `running` so far; from the `whole` of each utterance; or the level
of the speech in dB, against full scale."""

LOUDNESS_DB: Final = (-60.0, 0.0)
"""Smallest and largest level of speech, in dB against full scale."""
_LEAST_STATE_FRAMES: Final = 2
"""Smallest look-ahead of talkers that hear states: with less, the frame's own states are not known."""
_LEAST_MEL_FRAMES: Final = MEL_WINDOW_FRAMES - MEL_LEAD_FRAMES
"""Look-ahead of talkers that hear mel windows: the end of a frame's window."""
_MAX_AHEAD_FRAMES: Final = 25
_KEPT_FRAMES: Final = 64
"""Sound that is kept, in frames before the present one: longer than windows and their past together."""


class Step(NamedTuple):
    """What is said in one frame."""

    content: Content
    closing: float
    """How far the speech closes the lips: 0 as far as the content does, 1 until they meet."""
    rhythm: float
    """Rhythm of the speech, 0 to 1, of the last frame that is known."""


class Voice:
    """What a session has learned of the voice so far; it outlasts utterances.

    Args:
        spec: The talker's mel spectrogram.
        loudness: How the loudness is known.
    """

    def __init__(self, spec: MelSpec, loudness: Loudness) -> None:
        self.loudness: RunningLoudness | float = RunningLoudness(spec)
        if isinstance(loudness, int | float):
            self.loudness = spec.loudness_rms / 10 ** (loudness / 20)
        self.level, self.rhythm = RunningLevel(), RunningRhythm()


class SpeechSetup(NamedTuple):
    """How a session encodes speech."""

    runtime: Runtime
    encoder: ContentEncoder
    ahead_frames: int
    """Length of the sound, from a frame's start on, that is known before the frame is made."""
    is_whole: bool = False
    """Whether frames are made only once an utterance is complete, as those of a film are."""
    is_marked: bool = True
    """Whether the sound carries the mark."""

    @property
    def reach_frames(self) -> int:
        """Frames around speech in which the mouth does not rest."""
        return MEL_REACH_FRAMES if self.runtime.features is None else STATE_REACH_FRAMES


class _Encoded(Protocol):
    """The contents of an utterance, asked for once for each frame, in order."""

    def step(self, frame: int, num_frames: int | None) -> Step: ...

    def skip(self, frame: int, num_frames: int | None) -> None: ...


class _Running:
    """Knows the speech so far and a little ahead."""

    def __init__(self, setup: SpeechSetup, voice: Voice, speech: LiveSpeech) -> None:
        runtime = setup.runtime
        self._setup, self._voice, self._speech = setup, voice, speech
        self._mel = LiveMel(speech, runtime.spec.mel, voice.loudness)
        if runtime.features is None:
            self._input = MelInput(self._mel)
        else:
            features = _features_within(runtime.features, runtime, setup.ahead_frames)
            reader = LiveWindows(speech, features.spec)
            self._input = StateInput(features, runtime.spec.flow, reader, setup.ahead_frames)
        self._pauses = RunningPauses(voice.level, setup.ahead_frames, setup.reach_frames)
        self._num_levels, self._rhythm = 0, 0.0

    def step(self, frame: int, num_frames: int | None) -> Step:
        rest = np.array([self._advance(frame, num_frames)])
        codes = self._setup.encoder.encode(self._input, [frame], rest)
        return Step(codes.contents[0], float(codes.closings[0]), self._rhythm)

    def skip(self, frame: int, num_frames: int | None) -> None:
        self._advance(frame, num_frames)

    def _advance(self, frame: int, num_frames: int | None) -> np.float32:
        """Takes the levels that the frame may know; returns how far the mouth rests in it."""
        self._speech.forget(count_samples(frame - _KEPT_FRAMES))
        self._mel.forget(frame)
        known = frame + self._setup.ahead_frames
        for each in range(self._num_levels, known if num_frames is None else min(known, num_frames)):
            level = self._mel.level(each)
            self._pauses.add(level)
            self._rhythm = self._voice.rhythm.add(level)
            self._num_levels = each + 1
        return self._pauses.next()


class _Whole:
    """Knows all of the speech: contents are those of a film."""

    def __init__(self, setup: SpeechSetup, speech: LiveSpeech, num_frames: int) -> None:
        spec = setup.runtime.spec
        waveform = speech.read(range(speech.num_samples))
        mel = padded_mel(waveform, num_frames, spec.mel)
        self._encoder = setup.encoder
        self._input = speech_input(setup.runtime, mel, functools.partial(ArrayWindows, waveform))
        self._pauses = pause_weights(mel, num_frames, setup.reach_frames)
        self._rhythm: Rhythm = rhythm_of(mel, num_frames)

    def step(self, frame: int, num_frames: int | None) -> Step:
        codes = self._encoder.encode(self._input, [frame], self._pauses[frame : frame + 1])
        return Step(codes.contents[0], float(codes.closings[0]), float(self._rhythm[frame]))

    def skip(self, frame: int, num_frames: int | None) -> None:
        pass


class Utterance:
    """Speech from its first sample to a pause, as the contents and the sound of its frames.

    Args:
        setup: How speech is encoded.
        voice: What is known of the voice, which this object continues.
        rate_hz: Sampling rate of the sound.
        channels: Its number of channels.
    """

    def __init__(self, setup: SpeechSetup, voice: Voice, rate_hz: int, channels: int) -> None:
        self.rate_hz, self.channels = rate_hz, channels
        self._setup = setup
        self._speech = LiveSpeech(rate_hz, keep_all=setup.is_whole)
        self._sound = _Sound(rate_hz, channels, is_marked=setup.is_marked)
        self._encoded: _Encoded | None = None if setup.is_whole else _Running(setup, voice, self._speech)
        self._frame = 0
        self._num_frames: int | None = None

    @property
    def is_finished(self) -> bool:
        """Whether the utterance takes no more sound."""
        return self._num_frames is not None

    @property
    def is_over(self) -> bool:
        """Whether all of its frames were made."""
        return self._num_frames is not None and self._frame >= self._num_frames

    @property
    def is_ready(self) -> bool:
        """Whether the next frame can be made."""
        if self._num_frames is not None:
            return self._frame < self._num_frames
        needed = count_samples(self._frame + self._setup.ahead_frames)
        return not self._setup.is_whole and self._speech.num_samples >= needed

    @property
    def waiting_s(self) -> float:
        """Length of the sound that was pushed and belongs to no frame yet, in seconds."""
        return max(0.0, self._sound.num_samples / self.rate_hz - frame_time_s(self._frame)) if not self.is_over else 0.0

    def push(self, block: Channels) -> None:
        """Takes the next samples."""
        self._speech.push(block)
        self._sound.push(block)

    def finish(self, *, exact: bool) -> None:
        """Ends the utterance, so that its last frames can be made.

        Args:
            exact: It has as many frames as a film of this sound has, and the last frame takes the rest of the sound.
                Otherwise it is filled with silence to whole frames.
        """
        if self.is_finished:
            return
        self._speech.finish()
        self._sound.finish()
        whole_frames = -(-self._sound.num_samples * FRAME_RATE // self.rate_hz)
        num_frames = max(1, count_frames(self._speech.num_samples)) if exact else whole_frames
        self._num_frames = num_frames
        self._sound.take_rest_from = num_frames - 1 if exact else None
        if self._encoded is None:
            self._encoded = _Whole(self._setup, self._speech, num_frames)

    def step(self) -> tuple[Step, Channels]:
        """Returns content and sound of the next frame, which must be ready."""
        assert self._encoded is not None
        step = self._encoded.step(self._frame, self._num_frames)
        self._frame += 1
        return step, self._sound.take(self._frame - 1)

    def skip(self) -> Channels:
        """Returns the sound of the next frame, which must be ready, without its content."""
        assert self._encoded is not None
        self._encoded.skip(self._frame, self._num_frames)
        self._frame += 1
        return self._sound.take(self._frame - 1)


class _Sound:
    """The sound of an utterance, marked, and cut into frames."""

    def __init__(self, rate_hz: int, channels: int, *, is_marked: bool) -> None:
        self._rate_hz = rate_hz
        self._marker = SoundMarker(rate_hz, channels, MARK_VERSION, batch_frames=1) if is_marked else None
        self._blocks: list[Float32[np.ndarray, "channels samples"]] = []
        self._rest = np.zeros((channels, 0), np.float32)
        self._taken = 0
        self.num_samples = 0
        """Samples that were pushed."""
        self.take_rest_from: int | None = None
        """Frame that takes all of the sound that is left; None fills the last frame with silence."""

    def push(self, block: Channels) -> None:
        self.num_samples += block.shape[1]
        self._blocks.extend([block] if self._marker is None else self._marker.add(block))

    def finish(self) -> None:
        if self._marker is not None:
            self._blocks.extend(self._marker.finish())

    def take(self, frame: int) -> Channels:
        """Returns the sound of a frame; frames are asked for in order."""
        if self._blocks:
            self._rest, self._blocks = np.concatenate([self._rest, *self._blocks], axis=1), []
        stop = nearest_index(frame_time_s(frame + 1), self._rate_hz)
        length = self._rest.shape[1] if frame == self.take_rest_from else stop - self._taken
        sound, self._rest = self._rest[:, :length], self._rest[:, length:]
        self._taken = stop
        return np.pad(sound, ((0, 0), (0, length - sound.shape[1])))


def silence_of(runtime: Runtime) -> Content:
    """Returns a talker's content of silence."""
    waveform = np.zeros(count_samples(1), np.float32)
    mel = padded_mel(waveform, 1, runtime.spec.mel)
    speech = speech_input(runtime, mel, functools.partial(ArrayWindows, waveform))
    return ContentEncoder(runtime, 1.0).silence(speech)


def check_loudness(loudness: Loudness) -> None:
    """Checks the setting of the loudness.

    Raises:
        InputError: It is none.
    """
    low, high = LOUDNESS_DB
    if isinstance(loudness, str):
        if loudness not in ("running", "whole"):
            raise InputError(f"a loudness of {loudness} cannot be used; give running, whole, or the level in dB")
    elif not low <= loudness <= high:
        raise InputError(f"a loudness of {loudness:g} dB cannot be used; give {low:g} to {high:g}")


def ahead_frames(look_ahead_s: float, runtime: Runtime) -> int:
    """Returns a look-ahead in frames.

    Raises:
        InputError: The talker needs more, or it is longer than a second.
    """
    least = _LEAST_MEL_FRAMES if runtime.features is None else _LEAST_STATE_FRAMES
    frames = int(look_ahead_s * FRAME_RATE + 1e-6) if 0 <= look_ahead_s <= frame_time_s(_MAX_AHEAD_FRAMES) else 0
    if not least <= frames <= _MAX_AHEAD_FRAMES:
        limits = f"{frame_time_s(least):g} to {frame_time_s(_MAX_AHEAD_FRAMES):g}"
        raise InputError(f"a look_ahead of {look_ahead_s:g} s cannot be used; give {limits}")
    return frames


def _features_within(features: Features, runtime: Runtime, frames: int) -> Features:
    """Returns the encoder with the largest groups whose states are known within a look-ahead."""
    own = features.spec.hop_frames
    for hop in range(own, 1, -1):
        if own % hop == 0 and full_ahead_frames(features.spec, runtime.spec.flow) - own + hop <= frames:
            return features if hop == own else HopFeatures(features, hop)
    return HopFeatures(features, 1) if own > 1 else features
