"""Draws random backgrounds: a plain colour, a gradient, clouds of colour, or a ray-cast room out of focus.

A room is a box with furniture, pictures, windows and lamps: one ray a pixel, the colour of the nearest surface, light
that falls off with distance from one lamp, and the blur of a lens that is focused on the face. The camera is at the
origin; x is to the right, y up, and the back wall at negative z, all in metres. Every number was chosen by eye.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float

from pcavs.types import Picture

_KINDS: Final = ("plain", "gradient", "clouds", "room")
_KIND_SHARES: Final = (0.15, 0.15, 0.2, 0.5)
"""Probability of each kind of background."""

_CLOUD_OCTAVES: Final = range(2, 7)
"""Octaves of the clouds; octave n has 2^n cells a side."""

_CLOUD_LEVELS, _CLOUD_TINT_LEVELS = 45, 9
"""Standard deviation of their brightness, divided by the octave, and of their colour, in grey levels."""

_MAX_NOISE_LEVELS: Final = 2.5
"""Largest standard deviation of the noise on backgrounds that are no rooms."""

_GREY, _COLOUR_LEVELS = (20, 235), 14
"""Range of the brightness of such backgrounds, and mean size of their colour's deviation from grey: mostly muted."""

_ROOM_HALF_WIDTH_M, _ROOM_DEPTH_M, _ROOM_HEIGHT_M, _EYE_HEIGHT_M = (1.5, 4.0), (2.0, 6.0), 2.6, 1.5
"""Ranges of a room's half width and depth, its height, and the camera's height above the floor."""

_NUM_BOXES: Final = (4, 14)
"""Range of the number of boxes in a room, upper end excluded."""

_LAMP_BELOW_CEILING_M, _LAMP_DEPTH = 0.2, (0.2, 0.9)
"""Place of the lamp below the ceiling, and range of its place in depth, as a fraction of the room's."""

_AMBIENT, _LAMP_POWER, _LAMP_SOFTNESS = (0.25, 0.6), (0.5, 1.6), 0.6
"""Ranges of ambient light and of the lamp's power, and the constant that bounds the lamp's light nearby."""

_WHITE_BALANCE_SPREAD: Final = 0.06
"""Standard deviation of the factor on each channel of a room."""

_ROOM_BLUR: Final = (0.003, 0.03)
"""Range of the blur's standard deviation, as a fraction of the side; drawn evenly in logarithms."""

_ROOM_GAMMA, _ROOM_NOISE_LEVELS = 0.6, 1.5
"""Exponent of the tone curve, and standard deviation of the noise."""

_FIELD, _PAN_DEG, _TILT = (0.5, 1.1), (-35, 35), (-0.08, 0.08)
"""Ranges of the picture's width at distance 1, of the camera's direction to the side, and of the horizon's shift."""

_SIDE_SHADE: Final = (0.85, 1.1, 1.0)
"""Brightness of a box's sides that face along x, y and z."""

_SIDE_WALL_SHADE: Final = 0.85
"""Brightness of the side walls relative to the back wall."""

_FLOOR_SHADE, _CEILING = 0.8, (0.7, 0.95)
"""Brightness of the floor's colour, and range of the ceiling's grey."""

_BOARDS_PER_M, _PAPER_STRIPES_PER_M = (3, 9), (0.0, 0.0, 4.0, 11.0)
"""Range of the floor boards' number, and the choices for the wallpaper's stripes (0: plain), per metre."""

_STRIPE_DEPTH_SCALE: Final = 0.37
"""Distance along z that counts as one along x, so that stripes run across the room at an angle."""

_STRIPE_SHADE: Final = (0.92, 0.16)
"""Least brightness of a stripe and range above it."""

_SINE_HASH: Final = (12.9898, 43758.5453)
"""Frequency and amplitude of the sine that gives a pseudo-random number for each stripe: common values in shaders."""

