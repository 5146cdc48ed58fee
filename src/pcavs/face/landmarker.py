"""Detects faces and locates the 478 landmarks of one face, with MediaPipe's two networks run by OpenVINO.

The pipeline around the networks (anchors, merging of overlapping detections, the rotated square that is the landmark
network's input) is an implementation of our own after the networks' model cards, so that the mediapipe package and its
telemetry are not needed. `pcavs.face.track` follows a face from frame to frame.

Reference: MediaPipe BlazeFace (short range) and Face Mesh V2, model cards, Google.
"""

import functools
from collections.abc import Iterator
from importlib import resources
from typing import Final, Literal, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32

from pcavs.face.align import Square, crop_picture, invert
from pcavs.runtime.cache import compile_network
from pcavs.runtime.openvino import Network, cpu_settings
from pcavs.spec import MESH_POINTS
from pcavs.types import Box, Mesh, Picture
from pcavs.vino import ov

_DETECTOR_PX: Final = 128
"""Side of the detector's input."""
_MESH_PX: Final = 256
"""Side of the landmark network's input."""
_ANCHOR_LAYERS: Final = ((8, 2), (16, 6))
"""(pixels between anchors, anchors at each place) of the short-range detector: 16 x 16 x 2 + 8 x 8 x 6 = 896."""
_DETECTION_POINTS: Final = 8
"""Points that the detector outputs for each anchor: centre and size of the box, and six keypoints."""
_SAME_FACE_OVERLAP: Final = 0.3
"""Intersection over union above which two detections are one face (MediaPipe's value)."""
_REGION_SCALE: Final = 1.5
"""Side of the landmark network's input over the size of the face: a margin of a quarter of the face on each side
(MediaPipe's value)."""
_LEFT_EYE_CORNER: Final = 33
_RIGHT_EYE_CORNER: Final = 263
"""Mesh points of the outer eye corners."""
_MARGIN_WINDOW: Final = 1.6
"""Side of the search window with a margin, over the picture's longer side: a face that fills the picture is smaller in
it, as the detector expects. Tuned by hand."""
_MIN_WINDOW_PX: Final = _DETECTOR_PX / 2
"""Side of the smallest search window: a smaller one would be enlarged more than twice."""
_MIN_AREA_PX2: Final = 1e-9
"""Smallest area that an overlap is divided by; it keeps a division from 0."""
_ROUNDING: Final = 1e-6
"""Share of a tile's step by which rounding errors may exceed a whole number of tiles."""
_MAX_LOGIT: Final = 100.0
"""Limit of the logits, against overflow in the exponential."""

MIN_SCORE: Final = 0.5
"""Score of a detection, or presence of a mesh, from which it counts as a face (MediaPipe's value)."""


class Detection(NamedTuple):
    """A face found by the detector."""

    box: Box
    """x0, y0, x1, y1 in pixels; it reaches from the brows to the chin, without the hair."""
    keypoints: Float32[np.ndarray, "6 2"]
    """Left eye, right eye, nose tip, mouth centre, left ear and right ear, in pixels; left is the picture's left."""
    score: float
    """Confidence, 0 to 1."""


class Region(NamedTuple):
    """The rotated square that the landmark network takes as input; the eyes are level in it."""

    centre_px: Float[np.ndarray, "2"]
    """Pixels of the picture."""
    side_px: float
    """Pixels of the picture."""
    angle_rad: float
    """Rotation from the picture's axes, positive clockwise."""

    @classmethod
    def of_detection(cls, detection: Detection) -> "Region":
        """Computes the square around a detected face."""
        x0, y0, x1, y1 = detection.box
        left_eye, right_eye = detection.keypoints[:2]
        side = _REGION_SCALE * max(x1 - x0, y1 - y0)
        return cls(np.array([(x0 + x1) / 2, (y0 + y1) / 2], np.float64), float(side), _angle(left_eye, right_eye))

    @classmethod
    def of_mesh(cls, mesh: Mesh) -> "Region":
        """Computes the square around the mesh of the previous frame."""
        angle = _angle(mesh[_LEFT_EYE_CORNER], mesh[_RIGHT_EYE_CORNER])
        # Row vectors times the rotation are rotated by the inverse, which makes the line of the eyes level.
        level = mesh[:, :2].astype(np.float64) @ _rotation(angle)
        low, high = level.min(axis=0), level.max(axis=0)
        return cls(_rotation(angle) @ ((low + high) / 2), float(_REGION_SCALE * (high - low).max()), angle)


class Landmarks(NamedTuple):
    """Output of the landmark network for one region."""

    mesh: Mesh
    """Pixels of the picture."""
    presence: float
    """Confidence that the region shows a face, 0 to 1."""


