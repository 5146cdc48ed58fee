"""Keeps the background of a photograph still while the head in front of it moves (docs/decisions/0010).

Once for each photograph: a segmentation network finds the person, a guided filter moves its outline to the colour edges
of the photograph, and what the person hides is inpainted (the *background plate*). For each frame: the background that
the warp moved is subtracted, and the plate is added where the person is not. So hair needs no exact matte, and where
nothing moves a frame equals the photograph to the bit.
"""

from typing import Final, Protocol, runtime_checkable

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from pcavs.face.pose import head_pose
from pcavs.face.regions import FACE_OVAL
from pcavs.head.grid import WIDE
from pcavs.types import Mesh, Picture

Matte = Float32[np.ndarray, "side side"]
"""Share of person in each pixel of the padded photograph, 0 to 1."""
BackgroundShare = UInt8[np.ndarray, "height width"]
"""Share of background in each pixel of a picture or frame, 0 to 255."""
CoarseMatte = Float32[np.ndarray, "coarse coarse"]
"""The same over the padded photograph, at the resolution of the segmentation network."""
EarAreas = UInt8[np.ndarray, "side side"]
"""Where earrings may be in the padded photograph: 2 where they may begin, 1 where they may only hang, 0 elsewhere."""
Coordinates = Float32[np.ndarray, "rows columns"]
"""x or y in pixels of the padded photograph."""

_MAX_GUIDE_PX: Final = 384
"""Largest side at which the guided filter is computed, for speed. Tuned by hand; not measured."""
_GUIDE_RADIUS_CELLS: Final = 3.0
"""Radius of the guided filter: how far the outline may be moved to an edge. Chosen by eye."""
_GUIDE_EPSILON: Final = 1e-4
"""Regularisation of the guided filter: variance of a colour (in [0, 1]) below which a change counts as no edge.
Tuned by hand; not measured."""
_MATTE_BLACK: Final = 0.25
"""Share of person that the filter gives up to which a pixel is background alone. Chosen by eye."""
_MATTE_WHITE: Final = 0.9
"""Share of person that the filter gives from which on a pixel is person alone. Chosen by eye."""
_MIN_FACE_SHARE: Final = 0.9
"""Mean share of person within the face below which the segmentation is not trusted, as in some drawings. Tuned by hand;
not measured."""
_SOFT_RIM_PX: Final = 9
"""Diameter by which the connected person is dilated, in pixels of the segmentation, to keep its soft rim. Tuned
by hand; not measured."""
_CONTACT_CELLS: Final = 1.0
"""Width of the band around the person that is inpainted as well, because it holds stray hairs. Chosen by eye."""
_KEPT_BLUR_CELLS: Final = 0.5
"""Standard deviation of the blur of the seam between photograph and inpainted background. Chosen by eye."""
_STRAND_CELLS: Final = 2.5
"""Radius of the median filter that removes strands of hair from the background near the person; what it removes moves
with the head. Chosen by eye."""
_STRAND_REACH_CELLS: Final = 9.0
"""Distance from the person over which the effect of that filter falls to 0. Chosen by eye."""
_EARRING_BESIDE_CM: Final = 4.0
"""How far from the side of the face an earring is searched for. Chosen by eye, for hoops."""
_EARRING_BELOW_CM: Final = 1.5
"""How far below the chin. Chosen by eye, likewise."""
_EARRING_LEVELS: Final = 14
"""Difference of a colour from the median around it, of 255, from which a pixel may be an earring. Chosen by eye."""
_EARRING_TOUCH_CELLS: Final = 1.5
"""Distance from the person at which an earring begins at most: it hangs from an ear. Chosen by eye."""
_EARRING_RIM_CELLS: Final = 1.0
"""Width of the rim around an earring that is removed with it. Chosen by eye."""
_SIDES_OF_FACE: Final = (234, 454)
"""Landmarks beside the ears."""
_CHIN: Final = 152

_INPAINT_PX: Final = 256
"""Side at which the background is inpainted, for speed. Tuned by hand; not measured."""
_INPAINT_RADIUS_PX: Final = 4.0
"""Radius of the neighbourhood from which Telea's method takes colours. Chosen by eye."""
_INPAINT_GUARD_PX: Final = 2
"""Pixels by which the inpainted area is enlarged: inpainting that begins at the outline smears the colour of hair over
the wall (dev/LOG.md)."""

