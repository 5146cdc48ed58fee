"""Turns one eye of a photograph, and opens it wider.

The eyeball that lies behind the lids is reconstructed once for each photograph: the white is continued under the iris,
and the iris under the lids, both from the pixels that the photograph shows. In each frame the iris is put where the
gaze wants it, in the shadow of the upper lid, and the result is drawn inside the opening of the lids, whose own pixels
stay as they are. The iris is moved as a whole, so it keeps its texture and stays round; turned far, it is foreshortened
as the front of a ball is. The reflection of a lamp is taken off the iris and moves half as far. For wide eyes the upper
lid is moved up, and the skin above it is compressed.

All lengths without a unit are in eye widths (corner to corner). All numbers without another reason were chosen by eye,
on 12 photographs at 512 and 1024 pixels.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from pcavs.head.eyelid import Colours, Columns, EyeShape, Values, blurred, odd, ramp

_EYEBALL: Final = 2.05
"""Radius of the eyeball, in radii of the iris: 12 mm and 5.85 mm. Both hardly differ between adults."""
_SEARCH: Final = (0.3, 9, (0.85, 0.92, 1.0, 1.08, 1.16))
"""How the iris is searched: up to how many of its radii from the landmarks, in how many steps, and with which sizes."""
_SEARCH_PRIOR: Final = 0.25
"""Weight of the distance from the landmarks against the contrast of the iris' edge."""
_RIM_STEP: Final = 0.14
"""Distance inside and outside of the iris' edge, in its radii, at which the contrast of the edge is measured."""
_RIM_ANGLE_DEG: Final = 50.0
"""Angles from the horizontal up to which the iris' edge is seen: above and below are the lids."""
_REST_DEPTH: Final = 0.1
"""How far below the lower lid's landmarks the iris may reach: they often lie too high."""
_REST_SMOOTHING: Final = 0.08
"""Gaussian blur of that depth, across the eye."""
_REST_DARKNESS: Final = 0.5
"""Where between the luma of the iris' lower edge and that of the skin below it a pixel still belongs to the iris."""
_LEAST_IRIS: Final = 0.12
"""Radius of the iris below which an eye is left alone."""
_SHADE_DEPTH: Final = 0.22
"""Depth below the upper lid to which its shadow reaches."""
_SHADE_LIMITS: Final = (0.45, 1.0)
"""Darkest and lightest shadow of the upper lid."""
_SHADE_ROWS: Final = 8
"""Depths at which that shadow is measured."""
_UPPER_INSET: Final = (0.01, 0.07)
"""Depth below the upper lid's edge from which the eyeball is drawn: lashes and the wet rim stay. Begun and complete."""
_LOWER_INSET: Final = (-0.015, 0.02)
"""The same above the lower lid's edge."""
_LASH_INSET: Final = 0.075
"""Depth below the upper lid's edge down to which lashes and shadow spoil the pixels of the eye."""
_LIMBUS: Final = (0.96, 1.10)
"""Distance from the centre of the iris, in its radii, over which it fades into the white."""
_WHITE_FROM: Final = 1.18
"""The same distance, from which the white is not tinted by the iris."""
_WHITE_LUMA: Final = (0.55, 0.75)
"""Luma, relative to that of the brightest white, from which a pixel counts as white, and from which fully."""
_WHITE_PERCENTILE: Final = 90
"""Percentile of the luma beside the iris that counts as that of the brightest white."""
_WHITE_SCALES: Final = (0.6, 0.25, 0.1)
"""Standard deviations of the Gaussians that continue the white, coarse to fine."""
_REACHED: Final = (0.02, 0.35)
"""Share of white under a Gaussian from which its mean counts, and from which fully."""
_LEAST: Final = 1e-4
"""Keeps a division from 0."""
_MIRRORED: Final = (0.85, 1.12)
"""Least and largest brightness of mirrored pixels of the iris, relative to the mean at their distance from its centre:
a second reflection of a lamp, or lashes, would be seen."""
_LAMP_SIZE: Final = 0.55
"""Size, in radii of the iris, up to which a bright spot on it is the reflection of a lamp or window."""
_LAMP_CONTRAST: Final = 0.35
"""How much brighter than the iris around it such a spot is, relative to the brightest white."""
_LAMP_REACH: Final = 0.88
"""Distance from the centre of the iris, in its radii, up to which it lies: beyond, it may be white."""
_LAMP_HALO: Final = 0.14
"""Width of the halo around it, in radii of the iris."""
_LAMP_SHARE: Final = 0.16
"""Share of the iris that all such spots cover at most; more is a sky or a pale iris, which moves as before."""
_LAMP_MOTION: Final = 0.55
"""How far the reflection moves with the iris. It is seen near the centre of the cornea's curvature, 5.7 mm in front of
the point about which the eye turns, and the iris lies 10 mm in front of it (Gullstrand's eye)."""
_RINGS: Final = 24
"""Distances from the centre at which the mean colour of the iris is measured."""
_MOST_WIDE: Final = 0.09
"""Largest motion of the upper lid of wide eyes."""
_LID_ROOM: Final = 0.34
"""Height above the upper lid over which the skin is compressed when the lid moves up."""
_LID_TO_BROW: Final = 0.8
"""The same height at the most, relative to the distance of the brow."""

