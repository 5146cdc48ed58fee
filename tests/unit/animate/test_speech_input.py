"""States are those of their own windows of sound, whatever is requested with them."""

import dataclasses
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from helpers.talkers import LoudMouth
from pcavs.animate.controls import ContentEncoder
from pcavs.animate.speech_input import MelInput, StateInput, full_ahead_frames
from pcavs.media.speech import ArrayWindows
from pcavs.media.timeline import group_samples
from pcavs.runtime.features import HopFeatures
from pcavs.spec import STATES_PER_FRAME, TINY_FLOW, FeatureSpec
from pcavs.types import States, Waveform

SPEC = FeatureSpec(window_frames=6, hop_frames=3, look_ahead_frames=1)
FLOW = dataclasses.replace(TINY_FLOW, features=SPEC, state_context=((4, 2), (3, 3)))
SOUND = np.random.default_rng(0).normal(0, 0.1, 640 * 40).astype(np.float32)


class Places:
    """Stands for the network that hears m, b and p: each probability is what its own state says."""

    past_states, future_states = 3, 2

    def probabilities(self, states: np.ndarray) -> np.ndarray:
        assert states.shape[1] == self.past_states + 1 + self.future_states
        return states[:, self.past_states, 1] / 10


class Sums:
    """Stands for the pretrained encoder: a state holds the sum of its window, and its place in the group."""

    spec = SPEC
    bilabials: "Places | None" = None

    def __init__(self) -> None:
        self.windows_read = 0

    def groups(self, windows: Iterable[Waveform]) -> Iterator[States]:
        for window in windows:
            self.windows_read += 1
            count = SPEC.hop_frames * STATES_PER_FRAME
            yield np.stack([np.full(count, window.sum()), np.arange(count)], axis=1).astype(np.float32)


class Openness(LoudMouth):
    """Stands for a talker: content is what the frame's own state says."""

    def encode_speech(self, windows: np.ndarray) -> np.ndarray:
        return windows[:, FLOW.past_states]


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


def test_the_network_for_m_b_and_p_hears_the_states_around_each_frame(heard: StateInput):
    windows = heard.windows(range(12))
    assert heard.bilabials(windows) is None
    heard._features.bilabials = Places()
    places = [state(frame * STATES_PER_FRAME)[1] / 10 for frame in range(12)]
    np.testing.assert_allclose(heard.bilabials(windows), places)


def test_mel_windows_tell_nothing_of_m_b_and_p():
    assert MelInput(np.ones((80, 40), np.float32)).bilabials(np.zeros((3, 1, 80, 20), np.float32)) is None


def test_likely_m_b_and_p_close_the_lips():
    sums = Sums()
    sums.bilabials = Places()
    codes = ContentEncoder(Openness(), 1.0).encode(
        StateInput(sums, FLOW, ArrayWindows(SOUND, SPEC)), range(12), np.zeros(12, np.float32)
    )
    likely = np.array([state(frame * STATES_PER_FRAME)[1] / 10 for frame in range(12)])
    assert len(codes.contents) == 12
    assert np.all(codes.closings[likely <= 0.3] == 0)
    assert np.all(codes.closings[likely == 0.4] > 0)
    assert np.all(np.diff(codes.closings[np.argsort(likely)]) >= 0)


def test_smaller_groups_are_the_last_states_of_larger_ones_and_look_less_far_ahead():
    features = HopFeatures(Sums(), 1)
    heard = StateInput(features, FLOW, ArrayWindows(SOUND, features.spec))
    assert full_ahead_frames(SPEC, FLOW) - full_ahead_frames(features.spec, FLOW) == SPEC.hop_frames - 1
    window = heard.windows([20])[0]
    for row, index in enumerate(range(40 - FLOW.past_states, 40 - FLOW.past_states + FLOW.states_per_window)):
        frame, place = divmod(index, STATES_PER_FRAME)
        samples = group_samples(frame, features.spec)
        last = (SPEC.hop_frames - 1) * STATES_PER_FRAME + place
        np.testing.assert_allclose(window[row], [SOUND[samples.start : samples.stop].sum(), last], atol=1e-3)


def test_states_beyond_the_look_ahead_repeat_the_last_one():
    features = HopFeatures(Sums(), 1)
    full = full_ahead_frames(features.spec, FLOW)
    whole = StateInput(features, FLOW, ArrayWindows(SOUND, features.spec)).windows([20])[0]
    known = StateInput(features, FLOW, ArrayWindows(SOUND, features.spec), full).windows([20])[0]
    assert np.array_equal(whole, known)
    less = StateInput(features, FLOW, ArrayWindows(SOUND[: 640 * 22], features.spec), 2).windows([20])[0]
    num_known = FLOW.past_states + STATES_PER_FRAME
    assert np.array_equal(less[:num_known], whole[:num_known])
    assert (less[num_known:] == less[num_known - 1]).all()