_MIN_LENGTH: Final = 1e-6
"""Smallest length that a direction is divided by; it keeps a division from 0."""

_STRIP_ROWS: Final = 256
"""Rows of a frame that are composited at once, which bounds the memory for large ones."""


@runtime_checkable
class Segmenter(Protocol):
    """Separates people from the background; `face.person.PersonSegmenter` is one."""

    def person_mask(self, picture: Picture) -> CoarseMatte:
        """Returns the share of person in each pixel, 0 to 1, at a resolution that the segmenter chooses."""
        ...


class Background:
    """The background plate of a photograph, and the matte of the person in front of it."""

    def __init__(self, photo: Picture, person: Matte, beside_ears: EarAreas) -> None:
        """Inpaints what the person hides.

        Args:
            photo: The padded photograph, square (`head.grid`).
            person: Share of person in each of its pixels, 0 to 1.
            beside_ears: Where earrings may be.
        """
        share = background_share(person)
        self._plate = _make_plate(photo, share, beside_ears)
        self._weighted = np.dstack([_weigh(self._plate, share), share])

    def composite(self, frame: Picture, columns: Coordinates, rows: Coordinates) -> Picture:
        """Returns a frame with the background held still.

        The result is frame - warped (plate x share) + plate x warped share, where share is the share of background in
        each pixel of the photograph.

        Args:
            frame: The warped photograph: the crop with the same margin on each side.
            columns: x of the pixel of the padded photograph that each pixel of the frame shows.
            rows: y of the same.
        """
        first = (len(self._plate) - len(frame)) // 2
        plate = self._plate[first : first + len(frame), first : first + len(frame)]
        still = np.empty_like(frame)
        for top in range(0, len(frame), _STRIP_ROWS):
            strip = np.s_[top : top + _STRIP_ROWS]
            warped = cv2.remap(
                self._weighted, columns[strip], rows[strip], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            # OpenCV would copy a view of some channels element by element, which takes longer than all the rest.
            colours, share = cv2.cvtColor(warped, cv2.COLOR_RGBA2RGB), cv2.extractChannel(warped, 3)
            held = _weigh(plate[strip], share)
            # Of the two differences, cut off at 0, one is 0; a sum of 16 bits gives the same and is four times as slow.
            brighter = cv2.add(frame[strip], cv2.subtract(held, colours))
            cv2.subtract(brighter, cv2.subtract(colours, held), still[strip])
        return still


def find_background(photo: Picture, mesh: Mesh, padding_px: int, segmenter: Segmenter | None) -> Background | None:
    """Separates the background of a photograph from the person.

    Args:
        photo: The padded photograph.
        mesh: Landmarks in pixels of the crop, without its padding.
        padding_px: Width of the padding on each side.
        segmenter: Segments people.

    Returns:
        The background; None without a segmenter, or if it does not classify the face as person.
    """
    matte = None if segmenter is None else find_matte(photo, mesh, padding_px, segmenter)
    return None if matte is None else Background(photo, matte, _beside_ears(mesh, padding_px, len(photo)))


def find_matte(photo: Picture, mesh: Mesh, padding_px: int, segmenter: Segmenter) -> Matte | None:
    """Returns the share of person in each pixel of a photograph; None if the face is not classified as person.

    Args:
        photo: The padded photograph.
        mesh: Landmarks in pixels of the crop, without its padding.
        padding_px: Width of the padding on each side.
        segmenter: Segments people.
    """
    coarse = segmenter.person_mask(photo)
    face = _face_mask(mesh, padding_px, len(photo), len(coarse))
    if not _holds_face(coarse, face):
        return None
    coarse = np.where(_connected(coarse, face), np.maximum(coarse, face), 0).astype(np.float32)
    return _refine(photo, coarse)


def shows_face(matte: Matte, mesh: Mesh, padding_px: int) -> bool:
    """Tells whether a matte classifies the face as person; arguments as for `find_matte`."""
    return _holds_face(matte, _face_mask(mesh, padding_px, len(matte), len(matte)))


def background_share(person: Matte) -> BackgroundShare:
    """Returns the share of background in each pixel, 0 to 255."""
    return ((1 - person) * 255).round().astype(np.uint8)


def _face_mask(mesh: Mesh, padding_px: int, side_px: int, mask_px: int) -> UInt8[np.ndarray, "mask mask"]:
    """Draws the outline of the face, filled with 1, at the resolution of a mask."""
    oval = (mesh[list(FACE_OVAL), :2] + padding_px + 0.5) * mask_px / side_px - 0.5
    face = np.zeros((mask_px, mask_px), np.uint8)
    cv2.fillPoly(face, [np.rint(oval).astype(np.int32)], 1)
    return face


def _holds_face(person: CoarseMatte, face: UInt8[np.ndarray, "coarse coarse"]) -> bool:
    return bool(face.any()) and float(person[face > 0].mean()) >= _MIN_FACE_SHARE


def _connected(coarse: CoarseMatte, face: UInt8[np.ndarray, "coarse coarse"]) -> Bool[np.ndarray, "coarse coarse"]:
    """Returns the component of the person that contains the face, with its soft rim; other people are left out."""
    parts = cv2.connectedComponents(((coarse > 0.5) | (face > 0)).astype(np.uint8))[1]
    own = (parts == int(np.bincount(parts[face > 0]).argmax())).astype(np.uint8)
    return cv2.dilate(own, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_SOFT_RIM_PX, _SOFT_RIM_PX))) > 0


