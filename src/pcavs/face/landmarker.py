"""Finds faces in a picture and the 478 points of one of them, with MediaPipe's two networks run by OpenVINO.

The pipeline around the networks (anchors, merging of detections, the rotated square that the landmark network
looks at) is written anew from the networks' model cards, so no telemetry and no further package comes with it.
"""

import functools
from collections.abc import Iterator
from importlib import resources
from typing import Final, Literal, NamedTuple

import cv2
import numpy as np
import openvino as ov
from jaxtyping import Float, Float32

from pcavs.face.align import Square, crop_picture, invert
from pcavs.runtime.openvino import cpu_settings
from pcavs.types import Box, Mesh, Picture

_DETECTOR_PX: Final = 128
_MESH_PX: Final = 256
_ANCHOR_LAYERS: Final = ((8, 2), (16, 6))
"""(pixels between anchors, anchors a place) of the short-range detector: 16 x 16 x 2 + 8 x 8 x 6 = 896."""
_SAME_FACE_OVERLAP: Final = 0.3
_REGION_SCALE: Final = 1.5
"""The landmark network wants a quarter of the face's size as margin on each side."""
_LEFT_EYE_CORNER, _RIGHT_EYE_CORNER = 33, 263

MIN_SCORE: Final = 0.5
"""A detection or a mesh below this is not taken for a face."""


class Detection(NamedTuple):
    """A face that the detector saw."""

    box: Box
    """x0, y0, x1, y1 in pixels: from the brows to the chin, not the hair."""
    keypoints: Float32[np.ndarray, "6 2"]
    """Pixels of the left eye, right eye, nose tip, mouth centre, left ear and right ear (left of the picture)."""
    score: float
    """0 to 1."""


class Region(NamedTuple):
    """A turned square of the picture in which the eyes lie level."""

    centre_px: Float[np.ndarray, "2"]
    side_px: float
    angle_rad: float
    """Clockwise in the picture."""

    @classmethod
    def of_detection(cls, detection: Detection) -> "Region":
        """The square around a detected face."""
        x0, y0, x1, y1 = detection.box
        left_eye, right_eye = detection.keypoints[:2]
        side = _REGION_SCALE * max(x1 - x0, y1 - y0)
        return cls(np.array([(x0 + x1) / 2, (y0 + y1) / 2], np.float64), float(side), _angle(left_eye, right_eye))

    @classmethod
    def of_mesh(cls, mesh: Mesh) -> "Region":
        """The square around a known mesh, for the next frame."""
        angle = _angle(mesh[_LEFT_EYE_CORNER], mesh[_RIGHT_EYE_CORNER])
        level = mesh[:, :2].astype(np.float64) @ _turn(angle)  # row vectors: turns the eye line level
        low, high = level.min(axis=0), level.max(axis=0)
        return cls(_turn(angle) @ ((low + high) / 2), float(_REGION_SCALE * (high - low).max()), angle)


class Landmarks(NamedTuple):
    """The mesh of one face."""

    mesh: Mesh
    """Pixels of the picture."""
    presence: float
    """0 to 1: whether the region showed a face at all."""


class FaceLandmarker:
    """Face detector and landmark network, loaded once; not to be shared between threads."""

    def __init__(self, threads: int = 1, precision: Literal["f32", "bf16"] = "f32") -> None:
        """Loads and compiles both networks (about 0.3 s).

        Args:
            threads: Processor threads to use; the networks are too small to gain from more than two.
            precision: Arithmetic of the networks; "bf16" is faster where the processor has it and moves points
                by about a tenth of a percent of the eye distance.
        """
        self._detector = _compiled("face_detector.tflite", _DETECTOR_PX, threads, precision)
        self._mesh = _compiled("face_landmarks_detector.tflite", _MESH_PX, threads, precision)

    def detect(self, picture: Picture, min_score: float = MIN_SCORE) -> list[Detection]:
        """Finds the faces of a picture, best first.

        Args:
            picture: Any size; it is looked at as a whole at 128 x 128, so a face below a tenth of it is missed.
            min_score: Weaker detections are left out.
        """
        height, width = picture.shape[:2]
        return self.detect_in(picture, np.array([width / 2, height / 2, max(width, height)], np.float64), min_score)

    def search(self, picture: Picture, min_score: float = MIN_SCORE) -> Iterator[list[Detection]]:
        """Looks closer and closer, and yields the faces of each round, best first.

        The whole; the whole with a margin, for a face that fills it; then overlapping tiles as large as the short
        side, half of it and a quarter of it, for small faces. All rounds together take about 0.4 s for full HD.
        """
        yield self.detect(picture, min_score)
        for windows in _closer_looks(picture.shape[1], picture.shape[0]):
            yield _merged([face for window in windows for face in self.detect_in(picture, window, min_score)])

    def detect_in(
        self, picture: Picture, window: Float[np.ndarray, "3"], min_score: float = MIN_SCORE
    ) -> list[Detection]:
        """Finds the faces inside a square window, best first.

        Args:
            picture: Source of the window; what of the window lies outside of it is black.
            window: x and y of the centre (pixel edges are whole numbers) and the side, in pixels.
            min_score: Weaker detections are left out.
        """
        pixels = _square(picture, window).astype(np.float32) / 127.5 - 1
        outputs = self._detector([pixels[None]])
        scores = _sigmoid(outputs["classificators"][0, :, 0])
        kept = np.flatnonzero(scores >= min_score)
        values = outputs["regressors"][0, kept].reshape(-1, 8, 2) / _DETECTOR_PX
        centres, sizes, keypoints = values[:, 0], values[:, 1], values[:, 2:]
        anchors = _anchors()[kept]
        corners = np.stack([anchors + centres - sizes / 2, anchors + centres + sizes / 2], axis=1)
        shares = np.concatenate([corners, anchors[:, None] + keypoints], axis=1)
        places = shares * window[2] + (window[:2] - window[2] / 2) - 0.5
        return _merged(
            [
                Detection(place[:2].reshape(4).astype(np.float32), place[2:].astype(np.float32), float(score))
                for place, score in zip(places, scores[kept], strict=True)
            ]
        )

    def locate(self, picture: Picture, region: Region) -> Landmarks:
        """Finds the 478 points of the face inside a region."""
        to_picture = _from_square(region)
        crop = crop_picture(picture, invert(to_picture), _MESH_PX, smooth=False)
        outputs = self._mesh([crop[None].astype(np.float32) / 255])
        points = outputs["Identity"].reshape(478, 3).astype(np.float64)
        scale = region.side_px / _MESH_PX
        # The network counts from the edge of its input's first pixel.
        places = (points[:, :2] - 0.5) @ to_picture[:, :2].T + to_picture[:, 2]
        mesh = np.column_stack([places, points[:, 2] * scale]).astype(np.float32)
        return Landmarks(mesh, float(_sigmoid(outputs["Identity_1"]).item()))


