"""Lips meet where speech closes them, and wide openings stay as they are."""

import itertools

import numpy as np
import pytest

from helpers.heads import average_mesh, opening_flow, shut_mesh
from pcavs.head.grid import CELLS, MARGIN
from pcavs.mouth.closure import LipClosure
from pcavs.mouth.lips import Lips

SIDE = 256
NO_MOTION = np.zeros((CELLS, CELLS, 2), np.float32)


def smile(factor=3.0):
    """The average face with its lips apart, as far as in a broad smile."""
    mesh = average_mesh(SIDE)
    seam = mesh[[13, 14], 1].mean()
    inner = [81, 82, 13, 312, 311, 80, 310, 191, 415, 402, 317, 14, 87, 178, 318, 88, 324, 95]
    mesh[inner, 1] = seam + factor * (mesh[inner, 1] - seam)
    mesh[[17, 84, 314, 181, 405, 91, 321], 1] += (factor - 1) * (mesh[14, 1] - seam) / factor
    return mesh


def closure(mesh, silence=NO_MOTION):
    lips = Lips(mesh, SIDE)
    return lips, LipClosure(mesh, SIDE, lips, silence)


def widest_gap(lips, displacement):
    axis = np.arange(MARGIN, MARGIN + CELLS, dtype=np.float32)
    places = np.dstack(np.meshgrid(axis, axis))
    near = lips.near(places)
    split = lips.split(displacement)
    upper, lower = (places[near] + lips.sample(each, places[near]) for each in split)
    return 2 * float(np.minimum(-lips.above_upper_edge(upper), -lips.below_lower_edge(lower)).max())


def test_the_lips_of_a_smile_meet_in_silence():
    lips, closing = closure(smile())
    before = widest_gap(lips, NO_MOTION)
    displacement, share = closing.close(NO_MOTION)
    assert before > 3
    assert share == 1
    assert widest_gap(lips, displacement) < 0.2 * before, "the drawn corners are steeper than the cells can follow"


def test_nothing_moves_far_from_the_lips():
    lips, closing = closure(smile())
    moved = np.abs(closing.close(NO_MOTION).displacement).max(axis=-1)
    rows, columns = lips.box
    assert moved[:, : columns.start].max() == moved[:, columns.stop :].max() == 0
    assert moved[: round((average_mesh(SIDE)[4, 1] + 0.5) * CELLS / SIDE)].max() == 0
    assert moved[rows].max() < closing.closed_gap


@pytest.mark.parametrize("down", [12.0, 20.0])
def test_a_wide_opening_is_not_changed(down):
    motion = opening_flow(down)
    displacement, share = closure(smile())[1].close(motion)
    assert displacement is motion
    assert share == 0


def test_a_shut_mouth_that_stays_apart_in_silence_meets():
    """The generator leaves some shut mouths a little open, whatever is said."""
    apart = opening_flow(1.0)
    lips, closing = closure(shut_mesh(SIDE), apart)
    displacement, share = closing.close(apart)
    assert widest_gap(lips, apart) > 0.5
    assert share == 1
    assert widest_gap(lips, displacement) < 0.2


@pytest.mark.parametrize("mesh", [smile(), shut_mesh(SIDE)])
def test_nothing_is_changed_where_silence_is_unknown(mesh):
    motion = opening_flow(0.5)
    displacement, share = closure(mesh, None)[1].close(motion)
    assert displacement is motion
    assert share == 0


def test_the_wanted_gap_rises_continuously_up_to_the_generator_s():
    closing = closure(smile())[1]
    gaps = np.linspace(0, 4 * closing.closed_gap, 2001)
    wanted = np.array([closing.wanted_gap(float(gap)) for gap in gaps])
    steps = np.diff(wanted) / np.diff(gaps)
    assert np.all(wanted[gaps <= closing.closed_gap] == 0)
    assert steps.min() > -1e-9
    assert steps.max() < 2.6
    assert np.all(wanted <= gaps + 1e-9)
    assert wanted[gaps > 2 * closing.closed_gap] == pytest.approx(gaps[gaps > 2 * closing.closed_gap])


def test_a_frame_s_motion_changes_smoothly_with_the_generator_s():
    _, closing = closure(smile())
    fields = [closing.close(opening_flow(down)).displacement for down in np.arange(0.2, 6, 0.05)]
    steps = [np.abs(after - before)[..., 1] for before, after in itertools.pairwise(fields)]
    assert max(float(np.percentile(step, 99.9)) for step in steps) < 0.6


@pytest.mark.parametrize("silence", [NO_MOTION, None])
@pytest.mark.parametrize("down", [4.0, 12.0])
def test_speech_closes_wide_openings(down, silence):
    """As in m, b and p; the generator may not close them, and what is measured in silence does not matter."""
    motion = opening_flow(down)
    lips, closing = closure(smile(), silence)
    displacement, share = closing.close(motion, 1.0)
    assert share == 1
    assert widest_gap(lips, displacement) < 0.2 * widest_gap(lips, motion)


def test_speech_closes_lips_by_degrees():
    motion = opening_flow(6.0)
    lips, closing = closure(shut_mesh(SIDE), None)
    gaps = [widest_gap(lips, closing.close(motion, share).displacement) for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[2] == pytest.approx(0.5 * gaps[0], rel=0.2)


def test_speech_adds_to_what_silence_closes():
    _, closing = closure(smile())
    gap = 1.5 * closing.closed_gap
    shares = [closing.close(opening_flow(gap), each).share for each in (0.0, 0.5, 1.0)]
    assert shares == sorted(shares)
