"""What a talker's speech encoder hears of each frame: mel windows, or states of a pretrained encoder."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from pcavs.media.mel import LazyMel, mel_windows
from pcavs.media.speech import ArrayWindows, WindowReader
from pcavs.runtime.base import Features, Runtime
from pcavs.spec import STATES_PER_FRAME, FeatureSpec, FlowSpec
from pcavs.types import Mel, SpeechWindows, States

_SPARE_GROUPS: Final = 4
"""Groups that stay in memory beside those of the last request, so that a request for the next frames finds them."""


@runtime_checkable
class SpeechInput(Protocol):
    """The driving audio as the speech encoder hears it."""

    def windows(self, frames: Sequence[int]) -> SpeechWindows:
        """Returns what is heard of some frames: the input of `Runtime.encode_speech`."""
        ...

    def silence(self) -> SpeechWindows:
        """Returns what is heard of silence; the mean of the contents of all rows is the content of silence."""
        ...

    def bilabials(self, windows: SpeechWindows) -> Float32[np.ndarray, " time"] | None:
        """Returns for each row of `windows` the probability that it is m, b or p; None if that cannot be told."""
        ...


class MelInput:
    """Mel windows."""

    def __init__(self, mel: Mel | LazyMel) -> None:
        """Takes a mel spectrogram in which frame k's window begins at bin 4 k."""
        self._mel = mel

    def windows(self, frames: Sequence[int]) -> SpeechWindows:
        """Cuts the mel window of each frame."""
        return mel_windows(self._mel, frames)

    def silence(self) -> SpeechWindows:
        """Returns one window of zeros."""
        return np.zeros_like(self.windows(range(1)))

    def bilabials(self, windows: SpeechWindows) -> None:
        """Returns None: the network that hears m, b and p takes states."""
        del windows


class StateInput:
    """States of the pretrained speech encoder.

    Each group of frames is computed from its own window of sound (`spec.FeatureSpec`), so the states of a frame depend
    neither on the frames that are requested with it nor on those requested before.
    """

    def __init__(
        self, features: Features, flow: FlowSpec, reader: WindowReader, ahead_frames: int | None = None
    ) -> None:
        """Stores the inputs; features are computed when `windows` is called.

        Args:
            features: The pretrained encoder.
            flow: The talker, which says how many states its speech encoder takes.
            reader: Cuts windows out of the driving audio.
            ahead_frames: Length of the sound, from a frame's start on, that its states may be computed from; where
                that is too little (`full_ahead_frames`), the last known state is repeated. None is as much as is
                needed.
        """
        self._features, self._flow, self._reader, self._ahead = features, flow, reader, ahead_frames
        self._group_states = features.spec.hop_frames * STATES_PER_FRAME
        self._groups: dict[int, States] = {}

    def windows(self, frames: Sequence[int]) -> SpeechWindows:
        """Collects the states around each frame, computing the groups that are missing in rising order."""
        needed = sorted({group for frame in frames for group in self._groups_of(frame)})
        missing = [group for group in needed if group not in self._groups]
        self._groups |= dict(zip(missing, self._features.groups(self._reader.windows(missing)), strict=True))
        self._forget(needed)
        return np.stack([self._states(frame) for frame in frames])

    def silence(self) -> SpeechWindows:
        """Returns the states around each frame of a group, in silence."""
        silent = StateInput(self._features, self._flow, ArrayWindows(np.zeros(0, np.float32), self._features.spec))
        return silent.windows(range(self._features.spec.hop_frames))

    def bilabials(self, windows: SpeechWindows) -> Float32[np.ndarray, " time"] | None:
        """Returns for each row of `windows` the probability that it is m, b or p."""
        detector = self._features.bilabials
        if detector is None:
            return None
        own = self._flow.past_states
        return detector.probabilities(windows[:, own - detector.past_states : own + 1 + detector.future_states])

    def _groups_of(self, frame: int) -> range:
        first = self._first_state(frame)
        last_group = (first + self._flow.states_per_window - 1) // self._group_states
        if self._ahead is not None:
            spec = self._features.spec
            last_group = min(last_group, (frame + self._ahead - spec.look_ahead_frames) // spec.hop_frames - 1)
        return range(first // self._group_states, last_group + 1)

    def _states(self, frame: int) -> Float32[np.ndarray, "states dim"]:
        groups, num_states = self._groups_of(frame), self._flow.states_per_window
        joined = np.concatenate([self._groups[group] for group in groups])
        offset = self._first_state(frame) - groups.start * self._group_states
        states = joined[offset : offset + num_states]
        return np.concatenate([states, states[-1:].repeat(num_states - len(states), axis=0)])

    def _first_state(self, frame: int) -> int:
        return frame * STATES_PER_FRAME - self._flow.past_states

    def _forget(self, needed: list[int]) -> None:
        for group in sorted(self._groups)[: -len(needed) - _SPARE_GROUPS]:
            if group not in needed:
                del self._groups[group]


def full_ahead_frames(features: FeatureSpec, flow: FlowSpec) -> int:
    """Returns the length of the sound, in frames from a frame's start on, that its states are computed from at most."""
    return flow.future_states // STATES_PER_FRAME + features.hop_frames + features.look_ahead_frames


def speech_input(runtime: Runtime, mel: Mel | LazyMel, reader: Callable[[FeatureSpec], WindowReader]) -> SpeechInput:
    """Returns the driving audio as a talker's speech encoder hears it.

    Args:
        runtime: The talker's networks.
        mel: Mel spectrogram of the speech; frame k's window begins at bin 4 k.
        reader: Opens the driving audio, such as `functools.partial(FeatureStream, speech)`.
    """
    if runtime.features is None:
        return MelInput(mel)
    return StateInput(runtime.features, runtime.spec.flow, reader(runtime.features.spec))