def overlap(first: Box, second: Box) -> float:
    """Shared area of two boxes over the area that they cover together, 0 to 1."""
    low, high = np.maximum(first[:2], second[:2]), np.minimum(first[2:], second[2:])
    shared = np.prod(np.maximum(high - low, 0))
    areas = np.prod(first[2:] - first[:2]) + np.prod(second[2:] - second[:2])
    return float(shared / max(areas - shared, 1e-9))


def _compiled(name: str, side_px: int, threads: int, precision: Literal["f32", "bf16"]) -> ov.CompiledModel:
    core = ov.Core()
    with resources.as_file(resources.files("pcavs") / "assets" / "face" / name) as path:
        model = core.read_model(path)
    model.reshape([1, side_px, side_px, 3])
    return core.compile_model(model, "CPU", cpu_settings(precision, threads))


@functools.cache
def _anchors() -> Float[np.ndarray, "896 2"]:
    """Centres of the detector's anchors as shares of its input, row by row."""
    layers = []
    for stride, num_each in _ANCHOR_LAYERS:
        places = (np.arange(_DETECTOR_PX // stride) + 0.5) * stride / _DETECTOR_PX
        y, x = np.meshgrid(places, places, indexing="ij")
        layers.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), num_each, axis=0))
    return np.concatenate(layers)


def _merged(detections: list[Detection]) -> list[Detection]:
    """Averages detections of the same face, weighted by score: steadier than keeping the best alone."""
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


def _closer_looks(width: int, height: int) -> list[list[Float[np.ndarray, "3"]]]:
    """Windows (centre x, centre y, side) to try when the whole shows no face, in rounds."""
    long, short = float(max(width, height)), float(min(width, height))
    rounds = [[np.array([width / 2, height / 2, 1.6 * long])]]
    for side in (short, short / 2, short / 4):
        if side >= _DETECTOR_PX / 2:
            rounds.append([np.array([x, y, side]) for y in _spread(height, side) for x in _spread(width, side)])
    return rounds


def _spread(length: int, side: float) -> list[float]:
    """Centres of windows that cover a length and overlap by half."""
    count = 1 + int(np.ceil((length - side) / (side / 2) - 1e-6))
    return list(np.linspace(side / 2, length - side / 2, count)) if count > 1 else [length / 2]


def _square(picture: Picture, window: Float[np.ndarray, "3"]) -> Square:
    """Cuts a square out of the picture and brings it to the detector's size, averaging; black outside."""
    height, width = picture.shape[:2]
    x, y, side = window
    # Edges of the part inside the picture, first in the picture's pixels and then in the detector's.
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


def _from_square(region: Region) -> Float[np.ndarray, "2 3"]:
    """Similarity from the landmark network's pixels to the picture's."""
    linear = _turn(region.angle_rad) * (region.side_px / _MESH_PX)
    middle = (_MESH_PX - 1) / 2
    return np.column_stack([linear, region.centre_px - linear @ [middle, middle]])


def _turn(angle_rad: float) -> Float[np.ndarray, "2 2"]:
    cos, sin = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[cos, -sin], [sin, cos]])


def _angle(left: Float[np.ndarray, " xyz"], right: Float[np.ndarray, " xyz"]) -> float:
    return float(np.arctan2(right[1] - left[1], right[0] - left[0]))


def _sigmoid(logits: Float32[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -100, 100)))
