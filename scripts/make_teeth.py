"""Makes the rows of teeth that are drawn into mouths which the photograph shows shut.

    python scripts/make_teeth.py HEADS/Hispanic_F_1_Busi.npz src/pcavs/assets/face/teeth.npz

Needs a head converted by `scripts/convert_avatars.py --full`, the extra `synth`, and an EGL driver. Each row is
rendered alone, from the front and from far away, in even light, before a black background. Dark pixels, those of the
hole behind the teeth, become transparent; teeth and gums stay opaque.
"""

import argparse
import dataclasses
import logging
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pcavs.synth.avatars import MOUTH_PARTS, Avatar, load_avatar
from pcavs.synth.render import HeadRenderer, HeadState, Light, Scene
from pcavs.types import Picture

logger = logging.getLogger("make_teeth")

_RENDER_PX: Final = 1400
"""Side of the rendered picture."""

_RENDER_WIDTH_M: Final = 0.07
"""Width of the face that it shows."""

_RENDER_PX_PER_CM: Final = _RENDER_PX / (100 * _RENDER_WIDTH_M)

_CAMERA_DISTANCE_M: Final = 4.0
"""Distance of the camera, from which perspective hardly shows."""

_FRONT_M: Final = 0.01
"""Depth behind the foremost point up to which vertices give the row's place."""

_PX_PER_CM: Final = 60
"""Resolution of the result."""

_HALF_WIDTH_CM: Final = 2.6
"""Half the width of the result."""

_LENGTH_CM: Final = 1.0
"""Height of the result from the biting edge into the gums."""

_MARGIN_CM: Final = 0.3
"""Height of the result beyond the biting edge."""

_GUMS_CM: Final = 0.3
"""Distance from the biting edge from which on red areas are gums; nearer ones are tongue or palate."""

_TEETH_REDNESS, _SOFT_REDNESS = 0.12, 0.25
"""Red less green, as a fraction of luma: the most that teeth have, and what tongue and palate have."""

_EDGE_REDNESS: Final = 0.15
"""The same, up to which a bright pixel of the middle teeth is tooth."""

_DARK_LEVEL, _BRIGHT_LEVEL = 34.0, 70.0
"""Luma (levels of 255) up to which a pixel is the hole behind the teeth, and from which on it is opaque."""

_USED_WIDTH: Final = 0.95
"""Fraction of the picture's width in which the row may lie."""

_MIDDLE: Final = (0.44, 0.56)
"""Part of the picture's width that shows the middle teeth."""

_BLUR_PX: Final = 0.4
"""Standard deviation of the blur before the picture is scaled down, in pixels of the result."""

_MIN_COVERAGE: Final = 1e-3
"""Smallest coverage by which colours are divided."""

_LUMA: Final = (0.299, 0.587, 0.114)
"""Weights of red, green and blue (ITU-R BT.601)."""

_LIGHTS: Final = (((0, 0.3, 1), 0.5), ((0.5, 0, 1), 0.15), ((-0.5, 0, 1), 0.15))
"""Direction and strength of each light."""

_SKY, _GROUND = 0.25, 0.2
"""Ambient light from above and below. All values of this script were chosen by eye."""

_ROWS: Final = {"upper": (MOUTH_PARTS[1], 1), "lower": (MOUTH_PARTS[0], -1)}
"""Part of the head and direction of each row."""