class FaceLandmarker:
    """Face detector and landmark network; threads that use it at the same time wait for each other."""

    def __init__(self, threads: int = 1, precision: Literal["f32", "bf16"] = "f32") -> None:
        """Loads and compiles both networks (about 0.3 s).

        Args:
            threads: Number of threads; the networks are too small to gain from more than two.
            precision: Arithmetic of the networks; "bf16" is faster on processors that have it, and moves landmarks
                by about 0.1 % of the eye distance.
        """
        settings = cpu_settings(precision, threads)
        self._detector = _compiled("face_detector.tflite", _DETECTOR_PX, settings)
        self._mesh = _compiled("face_landmarks_detector.tflite", _MESH_PX, settings)

    def detect(self, picture: Picture, min_score: float = MIN_SCORE) -> list[Detection]:
        """Detects the faces of a picture, best first.

        Args:
            picture: RGB, of any size. The whole of it is scaled to 128 x 128 pixels, so faces smaller than a tenth of
                the longer side are missed; `search` finds them.
            min_score: Detections with a lower score are left out.
        """
        height, width = picture.shape[:2]
        return self.detect_in(picture, np.array([width / 2, height / 2, max(width, height)], np.float64), min_score)

    def search(self, picture: Picture, min_score: float = MIN_SCORE) -> Iterator[list[Detection]]:
        """Detects faces of any size in up to five rounds; yields the faces of each round, best first.

        The rounds are: the whole picture; the picture with a margin, for a face that fills it; overlapping tiles as
        large as the shorter side, a half and a quarter of it, for small faces. All rounds of a full HD frame take about
        0.4 s; the caller stops after the round that suffices.
        """
        yield self.detect(picture, min_score)
        for windows in _search_windows(picture.shape[1], picture.shape[0]):
            yield _merged([face for window in windows for face in self.detect_in(picture, window, min_score)])

    def detect_in(
        self, picture: Picture, window: Float[np.ndarray, "3"], min_score: float = MIN_SCORE
    ) -> list[Detection]:
        """Detects the faces inside a square window, best first.

        Args:
            picture: RGB; parts of the window outside of it are black.
            window: x and y of the centre, and the side, in pixels. Unlike elsewhere, pixel edges lie at integers: the
                picture spans 0 to its width.
            min_score: Detections with a lower score are left out.
        """
        pixels = _detector_input(picture, window).astype(np.float32) / 127.5 - 1
        outputs = self._detector([pixels[None]])
        scores = _sigmoid(outputs["classificators"][0, :, 0])
        kept = np.flatnonzero(scores >= min_score)
        values = outputs["regressors"][0, kept].reshape(-1, _DETECTION_POINTS, 2) / _DETECTOR_PX
        centres, sizes, keypoints = values[:, 0], values[:, 1], values[:, 2:]
        anchors = _anchors()[kept]
        corners = np.stack([anchors + centres - sizes / 2, anchors + centres + sizes / 2], axis=1)
        relative = np.concatenate([corners, anchors[:, None] + keypoints], axis=1)
        points = relative * window[2] + (window[:2] - window[2] / 2) - 0.5
        return _merged(
            [
                Detection(each[:2].reshape(4).astype(np.float32), each[2:].astype(np.float32), float(score))
                for each, score in zip(points, scores[kept], strict=True)
            ]
        )

    def locate(self, picture: Picture, region: Region) -> Landmarks:
        """Locates the 478 landmarks of the face inside a region."""
        to_picture = _picture_from_input(region)
        crop = crop_picture(picture, invert(to_picture), _MESH_PX, smooth=False)
        outputs = self._mesh([crop[None].astype(np.float32) / 255])
        points = outputs["Identity"].reshape(MESH_POINTS, 3).astype(np.float64)
        scale = region.side_px / _MESH_PX
        # In the network's coordinates pixel edges lie at integers.
        places = (points[:, :2] - 0.5) @ to_picture[:, :2].T + to_picture[:, 2]
        mesh = np.column_stack([places, points[:, 2] * scale]).astype(np.float32)
        return Landmarks(mesh, float(_sigmoid(outputs["Identity_1"]).item()))


def overlap(first: Box, second: Box) -> float:
    """Computes the intersection over union of two boxes, 0 to 1."""
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
    shared = np.prod(np.maximum(high - low, 0))
    areas = np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2])
    return float(shared / max(areas - shared, _MIN_AREA_PX2))  # 0 for two boxes without area


