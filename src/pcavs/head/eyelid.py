"""Closes one eye of a photograph.

The lid that comes down in a blink is folded away in the photograph, so it is painted, once for each photograph: lashes
and eye are filled with the skin above the lashes, with its fine texture and the shading of a closed lid. In each frame
of a blink the edge of that lid lies somewhere between the upper and the lower lid. The lashes of the photograph move
with it, turn from upwards to downwards, and become a line along the edge. Nothing above the lashes moves, so brows, the
fold of the lid and the frame of a pair of glasses stay as they are.

All lengths without a unit are in eye widths (corner to corner), so that lids look the same at all sizes. All numbers
without another reason were chosen by eye, on 40 portraits at 512 pixels.
"""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from pcavs.numeric import smoothstep

Values = Float32[np.ndarray, "rows columns"]
"""One number for each pixel of the box around an eye."""
Colours = Float32[np.ndarray, "rows columns 3"]
"""RGB, 0 to 255, of the box around an eye."""
Planes = Float32[np.ndarray, "3 rows columns"]
"""The same, one colour after the other."""
Lashes = UInt8[np.ndarray, "rows columns *channels"]
"""What lashes let through, 0 (nothing) to 255."""
Columns = Float32[np.ndarray, " columns"]
"""One number for each column of the box around an eye."""
Curve = tuple[tuple[float, ...], tuple[float, ...]]
"""Places across the eye, 0 (inner corner) to 1 (outer corner), and the values there."""

_MIN_OPENING: Final = 0.12
"""Opening below which an eye counts as shut in the photograph and is left alone."""
_MIN_EYE_PX: Final = 4
"""Width below which an eye is left alone, as in a profile."""
_LID_POINTS: Final = 9
"""Points of an eye's polygon from corner to corner along each lid."""
_BOX: Final = (0.3, 0.75, 0.3)
"""How far the box reaches beyond the corners, above the upper lid (the skin that the lid is painted from) and below the
lower lid (where lashes hang)."""

_CLOSED_BELOW: Final = 0.035
"""Distance of the closed lid's edge below the lower lid's landmarks: it covers the wet rim."""
_CLOSED_SMOOTHING: Final = 0.055
"""Gaussian blur of the closed lid's edge, which lets it pass the corners without a kink."""
_RIM: Final = 0.02
"""Height of the strip below the upper lid's landmarks that still belongs to the lid."""
_EDGE_PX: Final = 1.5
"""Width over which the lid's edge is blended, in pixels: that of a sharp edge in a photograph."""
_CORNER: Final = 0.1
"""Length beyond a corner over which what holds for the eye changes to what holds beside it."""
_CORNER_MARGIN: Final = 0.06
"""Distance of the corners from which nothing is hidden under the lid's edge."""

_SKIN_SCALE: Final = 0.3
"""What is narrower than this and darker than its surroundings is not skin: lashes, folds, pupils."""
_SKIN_SMOOTHING: Final = 0.05
"""Gaussian blur of the luma of skin."""
_MIN_SKIN: Final = 8.0
"""Smallest luma of skin, 0 to 255; what is relative to it would be noise below."""
_FACE: Final = (0.15, 0.35)
"""Luma of skin, relative to that of all skin in the box, from which it is that of the face, and from which it surely
is. What is darker beside the eye is hair or background, and is not painted over."""
_BRIGHT: Final = (0.55, 0.85)
"""Luma, relative to that of the skin around, from which the lid is painted with a pixel, and from which fully. What is
darker is hair or a fold."""

