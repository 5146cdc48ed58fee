"""Mouths in frames: sharp lips sampled from the photograph, an interior between them, and no change elsewhere."""

import itertools

import cv2
import numpy as np
import pytest

from helpers.heads import average_mesh, opening_flow, shut_mesh
from pcavs.face.regions import INNER_LIPS, OUTER_LIPS
from pcavs.head.grid import CELLS, MARGIN
from pcavs.mouth import inside
from pcavs.mouth.render import Mouth, SpeechFrame
from pcavs.runtime.base import FieldArrays

SKIN, LIPS = (180, 140, 120), (170, 90, 95)


def portrait(side, mesh, inside=None):
    """Skin with a fine pattern, and lips; `inside` is the colour between them."""
    noise = np.random.default_rng(0).normal(0, 6, (side, side, 1))
    picture = np.clip(np.array(SKIN) + noise, 0, 255).astype(np.uint8)
    scaled = mesh[:, :2]
    cv2.fillPoly(picture, [np.rint(scaled[list(OUTER_LIPS)]).astype(np.int32)], LIPS)
    if inside is not None:
        cv2.fillPoly(picture, [np.rint(scaled[list(INNER_LIPS)]).astype(np.int32)], inside)
    return picture


def frame(side, down, *, mask=0.0, mesh=None, inside=None, margin=0, picture=None, wide=1.0):
    mesh = shut_mesh(side) if mesh is None else mesh
    picture = portrait(side, mesh, inside) if picture is None else picture
    room = -(-side * MARGIN // CELLS)
    photo = cv2.copyMakeBorder(picture, room, room, room, room, cv2.BORDER_REPLICATE)
    axis = np.arange(MARGIN - margin, MARGIN + CELLS + margin, dtype=np.float32)
    places = np.dstack(np.meshgrid(axis, axis))
    motion = opening_flow(down, wide=wide)
    fields = FieldArrays(
        np.zeros((2, 64, 64), np.float32),
        np.full((CELLS, CELLS), mask, np.float32),
        np.full((3, CELLS, CELLS), -0.7, np.float32),
    )
    size = side if margin == 0 else side + 2 * room
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float32) + (0 if margin else room)
    far = cv2.resize(np.pad(motion, ((margin, margin), (margin, margin), (0, 0))) * (side / CELLS), (size, size))
    moved = cv2.remap(photo, columns + far[..., 0], rows + far[..., 1], cv2.INTER_CUBIC)
    return Mouth(mesh, picture).composite(moved, photo, SpeechFrame(fields, motion, places)), picture


def column(side):
    return round(63.5 * side / CELLS) + side // 40


def is_lip(pixels):
    return np.abs(pixels.astype(int) - LIPS).max(axis=-1) < 12


@pytest.mark.parametrize("side", [128, 256, 512])
def test_the_opening_is_sharp_at_every_size(side, monkeypatch):
    """Each transition between lip and opening takes two pixels, and no painted colours lie on the lips."""
    monkeypatch.setattr(inside, "_TONGUE_BRIGHTNESS", 0.3)  # elsewhere it is as light as these lips
    made, _ = frame(side, 6.0)
    mesh = shut_mesh(side)
    strip = made[:, column(side)]
    low, high = round(mesh[0, 1]), round(mesh[17, 1] + 6 * side / CELLS)
    lips = np.flatnonzero(is_lip(strip)[low : high + 1])
    (hole,) = np.flatnonzero(np.diff(lips) > 1)
    upper_end, lower_start = lips[hole], lips[hole + 1]
    assert (lower_start - upper_end) * CELLS / side == pytest.approx(6, abs=1.6)
    after = strip[low + upper_end + 3].astype(int)
    assert np.abs(after - LIPS).max() > 25


def test_a_lip_keeps_its_thickness():
    """The generator's own displacement stretches it over the opening, to twice its thickness."""
    side = 512
    made, picture = frame(side, 6.0)
    seam = round(float(shut_mesh(side)[13, 1]))
    before = is_lip(picture[seam:, column(side)]).sum()
    after = is_lip(made[seam + 12 :, column(side)]).sum()
    stretched = is_lip(frame(side, 6.0, mask=1.0)[0][seam:, column(side)]).sum()
    assert after == pytest.approx(before, abs=5)
    assert stretched > 1.5 * before