def _compiled(name: str, side_px: int, settings: dict[str, str]) -> Network:
    with resources.as_file(resources.files("pcavs") / "assets" / "face" / name) as path:

        def read() -> ov.Model:
            model = ov.Core().read_model(path)
            model.reshape([1, side_px, side_px, 3])
            return model

        return Network(compile_network([path], read, settings))


@functools.cache
def _anchors() -> Float[np.ndarray, "896 2"]:
    """Computes the centres of the detector's anchors as fractions of its input's side, row by row."""
    layers = []
    for stride, num_each in _ANCHOR_LAYERS:
        places = (np.arange(_DETECTOR_PX // stride) + 0.5) * stride / _DETECTOR_PX
        y, x = np.meshgrid(places, places, indexing="ij")
        layers.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), num_each, axis=0))
    return np.concatenate(layers)


def _merged(detections: list[Detection]) -> list[Detection]:
    """Merges overlapping detections into their mean weighted by score, which jitters less than the best one alone."""
    rest = sorted(detections, key=lambda detection: detection.score, reverse=True)
    faces = []
    while rest:
        best = rest[0]
        same = [other for other in rest if overlap(best.box, other.box) > _SAME_FACE_OVERLAP] or [best]
        rest = [other for other in rest[1:] if overlap(best.box, other.box) <= _SAME_FACE_OVERLAP]
        weights = np.array([other.score for other in same])
        box = np.average([other.box for other in same], axis=0, weights=weights)
        keypoints = np.average([other.keypoints for other in same], axis=0, weights=weights)
        faces.append(Detection(box.astype(np.float32), keypoints.astype(np.float32), best.score))
    return faces


def _search_windows(width: int, height: int) -> list[list[Float[np.ndarray, "3"]]]:
    """Computes the windows (centre x, centre y, side) of each round of `search` after the first."""
    long, short = float(max(width, height)), float(min(width, height))
    rounds = [[np.array([width / 2, height / 2, _MARGIN_WINDOW * long])]]
    for side in (short, short / 2, short / 4):
        if side >= _MIN_WINDOW_PX:
            xs, ys = _tile_centres(width, side), _tile_centres(height, side)
            rounds.append([np.array([x, y, side]) for y in ys for x in xs])
    return rounds


def _tile_centres(length: int, side: float) -> list[float]:
    """Computes the centres of tiles that cover a length and overlap by at least half."""
    count = 1 + int(np.ceil((length - side) / (side / 2) - _ROUNDING))
    return list(np.linspace(side / 2, length - side / 2, count)) if count > 1 else [length / 2]


def _detector_input(picture: Picture, window: Float[np.ndarray, "3"]) -> Square:
    """Scales a square window of the picture to the detector's input, averaging where it shrinks; black outside."""
    height, width = picture.shape[:2]
    x, y, side = window
    # Edges of the part of the window inside the picture: `inside` in picture pixels, `placed` in input pixels.
    edges = np.array([x - side / 2, y - side / 2, x + side / 2, y + side / 2])
    inside = np.clip(np.round(edges), 0, [width, height, width, height]).astype(int)
    step = side / _DETECTOR_PX
    placed = np.round((inside - np.tile(edges[:2], 2)) / step).clip(0, _DETECTOR_PX).astype(int)
    square = np.zeros((_DETECTOR_PX, _DETECTOR_PX, 3), np.uint8)
    size = (placed[2] - placed[0], placed[3] - placed[1])
    if min(size) > 0 and inside[2] > inside[0] and inside[3] > inside[1]:
        part = picture[inside[1] : inside[3], inside[0] : inside[2]]
        method = cv2.INTER_AREA if step > 1 else cv2.INTER_LINEAR
        square[placed[1] : placed[3], placed[0] : placed[2]] = cv2.resize(part, size, interpolation=method)
    return square


def _picture_from_input(region: Region) -> Float[np.ndarray, "2 3"]:
    """Computes the similarity transform from pixels of the landmark network's input to pixels of the picture."""
    linear = _rotation(region.angle_rad) * (region.side_px / _MESH_PX)
    middle = (_MESH_PX - 1) / 2
    return np.column_stack([linear, region.centre_px - linear @ [middle, middle]])


def _rotation(angle_rad: float) -> Float[np.ndarray, "2 2"]:
    """Returns the matrix that rotates column vectors (x to the right, y down) clockwise."""
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cos, -sin], [sin, cos]])


def _angle(left: Float[np.ndarray, " xyz"], right: Float[np.ndarray, " xyz"]) -> float:
    """Computes the angle of the line from the left to the right eye, in radians, positive clockwise."""
    return float(np.arctan2(right[1] - left[1], right[0] - left[0]))


def _sigmoid(logits: Float32[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -_MAX_LOGIT, _MAX_LOGIT)))