def _weigh(picture: UInt8[np.ndarray, "rows columns 3"], share: UInt8[np.ndarray, "rows columns"]) -> Picture:
    """Multiplies a picture by shares of 255; one function for both terms of `composite`, so that equal ones cancel."""
    return np.asarray(cv2.multiply(picture, cv2.merge([share] * 3), scale=1 / 255), np.uint8)


def _make_plate(photo: Picture, share: UInt8[np.ndarray, "side side"], beside_ears: EarAreas) -> Picture:
    """Returns the photograph without the person: inpainted at low resolution, without strands of hair and earrings.

    Args:
        photo: The photograph.
        share: Share of background in each pixel, 0 to 255.
        beside_ears: Where earrings may be.
    """
    cell_px = len(photo) / WIDE
    known = cv2.erode((share == 255).astype(np.uint8), _disc(_CONTACT_CELLS * cell_px))
    plate = _filled(photo, known)
    earrings = _earrings(plate, known, beside_ears)
    if earrings.any():
        known[earrings] = 0
        plate = _filled(photo, known)
    # Strands of hair that were classified as background would stay behind when the head moves. They are thinner than
    # the window of the median.
    near = 1 - cv2.distanceTransform(known, cv2.DIST_L2, 5) / np.float32(_STRAND_REACH_CELLS * cell_px)
    near = near.clip(0, 1).astype(np.float32)
    return np.asarray(cv2.blendLinear(_without_thin_parts(plate), plate, near, 1 - near), np.uint8)


def _filled(photo: Picture, known: UInt8[np.ndarray, "side side"]) -> Picture:
    """Inpaints where `known` is 0, at low resolution."""
    size = (_INPAINT_PX, _INPAINT_PX)
    hidden = (cv2.resize(known * np.uint8(255), size, interpolation=cv2.INTER_AREA) < 255).astype(np.uint8)
    hidden = cv2.dilate(hidden, np.ones((2 * _INPAINT_GUARD_PX + 1,) * 2, np.uint8))
    small = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    filled = cv2.inpaint(small, hidden, _INPAINT_RADIUS_PX, cv2.INPAINT_TELEA)
    filled = cv2.resize(filled, (len(photo), len(photo)), interpolation=cv2.INTER_LINEAR)
    kept = cv2.GaussianBlur(known.astype(np.float32), (0, 0), _KEPT_BLUR_CELLS * len(photo) / WIDE) * known
    return np.asarray(cv2.blendLinear(photo, filled, kept, 1 - kept), np.uint8)


def _without_thin_parts(plate: Picture) -> Picture:
    return np.asarray(cv2.medianBlur(plate, 2 * round(_STRAND_CELLS * len(plate) / WIDE) + 1), np.uint8)


