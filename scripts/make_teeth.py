"""Draws the rows of teeth that stand in mouths which photographs show shut.

    python scripts/make_teeth.py HEADS/Hispanic_F_1_Busi.npz src/pcavs/assets/face/teeth.npz

Needs a head converted by `scripts/convert_avatars.py --full`, the extra `synth`, and an EGL driver. Each row is drawn
alone, from the front and from afar, in even light, over two backgrounds: where both drawings agree there is a tooth.
What is nearly black in them (behind the teeth) is left out; gums stay.
"""

import argparse
import dataclasses
import logging
from pathlib import Path

import cv2
import numpy as np

from pcavs.synth.avatars import MOUTH_PARTS, Avatar, load_avatar
from pcavs.synth.render import HeadRenderer, HeadState, Light, Scene
from pcavs.types import Picture

logger = logging.getLogger("make_teeth")

_DRAWN_PX = 1400
_WIDE_M = 0.07
_PX_PER_CM = 60
_HALF_WIDTH_CM = 2.6
_LENGTH_CM = 1.0
"""From the biting edge, into the gums."""
_BEYOND_CM = 0.3
_GUMS_CM = 0.3
"""From the biting edge: nearer, nothing red is part of the row."""
_WHITEST, _REDDEST = 0.12, 0.25
"""Red less green, as a share of luma: of teeth, of what is soft."""
_DARK, _BRIGHT = 34.0, 70.0
"""Levels between which what is drawn stops being the hole behind the teeth."""
_ROWS = {"upper": (MOUTH_PARTS[1], 1), "lower": (MOUTH_PARTS[0], -1)}


def main() -> None:
    """Draws both rows and stores them."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("head", type=Path)
    parser.add_argument("target", type=Path)
    words = parser.parse_args()
    head = load_avatar(words.head)
    rows = {name: row(head, part, way) for name, (part, way) in _ROWS.items()}
    edges = np.float32([_PX_PER_CM * _LENGTH_CM, _PX_PER_CM * _BEYOND_CM])
    np.savez_compressed(words.target, px_per_cm=np.float32(_PX_PER_CM), edges_px=edges, **rows)
    logger.info("%s, %d kB", {name: drawn.shape for name, drawn in rows.items()}, words.target.stat().st_size // 1000)


def row(head: Avatar, part: int, way: int) -> np.ndarray:
    """One row, red, green, blue and how much it covers; its middle biting edge is `_BEYOND_CM` from a border.

    Args:
        head: Whose teeth.
        part: Of the head.
        way: 1 where the teeth hang down from the gums, -1 where they stand.
    """
    drawn = _drawn(head, part).astype(np.float32)
    luma = drawn @ np.float32([0.299, 0.587, 0.114])
    covers = ((luma - _DARK) / (_BRIGHT - _DARK)).clip(0, 1)
    covers[:, np.abs(np.arange(_DRAWN_PX) - _DRAWN_PX / 2) > 0.95 * _DRAWN_PX / 2] = 0
    red = (drawn[..., 0] - drawn[..., 1]) / np.maximum(luma, 1)
    edge = _biting_edge(drawn, luma, way)
    # Gums belong to the row; a tongue or a palate that is seen past its edge does not.
    past = way * (np.arange(_DRAWN_PX) - edge)[:, None] > -_GUMS_CM * _DRAWN_PX / (100 * _WIDE_M)
    covers *= np.where(past, 1 - ((red - _WHITEST) / (_REDDEST - _WHITEST)).clip(0, 1), 1)
    scale = _PX_PER_CM * 100 * _WIDE_M / _DRAWN_PX
    width, height = round(2 * _HALF_WIDTH_CM * _PX_PER_CM), round((_LENGTH_CM + _BEYOND_CM) * _PX_PER_CM)
    first = _LENGTH_CM if way > 0 else _BEYOND_CM
    shift = [width / 2 - scale * _DRAWN_PX / 2, first * _PX_PER_CM - scale * edge]
    place = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    layers = np.dstack([drawn * covers[..., None], covers * 255])
    blurred = cv2.GaussianBlur(layers, (0, 0), 0.4 / scale)
    small = cv2.warpAffine(blurred, place, (width, height))
    small[-1 if way > 0 else 0] = 0  # what is read beyond a border is what stands there
    colours = small[..., :3] / np.maximum(small[..., 3:] / 255, 1e-3)
    return np.rint(np.dstack([colours, small[..., 3]]).clip(0, 255)).astype(np.uint8)


def _biting_edge(drawn: np.ndarray, luma: np.ndarray, way: int) -> float:
    """Row at which the middle teeth end: white, not red."""
    middle = slice(round(0.44 * _DRAWN_PX), round(0.56 * _DRAWN_PX))
    white = ((luma > _BRIGHT) & (drawn[..., 0] - drawn[..., 1] < 0.15 * luma))[:, middle].mean(axis=1) > 0.5
    rows = np.flatnonzero(white)
    return float(rows.max() if way > 0 else rows.min())


def _drawn(head: Avatar, part: int) -> Picture:
    """The part alone, before black."""
    chosen = head.parts == part
    triangles = head.triangles[0]
    alone = dataclasses.replace(head, triangles=(triangles[chosen[triangles].all(axis=1)],), textures=head.textures[:1])
    places = head.positions[chosen]
    front = places[places[:, 2] > places[:, 2].max() - 0.01].mean(axis=0)
    aim = np.array([0.0, front[1], front[2]]) - head.face_centre * np.array([0, 1, 1])
    lights = (_light((0, 0.3, 1), 0.5), _light((0.5, 0, 1), 0.15), _light((-0.5, 0, 1), 0.15))
    scene = Scene(
        background=np.zeros((4, 4, 3), np.uint8),
        lights=lights,
        sky=(0.25,) * 3,
        ground=(0.2,) * 3,
        distance_m=4.0,
        eye_share=head.eye_distance_m / _WIDE_M,
        aim=(float(aim[0]), float(aim[1]), float(aim[2])),
    )
    with HeadRenderer(alone, _DRAWN_PX) as renderer:
        renderer.set_scene(scene)
        return renderer.render(HeadState())


def _light(direction: tuple[float, float, float], strength: float) -> Light:
    x, y, z = np.array(direction) / np.linalg.norm(direction)
    return Light(direction=(float(x), float(y), float(z)), colour=(strength,) * 3)


if __name__ == "__main__":
    main()
