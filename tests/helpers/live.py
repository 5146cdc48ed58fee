"""Speech and talkers for tests of live sessions."""

import dataclasses

import numpy as np

from helpers.talkers import LoudMouth
from pcavs.spec import SAMPLE_RATE_HZ, STATES_PER_FRAME, TINY_FLOW, FeatureSpec, TalkerSpec

SIDE_PX = 64
QUIET_RMS, LOUD_RMS = 0.01, 0.1
"""Levels at which the mouth of `HearingMouth` is shut and fully open."""


class Loudness:
    """Stands for the pretrained speech encoder: each state is the level of its 20 ms."""

    spec = FeatureSpec()
    bilabials = None

    def groups(self, windows):
        for window in windows:
            levels = np.sqrt(np.square(window.reshape(-1, 320)).mean(axis=1))
            states = np.zeros((len(levels), self.spec.dim), np.float32)
            states[:, 0] = levels
            yield states[self.spec.group_states]


class HearingMouth(LoudMouth):
    """`LoudMouth` that hears states: the louder the state of its frame, the lower the jaw."""

    spec = TalkerSpec(flow=dataclasses.replace(TINY_FLOW, features=FeatureSpec()))
    features = Loudness()

    def __init__(self):
        self.opened = []
        """How open the mouth was in each call of `render`, 0 to 1."""

    def render(self, identity, content, pose):
        self.opened.append(float(content[0]))
        return super().render(identity, content, pose)

    def encode_speech(self, windows):
        own = windows[:, self.spec.flow.past_states, 0]
        # What follows within the future states counts a little, so that a missing look-ahead shows.
        later = windows[:, self.spec.flow.past_states + STATES_PER_FRAME :, 0].mean(axis=1)
        return (((0.9 * own + 0.1 * later) - QUIET_RMS) / (LOUD_RMS - QUIET_RMS)).clip(0, 1)[:, None].astype(np.float32)


def syllables(seconds, rate_hz=SAMPLE_RATE_HZ, seed=0):
    """Returns noise in bursts of 0.1 to 0.3 s with pauses, one of them longer than a second, as float32."""
    rng = np.random.default_rng(seed)
    samples = np.zeros(round(seconds * rate_hz))
    at = 0.15
    while at < seconds:
        length = rng.uniform(0.1, 0.3)
        burst = samples[round(at * rate_hz) : round((at + length) * rate_hz)]
        burst += (
            rng.uniform(0.05, 0.25) * rng.standard_normal(len(burst)) * np.sin(np.pi * np.linspace(0, 1, len(burst)))
        )
        at += length + (1.2 if 0.4 * seconds < at < 0.5 * seconds else rng.uniform(0.02, 0.2))
    return samples.clip(-1, 1).astype(np.float32)


def pieces(samples, lengths):
    """Cuts samples into pieces of the given lengths, which are repeated."""
    at, turn = 0, 0
    while at < samples.shape[-1]:
        length = lengths[turn % len(lengths)]
        yield samples[..., at : at + length]
        at, turn = at + length, turn + 1
