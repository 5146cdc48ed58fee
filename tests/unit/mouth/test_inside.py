"""The inside of mouths: teeth that stand still, in the photograph's light, dark in slits."""

import hashlib
from importlib import resources
from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers.heads import shut_mesh
from pcavs.face.regions import LEFT_EYE, RIGHT_EYE
from pcavs.head.grid import CELLS, MARGIN
from pcavs.mouth.colour import MouthColours
from pcavs.mouth.inside import Gap, MouthInside, drawn_teeth

SIDE = 256
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
SEAM = 77.0
MIDDLE = 63.5


def mouth(white=200, pupil=0, side=SIDE):
    mesh = shut_mesh(side)
    photo = np.full((side, side, 3), white, np.uint8)
    for eye in (LEFT_EYE, RIGHT_EYE):
        x, y = mesh[list(eye), :2].mean(axis=0)
        cv2.circle(photo, (round(float(x)), round(float(y))), side // 128, (pupil,) * 3, cv2.FILLED)
    toned = MouthColours(mesh, photo)
    return MouthInside(mesh, side, toned, lambda column: (SEAM, SEAM))


def gap(down, up=1.0, half=8.0):
    """Pixels, four a cell, of a mouth whose lower lip sank and whose upper lip rose."""
    rows, columns = np.meshgrid(
        np.arange(SEAM - up, SEAM + down, 0.25), np.arange(MIDDLE - half, MIDDLE + half, 0.25), indexing="ij"
    )
    places = np.dstack([columns, rows]).astype(np.float32) + MARGIN
    rows = rows.astype(np.float32)
    jaw = places - np.array([0, down], np.float32)
    return Gap(places, jaw, rows - (SEAM - up), SEAM + down - rows, rows - SEAM, SEAM - rows)


def lumas(inside, where, said=60.0):
    toned = np.full((*where.under_upper.shape, 3), said, np.float32)
    return inside.colours(where, toned) @ LUMA


def test_upper_teeth_are_bright_above_their_edge_and_dark_below():
    seen = lumas(mouth(), gap(5.0))
    middle = seen[:, seen.shape[1] // 2 - 12 : seen.shape[1] // 2 - 4]
    assert middle[4:6].mean() > 90
    assert middle[10:14].mean() < 60
    assert middle[4:6].mean() > 2 * middle[10:14].mean()


def test_single_teeth_are_told_apart():
    seen = lumas(mouth(), gap(5.0))[5]
    assert np.ptp(seen[12:-12]) > 25
    gaps_between = (seen[2:-2] < seen[:-4] - 2) & (seen[2:-2] < seen[4:] - 2)
    assert gaps_between.sum() >= 2


def test_teeth_stay_with_the_head_when_the_jaw_sinks():
    """What changes is the light; edges and gaps are where they were."""
    inside = mouth()
    less, more = lumas(inside, gap(4.0)), lumas(inside, gap(6.0))
    teeth = slice(3, 6)
    ratio = more[teeth, 10:-10] / less[teeth, 10:-10]
    assert ratio.std() < 0.05
    assert 0.95 < ratio.mean() < 1.4


def test_a_slit_is_dark():
    inside = mouth()
    assert lumas(inside, gap(0.5, up=0.25)).max() < 0.5 * lumas(inside, gap(5.0)).max()


@pytest.mark.parametrize("white", [70, 140, 180])
def test_teeth_are_a_third_brighter_than_the_eyes_whites_at_most(white):
    brightest = lumas(mouth(white), gap(6.0), said=250.0).max()
    assert 1.05 * white < brightest <= 1.36 * white


@pytest.mark.parametrize("pupil", [30, 60, 90])
def test_where_pupils_are_grey_mouths_are_no_darker(pupil):
    darkest = lumas(mouth(pupil=pupil), gap(6.0), said=0.0).min()
    assert pupil <= darkest < pupil + 40


def test_shut_eyes_do_not_make_a_mouth_grey():
    assert lumas(mouth(pupil=190), gap(6.0), said=0.0).min() < 90


def test_a_dark_photograph_has_dark_teeth():
    assert lumas(mouth(80), gap(5.0)).max() < 0.55 * lumas(mouth(220), gap(5.0)).max()


def test_teeth_grow_with_the_face():
    """Cells are shares of the crop, so the film's size does not matter."""
    where = gap(5.0)
    assert np.abs(lumas(mouth(side=2 * SIDE), where) - lumas(mouth(), where)).max() < 12


def test_drawn_rows_end_where_they_say():
    upper, lower = drawn_teeth()
    for row, way in ((upper, 1), (lower, -1)):
        middle = slice(row.colours.shape[1] // 2 - 20, row.colours.shape[1] // 2 + 20)
        covers = row.colours[:, middle, 3].mean(axis=1)
        at = round(row.edge_px)
        assert covers[at - way * 6] > 200
        assert covers[at + way * 6] < 50
        assert row.colours[-1 if way > 0 else 0, :, 3].max() == 0


def test_the_notice_names_the_drawing():
    path = resources.files("pcavs") / "assets" / "face" / "teeth.npz"
    notice = Path(__file__).parents[3] / "NOTICE"
    assert hashlib.sha256(path.read_bytes()).hexdigest() in notice.read_text()
    assert len(path.read_bytes()) < 300_000


def test_cells_are_those_of_the_crop():
    assert 0 < MIDDLE < CELLS
