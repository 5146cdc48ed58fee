"""The eyes of one photograph: closes and widens their lids, and turns them."""

import functools

import numpy as np
from jaxtyping import Float

from pcavs.face.pose import angles_deg, head_pose
from pcavs.face.regions import IRISES, LEFT_EYE, RIGHT_EYE
from pcavs.head.eyeball import Eyeball, reconstruct_eye, turn_eye
from pcavs.head.eyelid import EyeShape, PaintedLid, close_lid, find_eye, paint_lid
from pcavs.pose.expression import GAZE, LIDS, ExpressionRow, add_blinks
from pcavs.types import Mesh, Picture

_LEFT_BROW = (46, 53, 52, 65, 55)
"""Landmarks along the lower edge of the brow at the picture's left, from left to right. Brows do not move in a
blink."""
_RIGHT_BROW = (285, 295, 282, 283, 276)
"""The same at the picture's right."""

_NUM_IRIS_POINTS = len(IRISES) // 2
"""Landmarks of one iris: its centre, and four points of its edge."""


class Eyes:
    """The eyes of one picture; eyes that are shut, or seen from the side, are left alone.

    Args:
        picture: The crop, with or without padding.
        mesh: Landmarks in pixels of the crop.
        padding_px: Width of the padding on each side.
    """

    def __init__(self, picture: Picture, mesh: Mesh, padding_px: int = 0) -> None:
        self._picture = picture
        self._points = mesh[:, :2].astype(np.float64) + padding_px
        self._roll_deg = float(angles_deg(head_pose(mesh[None]).rotation.astype(np.float64))[0, 2])
        self._shapes: tuple[EyeShape | None, ...] = (
            find_eye(self._points[list(LEFT_EYE)], self._points[list(_LEFT_BROW)], picture.shape, outer_first=True),
            find_eye(self._points[list(RIGHT_EYE)], self._points[list(_RIGHT_BROW)], picture.shape, outer_first=False),
        )
        self._lids: list[PaintedLid | None] = [
            None if shape is None else paint_lid(picture[shape.box], shape) for shape in self._shapes
        ]

    def show(self, closure: float, expression: ExpressionRow | None = None) -> Picture:
        """Returns the picture with its eyes closed, widened or turned.

        If nothing changes the result is the picture itself, not a copy, so callers must not change it.

        Args:
            closure: Closure of both lids by a blink, 0 (as they are) to 1 (shut).
            expression: Closure of each lid, and the gaze; None is that of the photograph.
        """
        lids, gaze_deg = np.zeros(2), np.zeros(2)
        if expression is not None:
            lids, gaze_deg = np.asarray(expression[LIDS], np.float64), np.asarray(expression[GAZE], np.float64)
        closures = [closure, closure] if expression is None else add_blinks(lids, np.array([closure])).tolist()
        picture = self._picture
        for number, (lid, shut) in enumerate(zip(self._lids, closures, strict=True)):
            turned = shut < 0 or (gaze_deg.any() and shut < 1)
            if lid is None or (shut <= 0 and not turned):
                continue
            picture = picture.copy() if picture is self._picture else picture
            if turned:
                self._turn(picture, number, gaze_deg, max(-shut, 0.0))
            if shut > 0:
                picture[lid.shape.box] = close_lid(lid, shut, picture[lid.shape.box] if turned else None)
        return picture

    def _turn(self, picture: Picture, number: int, gaze_deg: Float[np.ndarray, "2"], wide: float) -> None:
        """Turns one eye, and opens it wider, in the picture."""
        eye = self._eyeballs[number]
        if eye is not None:
            picture[eye.shape.box] = turn_eye(eye, eye.shift_px(gaze_deg), wide)

    @functools.cached_property
    def _eyeballs(self) -> tuple[Eyeball | None, ...]:
        """Both eyeballs; they are reconstructed when they are first turned."""
        eyes: list[Eyeball | None] = []
        for number, shape in enumerate(self._shapes):
            first = IRISES[number * _NUM_IRIS_POINTS]
            iris = self._points[first : first + _NUM_IRIS_POINTS]
            if shape is None:
                eyes.append(None)
                continue
            corner = np.array([shape.box[1].start, shape.box[0].start])
            eyes.append(reconstruct_eye(self._picture[shape.box], shape, iris - corner, self._roll_deg))
        return tuple(eyes)
