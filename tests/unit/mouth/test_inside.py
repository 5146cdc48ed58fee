"""The mouth's interior: teeth that hold still, in the photograph's light, dark in narrow openings."""

import hashlib
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers.heads import shut_mesh
from pcavs.face.regions import LEFT_EYE, RIGHT_EYE
from pcavs.head.grid import CELLS, MARGIN
from pcavs.mouth.inside import MouthInterior, Opening, load_teeth
from pcavs.mouth.palette import MouthPalette

SIDE = 256
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
SEAM = 77.0
MIDDLE = 63.5


def interior(white=200, pupil=0, side=SIDE):
    mesh = shut_mesh(side)
    photo = np.full((side, side, 3), white, np.uint8)
    for eye in (LEFT_EYE, RIGHT_EYE):
        x, y = mesh[list(eye), :2].mean(axis=0)
        cv2.circle(photo, (round(float(x)), round(float(y))), side // 128, (pupil,) * 3, cv2.FILLED)
    palette = MouthPalette(mesh, photo)
    return MouthInterior(mesh, side, palette, lambda column: (SEAM, SEAM))


def opening(down, up=1.0, half=8.0):
    """Pixels, four for each cell, of a mouth whose lower lip sank and whose upper lip rose."""
    rows, columns = np.meshgrid(
        np.arange(SEAM - up, SEAM + down, 0.25), np.arange(MIDDLE - half, MIDDLE + half, 0.25), indexing="ij"
    )
    places = np.dstack([columns, rows]).astype(np.float32) + MARGIN
    rows = rows.astype(np.float32)
    jaw = places - np.array([0, down], np.float32)
    return Opening(places, jaw, rows - (SEAM - up), SEAM + down - rows, rows - SEAM, SEAM - rows)


def lumas(inside, where, painted=60.0):
    colours = np.full((*where.below_upper.shape, 3), painted, np.float32)
    return inside.shade(where, colours) @ LUMA


def test_upper_teeth_are_bright_above_their_edge_and_dark_below():
    seen = lumas(interior(), opening(5.0))
    middle = seen[:, seen.shape[1] // 2 - 12 : seen.shape[1] // 2 - 4]
    assert middle[4:6].mean() > 90
    assert middle[10:14].mean() < 60
    assert middle[4:6].mean() > 2 * middle[10:14].mean()


def test_single_teeth_are_visible():
    seen = lumas(interior(), opening(5.0))[5]
    assert np.ptp(seen[12:-12]) > 25
    gaps_between = (seen[2:-2] < seen[:-4] - 2) & (seen[2:-2] < seen[4:] - 2)
    assert gaps_between.sum() >= 2


def test_teeth_stay_with_the_head_when_the_jaw_sinks():
    """Only the light changes; edges and gaps between teeth stay where they were."""
    inside = interior()
    less, more = lumas(inside, opening(4.0)), lumas(inside, opening(6.0))
    teeth = slice(3, 6)
    ratio = more[teeth, 10:-10] / less[teeth, 10:-10]
    assert ratio.std() < 0.05
    assert 0.95 < ratio.mean() < 1.4


def test_a_narrow_opening_is_dark():
    inside = interior()
    assert lumas(inside, opening(0.5, up=0.25)).max() < 0.5 * lumas(inside, opening(5.0)).max()


@pytest.mark.parametrize("white", [70, 140, 180])
def test_teeth_are_a_third_brighter_than_the_eyes_whites_at_most(white):
    brightest = lumas(interior(white), opening(6.0), painted=250.0).max()
    assert 1.05 * white < brightest <= 1.36 * white


@pytest.mark.parametrize("pupil", [30, 60, 90])
def test_the_mouth_is_not_darker_than_the_pupils(pupil):
    darkest = lumas(interior(pupil=pupil), opening(6.0), painted=0.0).min()
    assert pupil <= darkest < pupil + 40


def test_closed_eyes_do_not_make_the_mouth_grey():
    assert lumas(interior(pupil=190), opening(6.0), painted=0.0).min() < 90


def test_a_dark_photograph_has_dark_teeth():
    assert lumas(interior(80), opening(5.0)).max() < 0.55 * lumas(interior(220), opening(5.0)).max()


def test_teeth_grow_with_the_face():
    """Cells are shares of the crop, so the film's size changes nothing but the detail."""
    where = opening(5.0)
    small, large = (cv2.blur(lumas(interior(side=side), where), (5, 5)) for side in (SIDE, 2 * SIDE))
    assert np.abs(large - small).max() < 9


@pytest.mark.parametrize("side", [192, 256])
def test_a_pixel_shows_the_mean_of_the_teeth_in_it(side):
    """Where pixels only sampled the drawing, gaps and edges of teeth at 192 px were a dotted, broken line."""
    cells, fine = CELLS / side, 8
    inside, exact = interior(side=side), interior(side=side * fine)
    rows, columns = 2 * round(2.5 / cells), 2 * round(7 / cells)

    def grid(step, number_of_rows, number_of_columns):
        y, x = np.meshgrid(
            SEAM + (np.arange(number_of_rows) + 0.5) * step,
            MIDDLE + (np.arange(number_of_columns) - number_of_columns / 2 + 0.5) * step,
            indexing="ij",
        )
        places = np.dstack([x, y]).astype(np.float32) + MARGIN
        even = np.full(y.shape, 5, np.float32)  # no shadow of the lips: the drawing alone
        return Opening(places, places + np.array([0, 50], np.float32), even, even, even, even)

    pixels = lumas(inside, grid(cells, rows, columns))
    parts = lumas(exact, grid(cells / fine, rows * fine, columns * fine))
    means = parts.reshape(rows, fine, columns, fine).mean(axis=(1, 3))
    assert np.sqrt(((pixels - means) ** 2).mean()) < 0.012 * means.max()


def test_drawn_rows_end_at_their_biting_edge():
    upper, lower = load_teeth()
    for row, way in ((upper, 1), (lower, -1)):
        middle = slice(row.colours.shape[1] // 2 - 20, row.colours.shape[1] // 2 + 20)
        covers = row.colours[:, middle, 3].mean(axis=1)
        at = round(row.edge_px)
        assert covers[at - way * 6] > 200
        assert covers[at + way * 6] < 50
        assert row.colours[-1 if way > 0 else 0, :, 3].max() == 0


def test_the_notice_has_the_checksum_of_the_drawing():
    path = resources.files("pcavs") / "assets" / "face" / "teeth.npz"
    notice = Path(__file__).parents[3] / "NOTICE"
    assert hashlib.sha256(path.read_bytes()).hexdigest() in notice.read_text()
    assert len(path.read_bytes()) < 300_000


def test_cells_are_those_of_the_crop():
    assert 0 < MIDDLE < CELLS
