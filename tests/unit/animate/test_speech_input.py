"""States are those of their own windows of sound, whatever is requested with them."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from pcavs.animate.speech_input import MelInput, StateInput
from pcavs.media.speech import ArrayWindows
from pcavs.media.timeline import group_samples
from pcavs.spec import STATES_PER_FRAME, TINY_FLOW, FeatureSpec
from pcavs.types import States, Waveform

SPEC = FeatureSpec(window_frames=6, hop_frames=3, look_ahead_frames=1)
FLOW = dataclasses.replace(TINY_FLOW, features=SPEC, state_context=((4, 2), (3, 3)))
SOUND = np.random.default_rng(0).normal(0, 0.1, 640 * 40).astype(np.float32)


class Sums:
    """Stands for the pretrained encoder: a state holds the sum of its window, and its place in the group."""

    spec = SPEC

    def __init__(self) -> None:
        self.windows_read = 0

    def groups(self, windows: Iterable[Waveform]) -> Iterator[States]:
        for window in windows:
            self.windows_read += 1
            count = SPEC.hop_frames * STATES_PER_FRAME
            yield np.stack([np.full(count, window.sum()), np.arange(count)], axis=1).astype(np.float32)


def state(index: int) -> list[float]:
    """Returns what `Sums` gives for one state of the sound."""
    group, place = divmod(index, SPEC.hop_frames * STATES_PER_FRAME)
    samples = group_samples(group, SPEC)
    inside = SOUND[max(0, samples.start) : max(0, samples.stop)]
    return [float(inside.sum()), place]


@pytest.fixture
def heard() -> StateInput:
    return StateInput(Sums(), FLOW, ArrayWindows(SOUND, SPEC))


def test_a_window_holds_the_states_around_its_frame(heard: StateInput):
    frames = [0, 1, 17, 39]
    for frame, window in zip(frames, heard.windows(frames), strict=True):
        first = STATES_PER_FRAME * frame - FLOW.past_states
        np.testing.assert_allclose(
            window, [state(index) for index in range(first, first + FLOW.states_per_window)], atol=1e-3
        )


@pytest.mark.parametrize("size", [1, 3, 5, 40])
def test_windows_do_not_depend_on_what_is_requested_together(heard: StateInput, size: int):
    whole = heard.windows(range(40))
    fresh = StateInput(Sums(), FLOW, ArrayWindows(SOUND, SPEC))
    parts = [fresh.windows(range(first, min(40, first + size))) for first in range(0, 40, size)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_frames_in_order_read_each_window_once():
    sums = Sums()
    heard = StateInput(sums, FLOW, ArrayWindows(SOUND, SPEC))
    for frame in range(40):
        heard.windows([frame])
    first = -FLOW.past_states // (SPEC.hop_frames * STATES_PER_FRAME)
    last = (39 * STATES_PER_FRAME + FLOW.future_states) // (SPEC.hop_frames * STATES_PER_FRAME)
    assert sums.windows_read == last - first + 1


def test_memory_holds_few_groups(heard: StateInput):
    for frame in range(0, 10_000, 50):
        heard.windows([frame])
    assert len(heard._groups) < 20


def test_silence_has_the_windows_of_each_frame_of_a_group(heard: StateInput):
    silence = heard.silence()
    assert silence.shape == (SPEC.hop_frames, FLOW.states_per_window, 2)
    assert not silence[:, :, 0].any()


def test_silence_of_mel_is_a_window_of_zeros():
    mel = np.ones((80, 40), np.float32)
    assert not MelInput(mel).silence().any()
    assert MelInput(mel).windows([1]).shape == (1, 1, 80, 20)