def _disc(radius_px: float) -> UInt8[np.ndarray, "rows columns"]:
    side = 2 * round(radius_px) + 1
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)), np.uint8)


def _beside_ears(mesh: Mesh, padding_px: int, side_px: int) -> EarAreas:
    """Returns where earrings may be: beside the face, from the ears to below the chin; they begin in the upper half."""
    pose = head_pose(mesh[None])
    unit = float(pose.scale_px_per_cm[0])
    down = pose.rotation[0, :2, 1] / max(float(np.linalg.norm(pose.rotation[0, :2, 1])), _MIN_LENGTH)
    across = np.array([down[1], -down[0]])
    areas = np.zeros((side_px, side_px), np.uint8)
    for side, outward in zip(_SIDES_OF_FACE, (-1, 1), strict=True):
        ear = mesh[side, :2]
        length = float((mesh[_CHIN, :2] - ear) @ down) + _EARRING_BELOW_CM * unit
        away = outward * _EARRING_BESIDE_CM * unit * across
        for value, end in ((1, length * down), (2, length / 2 * down)):
            corners = np.array([ear - away / 2, ear + away, ear + away + end, ear - away / 2 + end]) + padding_px
            cv2.fillConvexPoly(areas, np.rint(corners).astype(np.int32), (value,))
    return areas


def _earrings(
    plate: Picture, known: UInt8[np.ndarray, "side side"], beside_ears: EarAreas
) -> Bool[np.ndarray, "side side"]:
    """Returns where the background holds earrings, with a rim: the segmentation does not count them as the person.

    They are thin, differ from the background, hang from the person, and end where earrings may hang.

    Args:
        plate: The background, with earrings.
        known: 1 where the photograph shows it.
        beside_ears: Where earrings may be.
    """
    cell_px = len(plate) / WIDE
    differs = cv2.absdiff(plate, _without_thin_parts(plate)).max(axis=2) > _EARRING_LEVELS
    thin = differs & (beside_ears > 0) & (known > 0)
    rim = _disc(_EARRING_RIM_CELLS * cell_px)
    parts = cv2.connectedComponents(cv2.dilate(thin.astype(np.uint8), rim))[1]
    near = cv2.distanceTransform(known, cv2.DIST_L2, 5) <= _EARRING_TOUCH_CELLS * cell_px
    touching = parts[thin & near & (beside_ears == 2)]
    leaving = parts[thin & (cv2.erode(beside_ears, _disc(1.0)) == 0)]
    return np.isin(parts, np.setdiff1d(touching, leaving))


def _refine(photo: Picture, coarse: CoarseMatte) -> Matte:
    """Moves the outline of a person to the colour edges of the photograph, by a guided filter over colours.

    Reference: He, Sun and Tang, Guided image filtering, ECCV 2010, equations 19 to 21.
    """
    side = min(len(photo), _MAX_GUIDE_PX)
    guide = cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    share = cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR)
    window = 2 * max(1, round(_GUIDE_RADIUS_CELLS * side / WIDE)) + 1

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(values, -1, (window, window), borderType=cv2.BORDER_REFLECT)

    mean_guide, mean_share = mean(guide), mean(share)
    covariance = mean(guide * share[..., None]) - mean_guide * mean_share[..., None]
    products = mean((guide[..., :, None] * guide[..., None, :]).reshape(side, side, 9))
    variance = products.reshape(side, side, 3, 3) - mean_guide[..., :, None] * mean_guide[..., None, :]
    slope = _solve(variance + np.float32(_GUIDE_EPSILON) * np.eye(3, dtype=np.float32), covariance)
    offset = mean_share - (slope * mean_guide).sum(axis=-1)
    filtered = (mean(slope) * guide).sum(axis=-1) + mean(offset)
    matte = ((filtered - _MATTE_BLACK) / (_MATTE_WHITE - _MATTE_BLACK)).clip(0, 1).astype(np.float32)
    size = (len(photo), len(photo))
    return np.asarray(cv2.resize(matte, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _solve(
    matrices: Float[np.ndarray, "rows columns 3 3"], right: Float[np.ndarray, "rows columns 3"]
) -> Float[np.ndarray, "rows columns 3"]:
    return np.linalg.solve(matrices, right[..., None])[..., 0]