LARGEST_GAZE_DEG: Final = (35.0, 25.0)
"""Largest turn of the eyes to a side, and up or down: eyes are not turned further than this for long."""


class Eyeball(NamedTuple):
    """An eye whose iris can be moved, in the pixels of a box around it."""

    shape: EyeShape
    photo: Colours
    """The photograph."""
    white: Colours
    """The white of the whole eyeball, without the shadow of the lid."""
    iris: Colours
    """The iris, complete, without that shadow and without reflections of lamps."""
    lamp: Colours
    """What those reflections add to it."""
    opacity: Values
    """Opacity of the iris."""
    shade: Float32[np.ndarray, " depths"]
    """Shadow of the upper lid at equal steps of depth below its edge, down to `_SHADE_DEPTH`; 1 is none."""
    centre_px: Float[np.ndarray, "2"]
    """Centre of the iris, x and y."""
    radius_px: float
    """Radius of the iris."""
    axes: Float[np.ndarray, "2 2"]
    """Rows: where a turn to the picture's right, and one up, move the iris, in x and y: the head may lean."""

    def shift_px(self, gaze_deg: Float[np.ndarray, "2"]) -> Float[np.ndarray, "2"]:
        """Returns how far a gaze moves the iris, in x and y. The gaze is relative to that of the photograph."""
        return self.radius_px * _EYEBALL * np.sin(np.radians(gaze_deg)) @ self.axes


def reconstruct_eye(
    picture: UInt8[np.ndarray, "rows columns 3"],
    shape: EyeShape,
    iris: Float[np.ndarray, "5 2"],
    roll_deg: float,
) -> Eyeball | None:
    """Reconstructs the eyeball behind the lids; None where the iris is not seen well enough. Takes 10 ms at 512 pixels.

    Args:
        picture: The box around the eye, `shape.box` of the photograph.
        shape: Outline of the eye.
        iris: Centre of the iris and four points of its edge, in pixels of the box.
        roll_deg: How far the head leans clockwise.
    """
    photo = picture.astype(np.float32)
    luma = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    centre, radius = _find_iris(luma, shape, iris)
    if radius < _LEAST_IRIS * shape.width_px:
        return None
    distance = _distance(photo.shape[:2], centre, radius)
    shape = _with_lower_edge(luma, shape, distance)
    open_ = _opening(shape)
    seen = open_ * ramp(-shape.above(), _LASH_INSET / 2, _LASH_INSET)
    beside = (distance > _WHITE_FROM) & (seen > 0.5)
    brightest = float(np.percentile(luma[beside], _WHITE_PERCENTILE)) if beside.any() else float(luma.max())
    is_white = seen * ramp(distance, _WHITE_FROM - 0.08, _WHITE_FROM) * ramp(luma / max(brightest, 1), *_WHITE_LUMA)
    shade = _lid_shade(luma, shape, open_ * (distance > _WHITE_FROM), brightest)
    bare = photo / _at_depth(shade, -shape.above())[..., None]
    white = _continued(bare, is_white, shape.width_px)
    known = np.minimum(is_white * 2, 1)[..., None]
    white += (bare - white) * known
    turned = np.radians(roll_deg)
    lamp_share = _lamp_share(luma, seen, distance, radius, brightest)
    whole = _whole_iris(bare, seen * (1 - lamp_share), distance, centre)
    return Eyeball(
        shape=shape,
        photo=photo,
        white=white,
        iris=whole,
        lamp=np.maximum(bare - whole, 0) * (seen * (lamp_share > 0))[..., None],
        opacity=1 - ramp(distance, *_LIMBUS),
        shade=shade,
        centre_px=centre,
        radius_px=radius,
        axes=np.array([[np.cos(turned), np.sin(turned)], [np.sin(turned), -np.cos(turned)]]),
    )


