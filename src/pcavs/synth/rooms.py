"""Photographs of rooms that do not exist: rays into a box with a window, lamps, pictures and furniture.

One ray a pixel, nearest surface, light falling off with distance, then the blur of a lens that is focused on a face.
"""

from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from pcavs.types import Picture


class _Box(NamedTuple):
    low: Float[np.ndarray, "3"]
    high: Float[np.ndarray, "3"]
    colour: Float[np.ndarray, "3"]
    glow: float
    grain: float
    """Stripes a metre on its surfaces; 0 for plain."""


def room_photograph(size_px: int, random: np.random.Generator) -> Picture:
    """Draws one room, seen from a metre and a half above its floor."""
    side = np.array([random.uniform(1.5, 4.0), 2.6, random.uniform(2.0, 6.0)])
    low, high = np.array([-side[0], -1.5, 0.0]), np.array([side[0], side[1] - 1.5, -side[2]])
    boxes = [_furniture(low, high, random) for _ in range(int(random.integers(4, 14)))]
    lamp = np.array([random.uniform(-1, 1) * side[0], high[1] - 0.2, -random.uniform(0.2, 0.9) * side[2]])
    directions = _rays(size_px, random)
    distance, colour = _walls(directions, low, high, random)
    glow = np.zeros(distance.shape)
    for box in boxes:
        reach, side_seen = _hit(directions, box)
        nearer = reach < distance
        place = directions * np.minimum(reach, 20.0)[..., None]
        shade = np.array([0.85, 1.1, 1.0])[side_seen][..., None] * _stripes(place, box.grain)[..., None]
        colour = np.where(nearer[..., None], box.colour * shade, colour)
        glow = np.where(nearer, box.glow, glow)
        distance = np.where(nearer, reach, distance)
    away = np.linalg.norm(directions * distance[..., None] - lamp, axis=-1)
    light = random.uniform(0.25, 0.6) + random.uniform(0.5, 1.6) / (0.6 + away**2)
    picture = colour * np.maximum(light, glow)[..., None] * (1 + random.normal(0, 0.06, 3))
    sharpness = size_px * float(np.exp(random.uniform(np.log(0.003), np.log(0.03))))
    lit = cv2.GaussianBlur(np.ascontiguousarray(picture, np.float32), (0, 0), sharpness)
    shown = np.clip(lit, 0, 1) ** 0.6 * 255
    return np.clip(shown + random.normal(0, 1.5, lit.shape), 0, 255).astype(np.uint8)


def _rays(size_px: int, random: np.random.Generator) -> Float[np.ndarray, "side side 3"]:
    """Directions of the pixels, scaled to depth 1; the camera looks a little to one side."""
    y, x = np.mgrid[0:size_px, 0:size_px] / (size_px - 1) - 0.5
    spread, turn = random.uniform(0.5, 1.1), np.radians(random.uniform(-35, 35))
    x, y, z = x * spread, -y * spread + random.uniform(-0.08, 0.08), -np.ones_like(x)
    turned = np.stack([x * np.cos(turn) - z * np.sin(turn), y, x * np.sin(turn) + z * np.cos(turn)], axis=-1)
    return np.where(np.abs(turned) < 1e-6, 1e-6, turned)


def _walls(
    directions: Float[np.ndarray, "side side 3"],
    low: Float[np.ndarray, "3"],
    high: Float[np.ndarray, "3"],
    random: np.random.Generator,
) -> tuple[Float[np.ndarray, "side side"], Float[np.ndarray, "side side 3"]]:
    """Distance and colour of floor, ceiling and walls."""
    reach = np.where(directions > 0, np.maximum(low, high) / directions, np.minimum(low, high) / directions)
    # Behind the camera the room goes on.
    reach = np.where(reach <= 0, 40.0, reach)
    axis = reach.argmin(axis=-1)
    distance = reach.min(axis=-1)
    wall, floor, ceiling = _colour(random), _colour(random) * 0.8, np.full(3, random.uniform(0.7, 0.95))
    place = directions * distance[..., None]
    below = directions[..., 1] < 0
    boards = _stripes(place, random.uniform(3, 9))[..., None]
    paper = _stripes(place, float(random.choice([0.0, 0.0, 4.0, 11.0])))[..., None]
    colour = np.where((axis == 1)[..., None], np.where(below[..., None], floor * boards, ceiling), wall * paper)
    return distance, colour * np.where(axis == 0, 0.85, 1.0)[..., None]


def _furniture(low: Float[np.ndarray, "3"], high: Float[np.ndarray, "3"], random: np.random.Generator) -> _Box:
    """A cupboard on the floor, a picture or a window on the back wall, or a lamp."""
    kind = random.choice(["cupboard", "picture", "window", "lamp"], p=[0.45, 0.3, 0.1, 0.15])
    x = random.uniform(low[0], high[0])
    if kind == "cupboard":
        width, height, depth = random.uniform(0.3, 1.4), random.uniform(0.4, 2.1), random.uniform(0.3, 0.6)
        back = random.uniform(high[2] + depth, -1.2) if high[2] + depth < -1.2 else high[2] + depth
        corner = np.array([x, low[1], back - depth])
        far = corner + np.array([width, height, depth])
        return _Box(corner, far, _colour(random), 0.0, random.choice([0.0, 3.0, 8.0]))
    if kind == "lamp":
        corner = np.array([x, random.uniform(-0.6, 0.8), random.uniform(high[2], -1.0)])
        return _Box(corner, corner + random.uniform(0.08, 0.25), np.array([1.0, 0.93, 0.8]), 1.3, 0.0)
    width, height = random.uniform(0.3, 1.3, 2)
    corner = np.array([x, random.uniform(-0.5, 0.6), high[2]])
    bright = kind == "window"
    colour = np.array([0.85, 0.93, 1.0]) if bright else _colour(random)
    far = corner + np.array([width, height, 0.05])
    return _Box(corner, far, colour, 1.15 if bright else 0.0, 0.0 if bright else 6.0)


def _hit(directions: Float[np.ndarray, "side side 3"], box: _Box) -> tuple[Float[np.ndarray, "side side"], np.ndarray]:
    """Where each ray from the origin enters a box (40 where it does not), and which axis that side faces."""
    one, other = box.low / directions, box.high / directions
    enter, leave = np.minimum(one, other), np.maximum(one, other).min(axis=-1)
    first = enter.max(axis=-1)
    return np.where((first > 0.3) & (first < leave), first, 40.0), enter.argmax(axis=-1)


def _stripes(place: Float[np.ndarray, "side side 3"], a_metre: float) -> Float[np.ndarray, "side side"]:
    """Boards and wallpaper: brightness that changes from stripe to stripe."""
    if a_metre <= 0:
        return np.ones(place.shape[:2])
    number = np.floor((place[..., 0] + 0.37 * place[..., 2]) * a_metre)
    return 0.92 + 0.16 * np.modf(np.abs(np.sin(number * 12.9898) * 43758.5453))[0]


def _colour(random: np.random.Generator) -> Float[np.ndarray, "3"]:
    return np.clip(random.uniform(0.15, 0.85) + random.normal(0, 1, 3) * random.exponential(0.06), 0.03, 1.0)