def main() -> None:
    """Renders both rows and stores them."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("head", type=Path, help="head (.npz) converted with --full")
    parser.add_argument("target", type=Path, help="file (.npz) to write")
    arguments = parser.parse_args()
    head = load_avatar(arguments.head)
    rows = {name: make_row(head, part, direction) for name, (part, direction) in _ROWS.items()}
    edges = np.float32([_PX_PER_CM * _LENGTH_CM, _PX_PER_CM * _MARGIN_CM])
    np.savez_compressed(arguments.target, px_per_cm=np.float32(_PX_PER_CM), edges_px=edges, **rows)
    size_kb = arguments.target.stat().st_size // 1000
    logger.info("%s, %d kB", {name: row.shape for name, row in rows.items()}, size_kb)


def make_row(head: Avatar, part: int, direction: int) -> np.ndarray:
    """Returns one row as (height, width, 4) uint8: red, green, blue and coverage.

    The biting edge of the middle teeth is `_MARGIN_CM` from the lower border of an upper row, or from the upper border
    of a lower one.

    Args:
        head: A full head.
        part: The part that holds the row.
        direction: 1 where the teeth point down, -1 where they point up.
    """
    rendered = _render_part(head, part).astype(np.float32)
    luma = rendered @ np.float32(_LUMA)
    coverage = ((luma - _DARK_LEVEL) / (_BRIGHT_LEVEL - _DARK_LEVEL)).clip(0, 1)
    coverage[:, np.abs(np.arange(_RENDER_PX) - _RENDER_PX / 2) > _USED_WIDTH * _RENDER_PX / 2] = 0
    redness = (rendered[..., 0] - rendered[..., 1]) / np.maximum(luma, 1)
    edge = _biting_edge(rendered, luma, direction)
    is_near_edge = direction * (np.arange(_RENDER_PX) - edge)[:, None] > -_GUMS_CM * _RENDER_PX_PER_CM
    softness = ((redness - _TEETH_REDNESS) / (_SOFT_REDNESS - _TEETH_REDNESS)).clip(0, 1)
    coverage *= np.where(is_near_edge, 1 - softness, 1)
    scale = _PX_PER_CM / _RENDER_PX_PER_CM
    width, height = round(2 * _HALF_WIDTH_CM * _PX_PER_CM), round((_LENGTH_CM + _MARGIN_CM) * _PX_PER_CM)
    edge_cm = _LENGTH_CM if direction > 0 else _MARGIN_CM
    shift = [width / 2 - scale * _RENDER_PX / 2, edge_cm * _PX_PER_CM - scale * edge]
    transform = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    layers = np.dstack([rendered * coverage[..., None], coverage * 255])
    blurred = cv2.GaussianBlur(layers, (0, 0), _BLUR_PX / scale)
    small = cv2.warpAffine(blurred, transform, (width, height))
    small[-1 if direction > 0 else 0] = 0  # what is sampled beyond the border repeats this line: nothing
    colours = small[..., :3] / np.maximum(small[..., 3:] / 255, _MIN_COVERAGE)
    return np.rint(np.dstack([colours, small[..., 3]]).clip(0, 255)).astype(np.uint8)


def _biting_edge(rendered: np.ndarray, luma: np.ndarray, direction: int) -> float:
    """Returns the line of the picture at which the middle teeth end: the last one that is mostly bright and not red."""
    middle = slice(round(_MIDDLE[0] * _RENDER_PX), round(_MIDDLE[1] * _RENDER_PX))
    is_tooth = (luma > _BRIGHT_LEVEL) & (rendered[..., 0] - rendered[..., 1] < _EDGE_REDNESS * luma)
    lines = np.flatnonzero(is_tooth[:, middle].mean(axis=1) > 0.5)
    return float(lines.max() if direction > 0 else lines.min())


def _render_part(head: Avatar, part: int) -> Picture:
    """Renders one part of a head alone, from the front, before black."""
    is_part = head.parts == part
    triangles = head.triangles[0][is_part[head.triangles[0]].all(axis=1)]
    alone = dataclasses.replace(head, triangles=(triangles,), textures=head.textures[:1])
    places = head.positions[is_part]
    front = places[places[:, 2] > places[:, 2].max() - _FRONT_M].mean(axis=0)
    aim = np.array([0.0, front[1], front[2]]) - head.face_centre * np.array([0, 1, 1])
    key, left, right = (_light(direction, strength) for direction, strength in _LIGHTS)
    scene = Scene(
        background=np.zeros((4, 4, 3), np.uint8),
        lights=(key, left, right),
        sky=(_SKY,) * 3,
        ground=(_GROUND,) * 3,
        distance_m=_CAMERA_DISTANCE_M,
        eye_share=head.eye_distance_m / _RENDER_WIDTH_M,
        aim=(float(aim[0]), float(aim[1]), float(aim[2])),
    )
    with HeadRenderer(alone, _RENDER_PX) as renderer:
        renderer.set_scene(scene)
        return renderer.render(HeadState())


def _light(direction: tuple[float, float, float], strength: float) -> Light:
    x, y, z = np.array(direction) / np.linalg.norm(direction)
    return Light(direction=(float(x), float(y), float(z)), colour=(strength,) * 3)


if __name__ == "__main__":
    main()