def turn_eye(eye: Eyeball, shift_px: Float[np.ndarray, "2"], wide: float) -> UInt8[np.ndarray, "rows columns 3"]:
    """Returns the box around an eye with its iris moved and its upper lid raised.

    Args:
        eye: The eye.
        shift_px: How far the iris moves, in x and y.
        wide: How far the lid is raised, 0 (as it is) to 1.
    """
    shape, rows = eye.shape, eye.shape.rows()
    raised = _raise_px(eye, wide)
    x, y = _grid(eye.photo.shape[:2])
    lids = eye.photo
    if wide > 0:
        room = np.maximum(np.minimum(_LID_ROOM * shape.width_px, _LID_TO_BROW * (shape.upper - shape.brow)), 1 + raised)
        top, edge = shape.upper - room, shape.upper - raised
        squeezed = top + (rows - top) * (room / (room - raised))
        stays = ramp((rows - edge) / np.float32(shape.width_px), 0.0, 0.12)  # the lower part of the eye's surroundings
        source = np.where(rows < top, rows, squeezed)
        source = np.where(rows > edge, shape.upper + (rows - edge), source)
        source = (source + (rows - source) * stays).astype(np.float32)
        lids = cv2.remap(eye.photo, x, source, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    lifted = shape._replace(upper=shape.upper - raised)
    depth = -lifted.above()
    drawn = _opening(lifted)
    iris = _moved(eye.iris, eye, shift_px, x, y)
    if eye.lamp.any():
        iris += _moved(eye.lamp, eye, shift_px * _LAMP_MOTION, x, y)
    ball = eye.white + (iris - eye.white) * _moved(eye.opacity, eye, shift_px, x, y)[..., None]
    ball *= _at_depth(eye.shade, depth)[..., None]
    return np.asarray(cv2.convertScaleAbs(lids + (ball - lids) * drawn[..., None]), np.uint8)


def _raise_px(eye: Eyeball, wide: float) -> Columns:
    """Returns how far the upper lid is raised in each column."""
    across = eye.shape.across.clip(0, 1)
    bow = np.sqrt(np.maximum(1 - (2 * across - 1) ** 2, 0))
    return np.asarray(wide * _MOST_WIDE * eye.shape.width_px * bow, np.float32)


def _grid(shape: tuple[int, int]) -> tuple[Values, Values]:
    x, y = np.meshgrid(np.arange(shape[1], dtype=np.float32), np.arange(shape[0], dtype=np.float32))
    return x, y


def _moved(values: np.ndarray, eye: Eyeball, shift_px: Float[np.ndarray, "2"], x: Values, y: Values) -> np.ndarray:
    """Moves what belongs to the iris, foreshortened along its way as the front of a ball is."""
    share = float(np.hypot(*shift_px)) / (eye.radius_px * _EYEBALL)
    narrow = float(np.sqrt(max(1 - share**2, 0.25)))
    way = shift_px / max(float(np.hypot(*shift_px)), _LEAST)
    dx, dy = x - np.float32(eye.centre_px[0] + shift_px[0]), y - np.float32(eye.centre_px[1] + shift_px[1])
    along = dx * np.float32(way[0]) + dy * np.float32(way[1])
    more = along * np.float32(1 / narrow - 1)
    columns = np.float32(eye.centre_px[0]) + dx + more * np.float32(way[0])
    rows = np.float32(eye.centre_px[1]) + dy + more * np.float32(way[1])
    return cv2.remap(values, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


def _opening(shape: EyeShape) -> Values:
    """Returns where the eyeball is drawn, 0 to 1: between the lids, without lashes and rims."""
    inside = ramp(-shape.above(), *_UPPER_INSET) * ramp(-shape.below(), *_LOWER_INSET)
    between = (shape.across > 0) & (shape.across < 1)
    return (inside * between).astype(np.float32)


def _distance(shape: tuple[int, int], centre: Float[np.ndarray, "2"], radius: float) -> Values:
    """Returns the distance of each pixel from the centre of the iris, in its radii."""
    x, y = _grid(shape)
    return (np.hypot(x - centre[0], y - centre[1]) / radius).astype(np.float32)


def _find_iris(luma: Values, shape: EyeShape, iris: Float[np.ndarray, "5 2"]) -> tuple[Float[np.ndarray, "2"], float]:
    """Finds the iris near its landmarks: the circle with the greatest contrast, dark inside and bright outside."""
    given_px = float(np.linalg.norm(iris[1:] - iris[0], axis=1).max())
    reach, steps, sizes = _SEARCH
    moves = np.linspace(-reach, reach, steps)
    dx, dy, size = (each.ravel() for each in np.meshgrid(moves, moves, sizes))
    arc = np.radians(np.linspace(-_RIM_ANGLE_DEG, _RIM_ANGLE_DEG, 21))
    angles = np.concatenate([arc, arc + np.pi])
    ways = np.stack([np.cos(angles), np.sin(angles)], axis=-1)
    centres = iris[0] + given_px * np.stack([dx, dy], axis=-1)
    smooth = blurred(luma, 0.06 * given_px + 0.5)

    def at(share: float) -> tuple[np.ndarray, np.ndarray]:
        points = (centres[:, None] + (share * given_px * size)[:, None, None] * ways).astype(np.float32)
        values = cv2.remap(smooth, points[..., 0], points[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        inside = cv2.remap(
            _opening(shape), points[..., 0], points[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
        )
        return values, inside

    (inner, inner_seen), (outer, outer_seen) = at(1 - _RIM_STEP), at(1 + _RIM_STEP)
    seen = np.minimum(inner_seen, outer_seen)
    contrast = ((outer - inner) * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), len(angles) / 4)
    scale = max(float(contrast.max()), 1.0)
    far = np.hypot(dx, dy) / reach + np.abs(np.log(size)) / np.log(sizes[-1])
    best = int((contrast / scale - _SEARCH_PRIOR * far).argmax())
    return centres[best], float(given_px * size[best])


def _with_lower_edge(luma: Values, shape: EyeShape, distance: Values) -> EyeShape:
    """Moves the lower lid's edge down to the end of the iris: a rest of it would stay when it is moved."""
    below = shape.below()
    iris, skin = (
        (distance < 1) & (below < 0) & (below > -_REST_DEPTH),
        (below > _REST_DEPTH) & (below < 2 * _REST_DEPTH),
    )
    columns = (iris.sum(axis=0) > 0) & (skin.sum(axis=0) > 0)
    if not columns.any():
        return shape
    dark = (luma * iris).sum(axis=0) / np.maximum(iris.sum(axis=0), 1)
    bright = (luma * skin).sum(axis=0) / np.maximum(skin.sum(axis=0), 1)
    rest = (below >= 0) & (below < _REST_DEPTH / 2) & (distance < _LIMBUS[1]) & columns
    rest &= luma < dark + _REST_DARKNESS * (bright - dark)
    extended = blurred(rest.sum(axis=0)[None].astype(np.float32), _REST_SMOOTHING * shape.width_px)[0]
    return shape._replace(lower=shape.lower + extended)


def _lid_shade(luma: Values, shape: EyeShape, white: Values, brightest: float) -> Float32[np.ndarray, " depths"]:
    """Measures the shadow of the upper lid on the white, at equal steps of depth; it never lightens upwards."""
    depth = -shape.above() / _SHADE_DEPTH * (_SHADE_ROWS - 1)
    shade = np.ones(_SHADE_ROWS, np.float32)
    for row in range(_SHADE_ROWS):
        near = white * np.maximum(1 - np.abs(depth - row), 0)
        if near.sum() > 2:
            shade[row] = float((luma * near).sum() / near.sum()) / max(brightest, 1)
    shade = (shade / max(float(shade.max()), _LEAST)).clip(*_SHADE_LIMITS)
    for row in range(_SHADE_ROWS - 2, -1, -1):
        shade[row] = min(shade[row], shade[row + 1])
    return shade


def _at_depth(shade: Float32[np.ndarray, " depths"], depth: Values) -> Values:
    """Returns the shadow of the upper lid at depths below its edge."""
    steps = np.linspace(0, _SHADE_DEPTH, _SHADE_ROWS)
    return np.interp(depth, steps, shade).astype(np.float32)


def _continued(photo: Colours, weight: Values, width_px: float) -> Colours:
    """Continues the white over the whole box: normalised convolution from coarse to fine."""
    weight = weight.astype(np.float32)
    total = float(weight.sum())
    mean = (photo * weight[..., None]).sum(axis=(0, 1)) / total if total > 1 else photo.max(axis=(0, 1))
    filled = np.broadcast_to(np.asarray(mean, np.float32), photo.shape).copy()
    for scale in _WHITE_SCALES:
        reached = blurred(weight, scale * width_px)[..., None]
        near = blurred(photo * weight[..., None], scale * width_px) / np.maximum(reached, np.float32(_LEAST))
        filled += (near - filled) * ramp(reached, *_REACHED)
    return filled


def _lamp_share(luma: Values, seen: Values, distance: Values, radius_px: float, brightest: float) -> Values:
    """Returns where the reflection of a lamp or window is seen on the iris, 0 to 1: small bright spots."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (odd(_LAMP_SIZE * radius_px),) * 2)
    contrast = cv2.morphologyEx(luma, cv2.MORPH_TOPHAT, disc)
    spots = (contrast > _LAMP_CONTRAST * brightest) & (distance < _LAMP_REACH) & (seen > 0.5)
    if not 0 < np.count_nonzero(spots) <= _LAMP_SHARE * np.pi * radius_px**2:
        return np.zeros_like(luma)
    halo = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (odd(2 * _LAMP_HALO * radius_px),) * 2)
    grown = cv2.dilate(spots.astype(np.float32), halo)
    return np.minimum(2 * blurred(grown, _LAMP_HALO / 2 * radius_px), 1)  # whole up to the edge of what was grown


def _whole_iris(bare: Colours, seen: Values, distance: Values, centre: Float[np.ndarray, "2"]) -> Colours:
    """Completes the iris behind the lids: from its lower half, or else from the mean colours around its centre."""
    ring = (distance * (_RINGS / 1.3)).clip(0, _RINGS - 1)
    index, weight = ring.astype(int).ravel(), seen.ravel().astype(np.float64)
    total = np.bincount(index, weight, _RINGS)
    known = np.flatnonzero(total > 0.5)
    if not len(known):
        return bare
    colours = np.stack(
        [
            np.interp(ring, known, np.bincount(index, weight * bare[..., n].ravel(), _RINGS)[known] / total[known])
            for n in range(3)
        ],
        axis=-1,
    ).astype(np.float32)
    x, y = _grid(distance.shape)
    mirrored_rows = np.float32(2 * centre[1]) - y
    mirrored = cv2.remap(bare, x, mirrored_rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mirrored_seen = cv2.remap(seen, x, mirrored_rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    darkest, brightest = (colours * np.float32(share) for share in _MIRRORED)
    mirrored = np.clip(mirrored, darkest, brightest)
    filled = colours + (mirrored - colours) * mirrored_seen[..., None]
    return filled + (bare - filled) * seen[..., None]