_FAR_M, _PATTERN_FAR_M = 40.0, 20.0
"""Distance of rays that hit nothing, and largest distance at which patterns are computed."""

_NEAR_M: Final = 0.3
"""Boxes nearer than this are not seen."""

_MIN_DIRECTION: Final = 1e-6
"""Replaces components of directions that are almost 0, by which distances are divided."""

_BOX_KINDS: Final = ("cupboard", "picture", "window", "lamp")
_BOX_SHARES: Final = (0.45, 0.3, 0.1, 0.15)
"""Probability of each kind of box."""

_CUPBOARD_WIDTH_M, _CUPBOARD_HEIGHT_M, _CUPBOARD_DEPTH_M = (0.3, 1.4), (0.4, 2.1), (0.3, 0.6)
_CUPBOARD_STRIPES_PER_M, _CUPBOARD_FRONT_M = (0.0, 3.0, 8.0), -1.2
"""Sizes of a cupboard, its choices of stripes, and the z up to which its front reaches."""

_LAMP_HEIGHT_M, _LAMP_SIZE_M, _LAMP_FRONT_M = (-0.6, 0.8), (0.08, 0.25), -1.0
_LAMP_COLOUR, _LAMP_GLOW = (1.0, 0.93, 0.8), 1.3
"""Place, size, colour and brightness of a lamp that is seen."""

_FRAME_SIZE_M, _FRAME_HEIGHT_M, _FRAME_DEPTH_M, _PICTURE_STRIPES_PER_M = (0.3, 1.3), (-0.5, 0.6), 0.05, 6.0
_WINDOW_COLOUR, _WINDOW_GLOW = (0.85, 0.93, 1.0), 1.15
"""Size, place and depth of pictures and windows, the pattern of pictures, and colour and brightness of windows."""

_SURFACE_GREY, _SURFACE_COLOUR, _SURFACE_RANGE = (0.15, 0.85), 0.06, (0.03, 1.0)
"""Range of the brightness of surfaces, mean size of their colour's deviation from grey, and range of the result."""


class _Box(NamedTuple):
    low: Float[np.ndarray, "3"]
    high: Float[np.ndarray, "3"]
    colour: Float[np.ndarray, "3"]
    glow: float
    """Least light on it; above the room's light for lamps and windows."""
    stripes_per_m: float
    """Pattern on its sides; 0 for plain."""


