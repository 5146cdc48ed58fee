"""The speech encoder that hears states: one frame or many give the same, and only what the spec names is heard."""

import dataclasses

import pytest
import torch

from pcavs.models.build import build_model
from pcavs.models.speech import StateEncoder
from pcavs.spec import STATES_PER_FRAME, TINY_FLOW, FeatureSpec, FlowSpec, TalkerSpec

FLOW = dataclasses.replace(TINY_FLOW, features=FeatureSpec(), state_context=((3, 1), (2, 2)))
FRAMES = 6


@pytest.fixture(scope="module")
def encoder() -> StateEncoder:
    torch.manual_seed(0)
    encoder = build_model(TalkerSpec(flow=FLOW)).speech
    assert isinstance(encoder, StateEncoder)
    return encoder.eval()


def states_of(frames: int) -> torch.Tensor:
    count = FLOW.past_states + STATES_PER_FRAME * (frames - 1) + 1 + FLOW.future_states
    return torch.randn(2, count, FLOW.features.dim, generator=torch.Generator().manual_seed(1))


def window(states: torch.Tensor, frame: int) -> torch.Tensor:
    return states[:, STATES_PER_FRAME * frame :][:, : FLOW.states_per_window]


def test_a_sequence_is_its_frames(encoder: StateEncoder):
    states = states_of(FRAMES)
    together = encoder.sequence(states)
    assert together.shape == (2, FRAMES, FLOW.content_dim)
    for frame in range(FRAMES):
        torch.testing.assert_close(encoder(window(states, frame)), together[:, frame])


def test_a_frame_hears_the_states_that_the_spec_names_and_no_others(encoder: StateEncoder):
    states = states_of(FRAMES).requires_grad_()
    encoder.sequence(states)[:, 2].square().sum().backward()
    assert states.grad is not None
    heard = states.grad.abs().sum(dim=(0, 2)) > 0
    first = 2 * STATES_PER_FRAME
    assert heard.nonzero()[:, 0].tolist() == list(range(first, first + FLOW.states_per_window))


def test_the_default_hears_0_16_s_ahead():
    """Look-ahead is what a live film waits for; docs/measurements.md states it."""
    flow = FlowSpec(features=FeatureSpec())
    assert (flow.past_states, flow.future_states) == (20, 8)