_DARK: Final = 0.82
"""Luma, relative to that of the skin around, below which a pixel counts as lashes."""
_STROKE_GAP: Final = 0.07
"""Gaps between lashes up to this width count as lashes."""
_NOISE: Final = 0.008
"""Gaussian blur before lashes are measured."""
_MIN_LASHES: Final = 0.03
"""Height above the upper lid's landmarks that always counts as lashes."""
_LASH_MARGIN: Final = 0.02
"""Height that is added to that of the dark pixels."""
_MAX_LASHES: Final[Curve] = (
    (-0.3, -0.1, 0.0, 0.15, 0.5, 0.88, 1.05, 1.22),
    (0.0, 0.02, 0.06, 0.12, 0.2, 0.24, 0.24, 0.0),
)
"""Largest height of lashes. They are longest outside, and reach beyond the outer corner."""
_LASHES_TO_BROW: Final = 0.6
"""Largest height of lashes, relative to the distance of the brow."""
_LASH_ENVELOPE: Final = 0.25
"""Width over which the greatest height of lashes counts, and with it a fold that touches them, so that no piece of the
fold is left."""
_LASHES_AT_LOW_BROW: Final = 0.06
"""Largest height of lashes where the brow is low or lies over the eye."""
_LASH_SMOOTHING: Final = 0.08
"""Gaussian blur of that height, across the eye."""
_FADE: Final = (0.6, 0.02)
"""Height above the lashes over which the painted lid fades: a share of their height, and the least."""
_LOWER_RIM: Final = (0.03, 0.06)
"""Distance below the lower lid's landmarks from which the lid is not painted any more, begun and complete."""

_RIM_LENGTH: Final = 0.8
"""Length from which a dark horizontal bar is the rim of glasses, or a brow. Lashes and folds are curved."""
_RIM_DARK: Final = 0.65
"""Luma of such a bar, relative to that of the skin around, at the most."""
_LOWEST_RIM: Final = 0.12
"""Least height of such a bar above the upper lid's landmarks; what is lower is lashes."""
_RIM_MARGIN: Final = 0.04
"""Distance that is kept from such a bar."""

_FILL_SCALES: Final = (0.5, 0.2, 0.08, 0.03)
"""Standard deviations of the Gaussians that fill the lid, coarse to fine: each place takes the finest that reaches
skin."""
_REACHED: Final = (0.02, 0.35)
"""Share of skin under a Gaussian from which its mean counts, and from which fully."""
_LOWER_LASHES: Final = 0.1
"""Distance below the lower lid's landmarks from which there is skin."""
_LOWER_SKIN: Final = 0.1
"""Weight of the skin below the eye in the lid's colour: without it the lids of deep-set eyes are too dark."""
_ANY_SKIN: Final = 1e-4
"""Weight of pixels that may not be skin, for boxes without skin."""
_TEXTURE_SCALE: Final = 0.035
"""What is finer than this is texture."""
_TEXTURE: Final = 0.75
"""Strength of the texture on the lid, for stretched skin is smoother."""
_MAX_TEXTURE: Final = (-0.05, 0.07)
"""Largest darkening and brightening by texture, relative to the skin: what exceeds them is hair or a wrinkle."""
_TEXTURE_ROOM: Final = (0.8, 0.1)
"""Height of the skin that texture is taken from: a share of the distance to the brow, and the least."""

_BULGE: Final = ((0.15, 0.55, 0.22), (-0.15, 0.04, 0.13), (-0.21, 1.0, 0.22))
"""Shading of a closed lid from its top (0) to its edge (1): change of brightness, place and spread of the light on the
eyeball, the fold, and the underside. With a third of it lids that are held shut look flat."""
_TURN: Final = 1.55
"""Lashes are scaled in height by 1 - `_TURN` closure: they point down from a closure of 0.65 on."""
_FLAT: Final = (0.1, 0.4)
"""Scales in height between which lashes fade; flatter ones are only a line."""
_HANGING: Final = 0.8
"""Opacity of dark lashes that point down: they are seen against skin."""
_HANGING_HEIGHT: Final = (0.06, 0.14)
"""Height above the upper lid's landmarks up to which lashes are fully seen when they point down, and at all; what is
higher may be a fold."""
_HANGING_ROOM: Final = 0.15
"""Depth below the closed lid's edge that lashes reach."""
_HANGING_DARKNESS: Final = (0.25, 0.6)
"""Darkness of lashes from which they are seen when they point down, and from which fully. What is paler is a fold."""
_LINE: Final[Curve] = ((-0.04, 0.06, 0.3, 0.8, 0.92, 1.1), (0.0, 0.35, 0.8, 1.0, 0.85, 0.0))
"""Opacity of the line of the lashes."""
_LINE_HEIGHT: Final = (0.014, 0.016)
"""Height of that line, and what dark lashes add to it."""
_LINE_BELOW: Final = 0.008
"""Distance of that line below the lid's edge."""
_LINE_CLOSURE: Final = 0.35
"""Closure from which that line is fully drawn. Before, the photograph's own line is there."""
_LINE_STRIP: Final = 0.06
"""Height above the upper lid's landmarks in which the line's colour is measured."""
_LINE_DARKNESS: Final = (0.5, 0.95)
"""Limits of its darkness: eyes whose lashes a fold hides get a faint line."""
_INK: Final = 1.15
"""Largest luma of lashes, relative to the darkest ones."""
_MIDDLE: Final = (0.15, 0.85)
"""Part of the eye, from corner to corner, in which the line's colour is measured."""
_MIN_BLUR_PX: Final = 0.5
"""Smallest standard deviation of a Gaussian, in pixels; a smaller one changes nothing."""
_REDUCED_BLUR_PX: Final = 3.0
"""Standard deviation from whose double on blurs are computed at a lower resolution, in its pixels."""
_BLACK: Final = 2.0
"""Added to colours, 0 to 255, before they are divided: the ratio of two blacks is noise."""