def random_background(size_px: int, random: np.random.Generator) -> Picture:
    """Draws a background of a random kind."""
    kind = random.choice(_KINDS, p=_KIND_SHARES)
    if kind == "room":
        return random_room(size_px, random)
    base = _muted_colour(random)
    canvas = np.ones((size_px, size_px, 3)) * base
    if kind == "gradient":
        angle = random.uniform(0, 2 * np.pi)
        y, x = np.mgrid[0:size_px, 0:size_px] / size_px
        weight = np.clip(0.5 + (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle), 0, 1)[..., None]
        canvas = canvas * (1 - weight) + _muted_colour(random) * weight
    elif kind == "clouds":
        for octave in _CLOUD_OCTAVES:
            brightness = random.normal(0, _CLOUD_LEVELS / octave, (2**octave, 2**octave, 1))
            coarse = brightness + random.normal(0, _CLOUD_TINT_LEVELS, (1, 1, 3))
            canvas = canvas + cv2.resize(coarse.astype(np.float32), (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    noise = random.normal(0, random.uniform(0, _MAX_NOISE_LEVELS), canvas.shape)
    return np.clip(canvas + noise, 0, 255).astype(np.uint8)


def random_room(size_px: int, random: np.random.Generator) -> Picture:
    """Draws a room."""
    width, height, depth = random.uniform(*_ROOM_HALF_WIDTH_M), _ROOM_HEIGHT_M, random.uniform(*_ROOM_DEPTH_M)
    low, high = np.array([-width, -_EYE_HEIGHT_M, 0.0]), np.array([width, height - _EYE_HEIGHT_M, -depth])
    boxes = [_random_box(low, high, random) for _ in range(int(random.integers(*_NUM_BOXES)))]
    lamp_x, lamp_y = random.uniform(-1, 1) * width, high[1] - _LAMP_BELOW_CEILING_M
    lamp = np.array([lamp_x, lamp_y, -random.uniform(*_LAMP_DEPTH) * depth])
    directions = _ray_directions(size_px, random)
    distance, colour = _hit_walls(directions, low, high, random)
    glow = np.zeros(distance.shape)
    for box in boxes:
        box_distance, axis = _hit_box(directions, box)
        is_nearer = box_distance < distance
        place = directions * np.minimum(box_distance, _PATTERN_FAR_M)[..., None]
        shade = np.array(_SIDE_SHADE)[axis][..., None] * _stripes(place, box.stripes_per_m)[..., None]
        colour = np.where(is_nearer[..., None], box.colour * shade, colour)
        glow = np.where(is_nearer, box.glow, glow)
        distance = np.where(is_nearer, box_distance, distance)
    to_lamp = np.linalg.norm(directions * distance[..., None] - lamp, axis=-1)
    light = random.uniform(*_AMBIENT) + random.uniform(*_LAMP_POWER) / (_LAMP_SOFTNESS + to_lamp**2)
    balance = 1 + random.normal(0, _WHITE_BALANCE_SPREAD, 3)
    picture = colour * np.maximum(light, glow)[..., None] * balance
    least, most = _ROOM_BLUR
    blur_px = size_px * float(np.exp(random.uniform(np.log(least), np.log(most))))
    blurred = cv2.GaussianBlur(np.ascontiguousarray(picture, np.float32), (0, 0), blur_px)
    levels = np.clip(blurred, 0, 1) ** _ROOM_GAMMA * 255
    return np.clip(levels + random.normal(0, _ROOM_NOISE_LEVELS, blurred.shape), 0, 255).astype(np.uint8)


def _ray_directions(size_px: int, random: np.random.Generator) -> Float[np.ndarray, "side side 3"]:
    """Returns the direction of each pixel's ray, of length 1 along the camera's axis, which points a little aside."""
    y, x = np.mgrid[0:size_px, 0:size_px] / (size_px - 1) - 0.5
    field, pan = random.uniform(*_FIELD), np.radians(random.uniform(*_PAN_DEG))
    x, y, z = x * field, -y * field + random.uniform(*_TILT), -np.ones_like(x)
    turned = np.stack([x * np.cos(pan) - z * np.sin(pan), y, x * np.sin(pan) + z * np.cos(pan)], axis=-1)
    return np.where(np.abs(turned) < _MIN_DIRECTION, _MIN_DIRECTION, turned)


def _hit_walls(
    directions: Float[np.ndarray, "side side 3"],
    low: Float[np.ndarray, "3"],
    high: Float[np.ndarray, "3"],
    random: np.random.Generator,
) -> tuple[Float[np.ndarray, "side side"], Float[np.ndarray, "side side 3"]]:
    """Returns distance and colour of floor, ceiling and walls along each ray."""
    reach = np.where(directions > 0, np.maximum(low, high) / directions, np.minimum(low, high) / directions)
    # There is no wall behind the camera.
    reach = np.where(reach <= 0, _FAR_M, reach)
    axis = reach.argmin(axis=-1)
    distance = reach.min(axis=-1)
    wall, floor = _surface_colour(random), _surface_colour(random) * _FLOOR_SHADE
    ceiling = np.full(3, random.uniform(*_CEILING))
    place = directions * distance[..., None]
    is_below = directions[..., 1] < 0
    boards = _stripes(place, random.uniform(*_BOARDS_PER_M))[..., None]
    paper = _stripes(place, float(random.choice(_PAPER_STRIPES_PER_M)))[..., None]
    colour = np.where((axis == 1)[..., None], np.where(is_below[..., None], floor * boards, ceiling), wall * paper)
    return distance, colour * np.where(axis == 0, _SIDE_WALL_SHADE, 1.0)[..., None]


def _random_box(low: Float[np.ndarray, "3"], high: Float[np.ndarray, "3"], random: np.random.Generator) -> _Box:
    """Draws a cupboard on the floor, a picture or a window on the back wall, or a lamp."""
    kind = random.choice(_BOX_KINDS, p=_BOX_SHARES)
    x = random.uniform(low[0], high[0])
    if kind == "cupboard":
        width, height = random.uniform(*_CUPBOARD_WIDTH_M), random.uniform(*_CUPBOARD_HEIGHT_M)
        depth = random.uniform(*_CUPBOARD_DEPTH_M)
        least = high[2] + depth
        front = random.uniform(least, _CUPBOARD_FRONT_M) if least < _CUPBOARD_FRONT_M else least
        corner = np.array([x, low[1], front - depth])
        far = corner + np.array([width, height, depth])
        return _Box(corner, far, _surface_colour(random), 0.0, random.choice(_CUPBOARD_STRIPES_PER_M))
    if kind == "lamp":
        corner = np.array([x, random.uniform(*_LAMP_HEIGHT_M), random.uniform(high[2], _LAMP_FRONT_M)])
        return _Box(corner, corner + random.uniform(*_LAMP_SIZE_M), np.array(_LAMP_COLOUR), _LAMP_GLOW, 0.0)
    width, height = random.uniform(*_FRAME_SIZE_M, 2)
    corner = np.array([x, random.uniform(*_FRAME_HEIGHT_M), high[2]])
    far = corner + np.array([width, height, _FRAME_DEPTH_M])
    if kind == "window":
        return _Box(corner, far, np.array(_WINDOW_COLOUR), _WINDOW_GLOW, 0.0)
    return _Box(corner, far, _surface_colour(random), 0.0, _PICTURE_STRIPES_PER_M)


def _hit_box(
    directions: Float[np.ndarray, "side side 3"], box: _Box
) -> tuple[Float[np.ndarray, "side side"], np.ndarray]:
    """Returns the distance at which each ray enters a box (`_FAR_M` where it does not), and the axis of that side."""
    one, other = box.low / directions, box.high / directions
    enter, leave = np.minimum(one, other), np.maximum(one, other).min(axis=-1)
    first = enter.max(axis=-1)
    return np.where((first > _NEAR_M) & (first < leave), first, _FAR_M), enter.argmax(axis=-1)


def _stripes(place: Float[np.ndarray, "side side 3"], stripes_per_m: float) -> Float[np.ndarray, "side side"]:
    """Returns the brightness of boards or wallpaper, which changes at random from stripe to stripe."""
    if stripes_per_m <= 0:
        return np.ones(place.shape[:2])
    number = np.floor((place[..., 0] + _STRIPE_DEPTH_SCALE * place[..., 2]) * stripes_per_m)
    least, spread = _STRIPE_SHADE
    # The fractional part of a large multiple of a sine: the usual hash of shaders.
    frequency, amplitude = _SINE_HASH
    return least + spread * np.modf(np.abs(np.sin(number * frequency) * amplitude))[0]


def _surface_colour(random: np.random.Generator) -> Float[np.ndarray, "3"]:
    """Draws a muted linear colour, as walls, wood and cloth have."""
    grey = random.uniform(*_SURFACE_GREY)
    return np.clip(grey + random.normal(0, 1, 3) * random.exponential(_SURFACE_COLOUR), *_SURFACE_RANGE)


def _muted_colour(random: np.random.Generator) -> Float[np.ndarray, "3"]:
    """Draws a muted colour in grey levels, 0 to 255."""
    grey = random.uniform(*_GREY)
    return np.clip(grey + random.normal(0, 1, 3) * random.exponential(_COLOUR_LEVELS), 0, 255)
