"""A person who is cut out of a photograph shows nothing of the old background before a new one."""

import cv2
import numpy as np
import pytest

from pcavs.head.cutout import FLAT_LEVEL, CutOut, lift, over, straighten

SIDE = 192
HAIR, SKIN = (60, 40, 30), (200, 150, 120)
WALLS = {"light": (240, 245, 250), "dark": (10, 20, 15), "green": (40, 200, 60)}


def disc(radius, column=SIDE / 2):
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    return np.clip((radius - np.hypot(rows - SIDE / 2, columns - column)) / 8 + 0.5, 0, 1).astype(np.float32)


def person():
    """Skin with a rim of hair, without a background."""
    face = disc(40)[..., None]
    return face * np.float32(SKIN) + (1 - face) * np.float32(HAIR)


def mixed(wall, matte):
    """The person before a wall, with an outline as soft as the matte."""
    shade = np.linspace(0.9, 1, SIDE)[:, None, None]
    share = matte[..., None]
    return np.rint(person() * share + np.float32(wall) * shade * (1 - share)).clip(0, 255).astype(np.uint8)


def places(across=0.0):
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    return columns - np.float32(across), rows


def layer_of(picture, matte, across=0.0):
    there = places(across)
    moved = cv2.remap(picture, *there, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return lift(*CutOut(picture, matte).flatten(moved, *there))


@pytest.mark.parametrize("across", [0.0, 10.0])
@pytest.mark.parametrize("wall", WALLS.values(), ids=WALLS)
@pytest.mark.parametrize("new", [(255, 255, 255), (0, 0, 0), (200, 30, 30)])
def test_no_rim_of_the_old_background_remains(wall, new, across):
    matte = disc(66)
    background = np.full((SIDE, SIDE, 3), new, np.uint8)
    shown = over(layer_of(mixed(wall, matte), matte, across), background).astype(int)
    share = disc(66, SIDE / 2 + across)[..., None]
    rows, columns = places(across)[::-1]
    own = cv2.remap(person(), columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    true = own * share + np.float32(new) * (1 - share)
    rim = (share > 0.02) & (share < 0.98)
    assert np.abs(shown - true)[rim[..., 0]].mean() < 4
    assert np.abs(shown - true)[rim[..., 0]].max() < 24
    # A cut with the same matte that keeps the photograph's colours has such a rim.
    kept = mixed(wall, matte) * disc(66)[..., None] + np.float32(new) * (1 - disc(66)[..., None])
    still = (disc(66) > 0.02) & (disc(66) < 0.98)
    assert across or np.abs(kept - true)[still].mean() > 1.5 * np.abs(shown - true)[still].mean()


def test_the_inside_of_the_person_keeps_its_pixels():
    matte = disc(66)
    picture = mixed(WALLS["green"], matte)
    layer = layer_of(picture, matte)
    inside = matte == 1
    assert np.array_equal(layer[inside], np.dstack([picture, np.full((SIDE, SIDE), 255, np.uint8)])[inside])
    assert not layer[matte == 0].any()


def test_colours_never_exceed_the_opacity():
    noise = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
    layer = layer_of(noise, disc(66))
    assert (layer[..., :3] <= layer[..., 3:]).all()


def test_straight_colours_show_the_same_before_any_background():
    layer = layer_of(mixed(WALLS["light"], disc(66)), disc(66))
    straight = straighten(layer)
    assert np.array_equal(straight[..., 3], layer[..., 3])
    alpha = straight[..., 3:] / 255
    for level in (0, 90, 255):
        shown = straight[..., :3] * alpha + level * (1 - alpha)
        assert np.abs(shown - over(layer, np.full((SIDE, SIDE, 3), level, np.uint8))).max() <= 1.5


def test_transparent_pixels_take_the_persons_colours():
    """Encoders average them with their neighbours: black ones would make a dark rim."""
    straight = straighten(layer_of(mixed(WALLS["light"], disc(66)), disc(66))).astype(int)
    beside = (disc(66) == 0) & (disc(76) > 0)
    assert np.abs(straight[beside][:, :3] - HAIR).max() < 30
    assert not straight[beside][:, 3].any()


def test_an_empty_layer_stays_empty():
    empty = np.zeros((6, 4, 4), np.uint8)
    assert not straighten(empty).any()
    assert np.array_equal(over(empty, np.full((6, 4, 3), 77, np.uint8)), np.full((6, 4, 3), 77, np.uint8))
    assert not lift(np.full((6, 4, 3), FLAT_LEVEL, np.uint8), np.full((6, 4), 255, np.uint8)).any()