class EyeShape(NamedTuple):
    """The outline of one eye in the columns of a box around it. Rows are pixels of the box."""

    box: tuple[slice, slice]
    """Rows and columns of the picture."""
    upper: Columns
    """Row of the upper lid's edge."""
    lower: Columns
    """Row of the lower lid's edge. Beyond the corners both are the row of the corner."""
    brow: Columns
    """Row of the brow's lower edge."""
    across: Columns
    """Place across the eye: 0 is the inner corner, 1 the outer corner."""
    width_px: float
    """Distance of the corners."""

    def rows(self) -> Float32[np.ndarray, "rows 1"]:
        """Returns the rows of the box, as a column."""
        return np.arange(self.box[0].stop - self.box[0].start, dtype=np.float32)[:, None]

    def above(self) -> Values:
        """Returns the height above the upper lid's edge, in eye widths."""
        return (self.upper - self.rows()) / np.float32(self.width_px)

    def below(self) -> Values:
        """Returns the depth below the lower lid's edge, in eye widths."""
        return (self.rows() - self.lower) / np.float32(self.width_px)

    def beside(self, margin: float = 0.0) -> Columns:
        """Returns how far a column is beside the eye: 0 up to `margin` from the corners, 1 from `_CORNER` more on."""
        return ramp(np.maximum(-self.across, self.across - 1), margin, margin + _CORNER)

    def curve(self, curve: Curve) -> Columns:
        """Interpolates values that are given across the eye."""
        return np.interp(self.across, *curve).astype(np.float32)


def find_eye(
    outline: Float[np.ndarray, "16 2"], brow: Float[np.ndarray, "5 2"], shape: tuple[int, ...], *, outer_first: bool
) -> EyeShape | None:
    """Finds the lids' edges in each column; None where the eye cannot be closed.

    Args:
        outline: The eye's polygon from its left corner over the upper lid, in pixels.
        brow: Lower edge of the brow, from left to right.
        shape: Shape of the picture.
        outer_first: The left corner is the outer one.
    """
    upper, lower = outline[:_LID_POINTS], np.concatenate([outline[_LID_POINTS - 1 :], outline[:1]])[::-1]
    width_px = float(upper[-1, 0] - upper[0, 0])
    if width_px < _MIN_EYE_PX or (np.diff(upper[:, 0]) <= 0).any() or (np.diff(lower[:, 0]) <= 0).any():
        return None  # seen from the side, a lid passes some columns twice
    if (outline < 0).any() or (outline.max(axis=0) > (shape[1] - 2, shape[0] - 2)).any():
        return None  # partly outside of the picture
    beside, above, below = (share * width_px for share in _BOX)
    left, right = max(int(upper[0, 0] - beside), 0), min(int(upper[-1, 0] + beside) + 1, shape[1])
    columns = np.arange(left, right)
    upper_row, lower_row = _smooth_curve(upper, columns), _smooth_curve(lower, columns)
    if (lower_row - upper_row).max() < _MIN_OPENING * width_px:
        return None
    top, bottom = max(int(upper_row.min() - above), 0), min(int(lower_row.max() + below) + 1, shape[0])
    rows = upper_row, np.maximum(lower_row, upper_row), np.interp(columns, brow[:, 0], brow[:, 1])
    upper_row, lower_row, brow_row = ((row - top).astype(np.float32) for row in rows)
    across = ((columns - upper[0, 0]) / width_px).astype(np.float32)
    box = slice(top, bottom), slice(left, right)
    return EyeShape(box, upper_row, lower_row, brow_row, 1 - across if outer_first else across, width_px)


