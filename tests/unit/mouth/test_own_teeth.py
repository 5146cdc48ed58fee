"""A person's own teeth: measured where frames show them, stored beside the weights, and drawn."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers.heads import shut_mesh
from pcavs.errors import WeightsError
from pcavs.face.pose import head_frame, head_pose
from pcavs.face.regions import INNER_LIPS, LEFT_EYE, OUTER_LIPS, RIGHT_EYE
from pcavs.head.grid import MARGIN
from pcavs.mouth.inside import MouthInterior, Opening, OwnTeeth
from pcavs.mouth.own_teeth import find_teeth, measure_teeth, save_teeth, teeth_path
from pcavs.mouth.palette import MouthPalette
from pcavs.weights.locate import Weights

SIDE = 256
WHITE = 200
SKIN, LIP, DARK = (150, 120, 105), (160, 80, 80), (25, 15, 15)
LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def face(opening_cm: float, shown_cm: float = 0.0, grey: int = WHITE, lower_cm: float = 0.0):
    """Draws a face whose teeth show below its upper lip, or above its lower lip, and returns its mesh."""
    mesh = shut_mesh(SIDE)
    scale = float(head_pose(mesh[None]).scale_px_per_cm[0])
    lower = list(INNER_LIPS[11:])
    mesh[lower, 1] += opening_cm * scale
    picture = np.full((SIDE, SIDE, 3), SKIN, np.uint8)
    for eye in (LEFT_EYE, RIGHT_EYE):
        cv2.fillPoly(picture, [np.rint(mesh[list(eye), :2]).astype(np.int32)], (WHITE,) * 3)
        x, y = mesh[list(eye), :2].mean(axis=0)
        cv2.circle(picture, (round(float(x)), round(float(y))), 1, (0, 0, 0), cv2.FILLED)
    outer = mesh[list(OUTER_LIPS), :2].copy()
    outer[11:, 1] += opening_cm * scale
    cv2.fillPoly(picture, [np.rint(outer).astype(np.int32)], LIP)
    inside = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(inside, [np.rint(mesh[list(INNER_LIPS), :2]).astype(np.int32)], 1)
    picture[inside > 0] = DARK
    rows = np.arange(SIDE)[:, None] + np.zeros((1, SIDE))
    if shown_cm:
        picture[(inside > 0) & (rows < mesh[13, 1] + shown_cm * scale)] = grey
    if lower_cm:
        picture[(inside > 0) & (rows > mesh[14, 1] - lower_cm * scale)] = grey
    return picture, mesh


@pytest.fixture
def rest():
    return [face(0.0)] * 3


def test_teeth_reach_as_far_as_frames_show_them(rest):
    own = measure_teeth(rest + [face(1.2, 0.3)] * 8)
    assert own.upper_cm == pytest.approx(0.3, abs=0.08)
    assert measure_teeth(rest + [face(1.2, 0.4)] * 8).upper_cm > own.upper_cm
    assert own.lower_cm == OwnTeeth().lower_cm


def test_lower_teeth_are_measured_from_the_lower_lip(rest):
    own = measure_teeth(rest + [face(1.2, 0.0, lower_cm=0.15)] * 8)
    assert own.lower_cm == pytest.approx(0.15, abs=0.06)
    assert own.upper_cm == OwnTeeth().upper_cm


def test_brightness_is_relative_to_the_eyes(rest):
    bright, dim = (measure_teeth(rest + [face(1.2, 0.3, grey)] * 8) for grey in (220, 150))
    assert bright.whiteness == pytest.approx(1.1, abs=0.1)
    assert dim.whiteness == pytest.approx(0.75, abs=0.1)


def test_a_yellow_tint_is_found(rest):
    picture, mesh = face(1.2, 0.3)
    yellow = picture.copy()
    white = (picture == WHITE).all(axis=2)
    white[: int(mesh[1, 1])] = False
    yellow[white] = (210, 200, 150)
    red, _, blue = measure_teeth(rest + [(yellow, mesh)] * 8).tint or (0, 0, 0)
    assert red > 1
    assert blue < 0.9


@pytest.mark.parametrize("frames", [[face(1.2, 0.3)] * 3, [face(1.2)] * 8, [face(0.2, 0.1)] * 8, [face(1.2, 1.6)] * 8])
def test_too_few_frames_or_none_with_a_gap_keep_the_drawn_teeth(rest, frames):
    assert measure_teeth(rest + frames) == OwnTeeth()


def test_no_frames_keep_the_drawn_teeth():
    assert measure_teeth([]) == OwnTeeth()


def weights(folder: Path, digest: str = "a") -> Weights:
    return Weights(folder / "me.safetensors", folder / "me", digest)


def test_teeth_are_found_beside_the_weights_that_they_belong_to(tmp_path):
    own = OwnTeeth(upper_cm=0.31, whiteness=0.9, tint=(1.0, 1.0, 0.95))
    path = teeth_path(tmp_path / "me.safetensors")
    assert path.name == "me.teeth.json"
    assert find_teeth(weights(tmp_path)) is None
    save_teeth(own, "a", path)
    assert find_teeth(weights(tmp_path)) == own
    assert find_teeth(Weights(None, tmp_path / "me", "a")) == own
    assert find_teeth(weights(tmp_path, "b")) is None, "teeth of other weights are not used"


@pytest.mark.parametrize(
    ("name", "value"), [("upper_cm", 9.0), ("whiteness", None), ("tint", [1, 1]), ("format", "x"), ("more", 1)]
)
def test_a_damaged_file_is_one_line(tmp_path, name, value):
    path = teeth_path(tmp_path / "me.safetensors")
    save_teeth(OwnTeeth(), "a", path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    if value is None:
        path.write_text(path.read_text()[:-9])
    with pytest.raises(WeightsError, match="is damaged .*; run `pcavs adapt` again, or remove it") as caught:
        find_teeth(weights(tmp_path))
    assert "\n" not in str(caught.value)


def test_numbers_in_quotes_are_numbers(tmp_path):
    """They passed the limits as text, and drawing a mouth ended with a traceback."""
    path = teeth_path(tmp_path / "me.safetensors")
    save_teeth(OwnTeeth(), "a", path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {"upper_cm": "0.3"}))
    assert find_teeth(weights(tmp_path)) == OwnTeeth(upper_cm=0.3)


def test_own_teeth_are_drawn_as_far_and_as_bright_as_measured():
    picture, mesh = face(0.0)
    palette = MouthPalette(mesh, picture)
    rows, columns = np.meshgrid(np.arange(76, 84, 0.25), np.arange(60, 67, 0.25), indexing="ij")
    places = np.dstack([columns, rows]).astype(np.float32) + MARGIN
    rows = rows.astype(np.float32)
    where = Opening(places, places - np.float32([0, 6]), rows - 76, 84 - rows, rows - 77, 77 - rows)

    def lumas(own: OwnTeeth | None) -> np.ndarray:
        inside = MouthInterior(mesh, SIDE, palette, lambda _: (77.0, 77.0), own=own)
        return inside.shade(where, np.full((*rows.shape, 3), 60, np.float32)) @ LUMA

    drawn, longer, dim = (lumas(own) for own in (None, OwnTeeth(upper_cm=0.45), OwnTeeth(whiteness=0.8)))
    assert np.array_equal(drawn, lumas(OwnTeeth()))
    below_edge = slice(12, 15)
    assert longer[below_edge].mean() > 1.3 * drawn[below_edge].mean()
    assert dim[4:8].mean() < 0.85 * drawn[4:8].mean()


def test_a_head_frame_tells_the_opening_in_centimetres():
    _, mesh = face(1.0)
    upper, lower = head_frame(mesh[None])[0, (13, 14), 1]
    assert float(lower - upper) == pytest.approx(1.0, abs=0.15)