def test_lips_do_not_part_where_the_generator_paints_nothing():
    made, _ = frame(256, 6.0, mask=1.0)
    seam = round(float(shut_mesh(256)[13, 1])) + 6
    assert is_lip(made[seam, column(256)]), "stretched, as the smooth displacement has it"


def test_without_displacement_the_frame_is_the_photograph():
    made, picture = frame(256, 0.0)
    assert np.array_equal(made, picture)


@pytest.mark.parametrize("inside", [(240, 235, 225), (30, 20, 20)])
def test_an_open_mouth_at_rest_is_the_photograph(inside):
    made, picture = frame(256, 0.0, mesh=average_mesh(256), inside=inside)
    assert np.abs(made.astype(int) - picture).max() <= 2


def test_the_photographs_own_teeth_stay_while_the_lip_sinks():
    inside = (240, 235, 225)
    mesh = average_mesh(256)
    made, _ = frame(256, 5.0, mesh=mesh, inside=inside)
    x, (top, bottom) = column(256), mesh[[13, 14], 1]
    middle = round(float(top + bottom) / 2)
    assert np.abs(made[middle, x].astype(int) - inside).max() < 6
    below = made[round(float(bottom)) + 4, x].astype(int)
    assert below.max() < 150, "the photograph shows nothing here, so it is dark"


def test_the_lower_lip_leaves_no_rim_on_the_photographs_teeth():
    """Landmarks of an open mouth may lie a cell inside the lower lip."""
    side, inside = 256, (240, 235, 225)
    mesh = average_mesh(side)
    picture = portrait(side, mesh, inside)
    bottom, x = round(float(mesh[14, 1])), column(side)
    picture[bottom - 2 : bottom + 1, x - 6 : x + 7] = LIPS
    made, _ = frame(side, 5.0, mesh=mesh, picture=picture)
    opening = made[round(float(mesh[13, 1])) + 2 : bottom + 5, x]
    assert not is_lip(opening).any()


def test_around_the_mouth_nothing_changes():
    made, _ = frame(256, 6.0)
    stretched, _ = frame(256, 6.0, mask=1.0)
    mesh = shut_mesh(256)
    changed = np.abs(made.astype(int) - stretched).max(axis=-1) > 12
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed.any(axis=0))
    assert rows.min() > mesh[0, 1] - 4
    assert rows.max() < mesh[17, 1] + 12 + 4
    assert columns.min() > mesh[61, 0] - 4
    assert columns.max() < mesh[291, 0] + 4


def test_the_frame_is_continuous_at_the_mouth_corners():
    """In large films the warp once broke off one cell before the corner."""
    side = 512
    mesh = shut_mesh(side)
    ramp = np.abs((3 * np.arange(side)) % 360 - 180).astype(np.uint8)
    picture = np.repeat(np.repeat(ramp[:, None, None], side, axis=1), 3, axis=2)
    made, _ = frame(side, 6.0, mesh=mesh, picture=picture, wide=1.5)
    left, seam = int(mesh[61, 0]), round(float(mesh[78, 1]))
    beside = made[seam + 10 : seam + 30, left - 20 : left + 10, 0].astype(int)
    assert np.abs(np.diff(beside, axis=1)).max() <= 4


def test_openings_grow_continuously():
    """A tenth of a cell more of opening changes the frame little."""
    frames = [frame(256, down)[0].astype(int) for down in np.arange(0.0, 1.5, 0.1)]
    steps = [np.abs(after - before).mean() for before, after in itertools.pairwise(frames)]
    assert max(steps) < 4 * np.median(steps) + 0.02


def test_a_wide_frame_shows_the_same_mouth():
    narrow, _ = frame(256, 5.0)
    wide, _ = frame(256, 5.0, margin=MARGIN)
    room = 64
    inner = wide[room:-room, room:-room]
    assert np.abs(inner.astype(int) - narrow)[:-2].max() <= 2


def test_rendering_is_deterministic():
    assert np.array_equal(frame(256, 4.0)[0], frame(256, 4.0)[0])