def _smooth_curve(
    points: Float[np.ndarray, "points 2"], columns: Int[np.ndarray, " columns"]
) -> Float[np.ndarray, " columns"]:
    """Fits a polynomial of degree 4 to the landmarks of a lid, exact at the corners and constant beyond them."""
    x, y = points.T

    def terms(share: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n 3"]:
        return (share * (1 - share))[:, None] * np.stack([np.ones_like(share), share, share**2], axis=1)

    share = (x - x[0]) / (x[-1] - x[0])
    factors = np.linalg.lstsq(terms(share[1:-1]), (y - y[0] - (y[-1] - y[0]) * share)[1:-1], rcond=None)[0]
    at = ((columns - x[0]) / (x[-1] - x[0])).clip(0, 1)
    return y[0] + (y[-1] - y[0]) * at + terms(at) @ factors


class PaintedLid(NamedTuple):
    """What closes one eye, in the pixels of a box around it."""

    shape: EyeShape
    photo: Planes
    """The photograph."""
    painted: Planes
    """The photograph with skin in place of eye and lashes."""
    lashes: Lashes
    """What the lashes of the upper lid let through, 0 (nothing) to 255: times `painted` they give the photograph."""
    hanging: Lashes
    """The same for the lashes that are seen when they point down, without colour."""
    top: Columns
    """Row from which the lid is painted."""
    closed: Columns
    """Row of the closed lid's edge."""
    beside: Columns
    """1 where nothing is hidden under the lid's edge, because it is beside the eye."""
    shading: Values
    """Change of brightness of the painted skin when the lid is closed."""
    line: Columns
    """Opacity of the line of the lashes."""
    ink: Float32[np.ndarray, "3"]
    """Colour of that line, RGB."""
    line_px: float
    """Height of that line."""


def paint_lid(picture: UInt8[np.ndarray, "rows columns 3"], shape: EyeShape) -> PaintedLid:
    """Paints the lid that closes an eye; takes about 15 ms at 512 pixels.

    Args:
        picture: The box around the eye, `shape.box` of the photograph.
        shape: Outline of the eye.
    """
    photo = picture.astype(np.float32)
    luma = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
    skin = _skin_luma(luma, shape.width_px)
    bright = ramp(luma / skin, *_BRIGHT)
    height, fade = _lash_height(luma / skin, shape)
    top = shape.upper - height * np.float32(shape.width_px)
    face = np.maximum(ramp(skin / np.median(skin), *_FACE), 1 - shape.beside(-_CORNER))
    zone = _painted_zone(height, fade, shape) * face
    fill = _skin_fill(photo, zone, bright, shape)
    fill += _texture(photo, skin, bright, top, shape)
    painted = photo + (fill - photo) * zone[..., None]
    owned = np.maximum(ramp(shape.above(), -2 * _RIM, -_RIM), shape.beside())  # the rest is the eye
    lashes = 1 - (1 - np.minimum((photo + _BLACK) / (painted + _BLACK), 1)) * owned[..., None]
    darkness, ink = _line_colour(photo, luma, fill, shape)
    hanging = _HANGING * _step(darkness, *_HANGING_DARKNESS) * (1 - ramp(shape.above(), *_HANGING_HEIGHT))
    lower_edge = shape.lower + _CLOSED_BELOW * shape.width_px * np.sqrt(_middle(shape))
    closed = blurred(lower_edge[None].astype(np.float32), _CLOSED_SMOOTHING * shape.width_px)[0]
    lid = PaintedLid(
        shape=shape,
        photo=photo.transpose(2, 0, 1),
        painted=painted.transpose(2, 0, 1),
        lashes=_transmitted(1 - lashes),
        hanging=_transmitted(hanging * (1 - lashes.mean(axis=-1))),
        top=top,
        closed=closed,
        beside=shape.beside(_CORNER_MARGIN),
        shading=zone * _shading((shape.rows() - top) / np.maximum(closed - top, 1)) * _middle(shape),
        line=shape.curve(_LINE) * np.float32(darkness),
        ink=ink,
        line_px=(_LINE_HEIGHT[0] + _LINE_HEIGHT[1] * darkness) * shape.width_px,
    )
    return _cropped(lid, zone)


def _transmitted(opacity: Float32[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Returns what an opacity of 0 to 1 lets through."""
    return np.rint(255 - 255 * opacity).astype(np.uint8)


def _cropped(lid: PaintedLid, zone: Values) -> PaintedLid:
    """Drops the rows that no closure changes, for speed."""
    rows, columns = lid.shape.box
    first = int((zone > 0).any(axis=1).argmax())
    last = min(int(lid.closed.max() + _HANGING_ROOM * lid.shape.width_px) + 1, zone.shape[0])
    shape = lid.shape._replace(
        box=(slice(rows.start + first, rows.start + last), columns),
        upper=lid.shape.upper - first,
        lower=lid.shape.lower - first,
        brow=lid.shape.brow - first,
    )
    return lid._replace(
        shape=shape,
        photo=np.ascontiguousarray(lid.photo[:, first:last]),
        painted=np.ascontiguousarray(lid.painted[:, first:last]),
        lashes=np.ascontiguousarray(lid.lashes[first:last]),
        hanging=np.ascontiguousarray(lid.hanging[first:last]),
        top=lid.top - first,
        closed=lid.closed - first,
        shading=np.ascontiguousarray(lid.shading[first:last]),
    )


def close_lid(
    lid: PaintedLid, closure: float, photo: UInt8[np.ndarray, "rows columns 3"] | None = None
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Returns the box around an eye with its lid closed.

    Args:
        lid: The painted lid.
        closure: From above 0 (nearly as in the photograph) to 1 (shut).
        photo: What is seen of the eye in place of the photograph, if the eye was turned.
    """
    rows, amount = lid.shape.rows(), np.float32(closure)
    edge = lid.shape.upper + amount * (lid.closed - lid.shape.upper)
    rim_px = np.float32(_RIM * lid.shape.width_px)
    covered = np.maximum(((edge + rim_px - rows) * np.float32(1 / _EDGE_PX) + np.float32(0.5)).clip(0, 1), lid.beside)
    line = _line_profile(rows, edge, lid) * (lid.line * _step(closure, 0.0, _LINE_CLOSURE))
    scale = 1 - _TURN * closure
    visible = _step(abs(scale), *_FLAT)
    under_line = 1 - line
    if visible > 0 and scale < 0:
        under_line *= 1 - visible + visible / 255 * _moved(lid.hanging, lid, edge, scale)
    photo_share = (1 - covered) * under_line
    skin_share = covered * under_line * (1 + amount * lid.shading)
    skin = lid.painted
    if visible > 0 and scale > 0:
        lashes = cv2.split(_moved(lid.lashes, lid, edge, scale))
        skin = [plane * (1 - visible + visible / 255 * lash) for plane, lash in zip(skin, lashes, strict=True)]
    seen = lid.photo if photo is None else photo.transpose(2, 0, 1)
    planes = zip(seen, skin, lid.ink, strict=True)
    frame = cv2.merge([photo * photo_share + plane * skin_share + ink * line for photo, plane, ink in planes])
    return np.asarray(cv2.convertScaleAbs(frame), np.uint8)  # rounds; all is positive


def _moved(lashes: Lashes, lid: PaintedLid, edge: Columns, scale: float) -> Lashes:
    """Moves lashes to the lid's edge, scaled in height about it; elsewhere there are none."""
    rows = lid.shape.upper - (edge - lid.shape.rows()) * np.float32(1 / scale)
    columns = cv2.repeat(np.arange(rows.shape[1], dtype=np.float32)[None], rows.shape[0], 1)
    moved = cv2.remap(
        lashes, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=(255, 255, 255)
    )
    return np.asarray(moved, np.uint8)


def _shading(height: Values) -> Values:
    """Returns the change of brightness of a closed lid; `height` is 0 at its top and 1 at its edge."""
    shading = np.zeros_like(height)
    for change, place, spread in _BULGE:
        shading += np.float32(change) * np.exp(-np.square((height - np.float32(place)) / np.float32(spread)))
    return shading


def _line_profile(rows: Float32[np.ndarray, "rows 1"], edge: Columns, lid: PaintedLid) -> Values:
    """Returns the line of the lashes along the lid's edge, 0 to 1: it ends sharper above than below."""
    per_px = 1 / (np.float32(lid.line_px) * np.hypot(np.float32(1), np.gradient(edge)))
    upwards = (edge + np.float32(_LINE_BELOW * lid.shape.width_px) - rows) * per_px
    return np.exp(-np.square(upwards + np.maximum(upwards, 0)))


def _skin_luma(luma: Values, width_px: float) -> Values:
    """Returns the luma of the skin around each pixel, without what is dark and narrow."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (odd(_SKIN_SCALE * width_px),) * 2)
    closed = cv2.morphologyEx(cv2.convertScaleAbs(luma), cv2.MORPH_CLOSE, disc).astype(np.float32)
    return np.maximum(blurred(closed, _SKIN_SMOOTHING * width_px), np.float32(_MIN_SKIN))


def _lash_height(brightness: Values, shape: EyeShape) -> tuple[Columns, Columns]:
    """Measures how far the lashes of the upper lid reach above its edge.

    Args:
        brightness: Luma relative to that of the skin around.
        shape: Outline of the eye.

    Returns:
        Their height, and the height above them over which the painted lid fades. Both end below the rim of glasses.
    """
    width_px, above = shape.width_px, shape.above()
    gaps = np.ones((1, odd(_STROKE_GAP * width_px)), np.uint8)
    bright = cv2.erode(blurred(brightness, _NOISE * width_px), gaps) > _DARK
    to_brow = (shape.upper - shape.brow) / width_px * _LASHES_TO_BROW
    largest = np.minimum(shape.curve(_MAX_LASHES), np.maximum(to_brow, _LASHES_AT_LOW_BROW))
    rim = _rim_height(brightness, shape)
    height = np.where(bright & (above > _MIN_LASHES), above, np.inf).min(axis=0) + _LASH_MARGIN
    height = np.minimum(height, np.minimum(largest, rim - _FADE[1]))
    fade = np.minimum(_FADE[0] * height + _FADE[1] + _CORNER * shape.beside(), rim - height)
    envelope = np.ones((1, odd(_LASH_ENVELOPE * width_px)), np.uint8)
    height = cv2.dilate(height[None].astype(np.float32), envelope)
    fade = cv2.erode(fade[None].astype(np.float32), envelope)
    height, fade = (blurred(values, _LASH_SMOOTHING * width_px)[0] for values in (height, fade))
    return np.minimum(height, largest + _LASH_MARGIN).astype(np.float32), fade


def _rim_height(brightness: Values, shape: EyeShape) -> Columns:
    """Returns the height of the lower edge of dark horizontal bars above the lashes: glasses, or a brow."""
    bar = np.ones((1, odd(_RIM_LENGTH * shape.width_px)), np.uint8)
    dark = cv2.morphologyEx(brightness, cv2.MORPH_CLOSE, bar, borderType=cv2.BORDER_REPLICATE) < _RIM_DARK
    above = shape.above()
    return np.where(dark & (above > _LOWEST_RIM), above - _RIM_MARGIN, np.float32(1)).min(axis=0)


def _painted_zone(height: Columns, fade: Columns, shape: EyeShape) -> Values:
    """Returns where the lid is painted, 0 to 1: over the lashes and the eye, beyond the corners over lashes only."""
    above, beside = shape.above(), shape.beside()
    bottom = (1 - beside) * (1 - ramp(shape.below(), *_LOWER_RIM)) + beside * ramp(above, -_CORNER, _CORNER)
    return bottom * ramp((height - above) / fade, -1.0, 0.0)


def _skin_fill(photo: Colours, zone: Values, bright: Values, shape: EyeShape) -> Colours:
    """Fills the box smoothly with the bright skin above the zone: normalised convolution from coarse to fine."""
    weight = np.where(shape.above() < 0, 0, (1 - zone) ** 2 * bright)
    weight = np.where(shape.below() > _LOWER_LASHES, _LOWER_SKIN * bright, weight)
    weight += _ANY_SKIN * ((shape.above() > _LOWER_LASHES) | (shape.below() > _LOWER_LASHES))
    weight = weight.astype(np.float32)
    fill = np.zeros_like(photo)
    for scale in _FILL_SCALES:
        reached = blurred(weight, scale * shape.width_px)[..., None]
        mean = blurred(photo * weight[..., None], scale * shape.width_px) / np.maximum(reached, _ANY_SKIN**2)
        fill += (mean - fill) * (ramp(reached, *_REACHED) if scale < _FILL_SCALES[0] else 1)
    return fill


def _texture(photo: Colours, skin: Values, bright: Values, top: Columns, shape: EyeShape) -> Colours:
    """Returns the fine texture of the skin above the lid, mirrored at the lid's top and stretched over the lid."""
    texture = photo - blurred(photo, _TEXTURE_SCALE * shape.width_px)
    darkest, brightest = ((limit * skin)[..., None] for limit in _MAX_TEXTURE)
    texture = _TEXTURE * np.clip(texture, darkest, brightest) * bright[..., None]
    room = np.maximum(top - shape.brow.clip(0), _TEXTURE_ROOM[1] * shape.width_px)
    shrunk = np.minimum(1, _TEXTURE_ROOM[0] * room / np.maximum(shape.lower - top, 1))
    depth = shape.rows() - top
    rows = (top - depth * shrunk).astype(np.float32)
    columns = cv2.repeat(np.arange(rows.shape[1], dtype=np.float32)[None], rows.shape[0], 1)
    mirrored = cv2.remap(texture, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return mirrored * (depth > 0)[..., None]


def _line_colour(
    photo: Colours, luma: Values, fill: Colours, shape: EyeShape
) -> tuple[float, Float32[np.ndarray, "3"]]:
    """Measures the line of the upper lashes: its darkness, 0 (skin) to 1 (black), and its colour.

    The colour is halfway between that of the darkest pixels and that of the skin in their darkness: in small
    photographs lashes take the colour of what is behind them.
    """
    above = shape.above()
    strip = (above > 0) & (above < _LINE_STRIP) & (shape.across > _MIDDLE[0]) & (shape.across < _MIDDLE[1])
    brightness = np.where(strip, luma / np.maximum(cv2.cvtColor(fill, cv2.COLOR_RGB2GRAY), 1), np.inf)
    darkest = brightness.min(axis=0)
    if not np.isfinite(darkest).any():
        return _LINE_DARKNESS[0], np.zeros(3, np.float32)
    typical = float(np.median(darkest[np.isfinite(darkest)]))
    lashes = brightness <= max(_INK * typical, darkest.min())
    darkness = float(np.clip(1 - typical, *_LINE_DARKNESS))
    ink = (photo[lashes].mean(axis=0) + typical * fill[lashes].mean(axis=0)) / 2
    return darkness, ink.astype(np.float32) * np.float32(min((1 - darkness) / typical, 1))


def _middle(shape: EyeShape) -> Columns:
    """Returns a parabola across the eye: 0 at the corners and beyond, 1 in the middle."""
    return 1 - (2 * shape.across.clip(0, 1) - 1) ** 2


def _step(x: float, start: float, end: float) -> np.float32:
    """Returns a smooth step from 0 at `start` to 1 at `end`."""
    return ramp(np.array([x], np.float32), start, end)[0]


def ramp(x: Float32[np.ndarray, "*shape"], start: float, end: float) -> Float32[np.ndarray, "*shape"]:
    """Returns smooth steps from 0 at `start` to 1 at `end`."""
    return smoothstep(np.asarray((x - np.float32(start)) / np.float32(end - start), np.float32)).astype(np.float32)


def blurred(values: Float32[np.ndarray, "*shape"], deviation_px: float) -> Float32[np.ndarray, "*shape"]:
    """Blurs with a Gaussian; edge pixels are repeated. Wide blurs are computed at a lower resolution."""
    rows, columns = values.shape[:2]
    reduction = max(min(int(deviation_px / _REDUCED_BLUR_PX), rows, columns), 1)
    if reduction > 1:
        values = cv2.resize(values, (-(-columns // reduction), -(-rows // reduction)), interpolation=cv2.INTER_AREA)
    deviation_px = max(deviation_px / reduction, _MIN_BLUR_PX)
    blurred = cv2.GaussianBlur(values, (0, 0), deviation_px, borderType=cv2.BORDER_REPLICATE)
    if reduction > 1:
        blurred = cv2.resize(blurred, (columns, rows), interpolation=cv2.INTER_LINEAR)
    return np.asarray(blurred, np.float32)


def odd(size_px: float) -> int:
    """Returns the size of a kernel: odd, so that it has a middle."""
    return max(round(size_px), 1) | 1
