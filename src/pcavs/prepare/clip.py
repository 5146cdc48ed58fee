"""From one file to its aligned clips, or to the reasons why not."""

import json
import math
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float, Float32

from pcavs.data.shard import AlignedClip
from pcavs.face.align import apply_transform, clip_transform, crop_picture
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import angles_deg, pose_code, rotation_from_angles
from pcavs.face.regions import lips_shape
from pcavs.face.smooth import smooth_meshes
from pcavs.face.track import fill_gaps, track_picture
from pcavs.media.bitstream import encode_pictures
from pcavs.media.image import read_picture
from pcavs.media.video import read_frames
from pcavs.prepare.drivers import draw_drivers
from pcavs.prepare.follow import FaceClip, Follower
from pcavs.prepare.gates import NO_SOUND_DB, Rejection, judge
from pcavs.prepare.offset import sync_measures
from pcavs.prepare.options import PrepareOptions
from pcavs.prepare.sources import Source
from pcavs.prepare.speaking import can_speak, spoken_pictures
from pcavs.prepare.stills import turned_pictures
from pcavs.prepare.tape import Tape
from pcavs.spec import FRAME_RATE, CropSpec
from pcavs.types import CropTransform, Mesh, Picture, Waveform

_SHARPNESS_PX = 128
"""Side of the face at which sharpness is measured, so that it does not depend on the crop's size."""

_SILENCE_DB = -120.0
"""What sound of nothing but zeros counts as."""

_TRUSTED_YAW_DEG = 35.0
"""Up to here landmarks are good enough to tie a render's truth to the crop."""


class Outcome(NamedTuple):
    """What became of a stretch of a face, or of a file."""

    key: str
    frames: int
    start_frame: int
    measures: dict[str, float]
    result: AlignedClip | Rejection


def prepare_source(
    source: Source, options: PrepareOptions, limits: dict[str, float], landmarker: FaceLandmarker
) -> Iterator[Outcome]:
    """Finds, follows and aligns every face of a file, which is decoded once; holds a clip at a time.

    Raises:
        InputError: The file cannot be read, or not to its end.
    """
    work = _prepare_picture if source.is_picture else _prepare_film
    count = 0
    for outcome in work(source, options, limits, landmarker):
        yield outcome
        count += 1
    if count == 0:
        yield Outcome(source.key, 0, 0, {}, Rejection("face", "face: none was seen in any frame"))


def _prepare_film(
    source: Source, options: PrepareOptions, limits: dict[str, float], landmarker: FaceLandmarker
) -> Iterator[Outcome]:
    follower = Follower(landmarker, round(options.longest_s * FRAME_RATE), 2 * options.crop_px)
    film = _Film(source, options.crop_px, limits)
    number = 0
    with Tape(source.path, source.start_s) as tape:
        for ended in _ended(follower, read_frames(source.path, source.start_s, source.end_s)):
            for face in ended:
                key = source.key if number == 0 else f"{source.key}@{number}"
                yield film.judged(key, face, tape.cut(face.first, face.first + len(face.meshes)))
                number += 1
            tape.forget(follower.earliest)


def _ended(follower: Follower, frames: Iterator[Picture]) -> Iterator[list[FaceClip]]:
    for picture in frames:
        yield follower.step(picture)
    yield follower.finish()


class _Film:
    """What is the same for all clips of a film."""

    def __init__(self, source: Source, side_px: int, limits: dict[str, float]) -> None:
        self._source, self._side_px, self._limits = source, side_px, limits
        self._start = round(source.start_s * FRAME_RATE)
        self._truth = _read_truth(source)

    def judged(self, key: str, face: FaceClip, sound: Waveform | None) -> Outcome:
        """Aligns one stretch of a face, unless a gate refuses it; the cheap gates first."""
        side, start = self._side_px, self._start + face.first
        meshes = smooth_meshes(fill_gaps(face.meshes), FRAME_RATE)
        transform = clip_transform(meshes, CropSpec(), side)
        measures = {
            "length": float(len(meshes)),
            "face-size": _face_size(meshes),
            "found": float(face.found.mean()),
            "sound": _level_db(sound),
        }
        if (rejection := judge(measures, self._limits)) is not None:
            return Outcome(key, len(meshes), start, measures, rejection)
        crops = [
            crop_picture(window, _through(transform, place), side)
            for window, place in zip(face.windows, face.places, strict=True)
        ]
        in_crop = apply_transform(transform, meshes)
        measures |= {"sharpness": _sharpness(crops)} | sync_measures(crops, in_crop, sound)
        if (rejection := judge(measures, self._limits)) is not None:
            return Outcome(key, len(meshes), start, measures, rejection)
        facts = self._source.facts | {"file": self._source.name, "start_frame": start, "measures": rounded(measures)}
        pose, facts["truth"] = self._pose(pose_code(in_crop, side), start)
        film, lips = encode_pictures(crops), lips_shape(in_crop)
        clip = AlignedClip(key, facts, film, in_crop, pose, lips, transform, sound, side)
        return Outcome(key, len(meshes), start, measures, clip)

    def _pose(self, fitted: Float32[np.ndarray, "time 12"], start: int) -> tuple[Float32[np.ndarray, "time 12"], bool]:
        """The pose, and whether it is a render's own."""
        if self._truth is None or len(self._truth) < start + len(fitted):
            return fitted, False
        return exact_pose(fitted, self._truth[start : start + len(fitted)]), True


def _prepare_picture(
    source: Source, options: PrepareOptions, limits: dict[str, float], landmarker: FaceLandmarker
) -> Iterator[Outcome]:
    side, picture = options.crop_px, read_picture(source.path)
    track = track_picture(picture, landmarker, source.path.name)
    transform = clip_transform(track.meshes, CropSpec(), side)
    mesh, crop = apply_transform(transform, track.meshes)[0], crop_picture(picture, transform, side)
    measures = {"face-size": _face_size(track.meshes), "sharpness": _sharpness([crop])}
    rejection = judge(measures, limits)
    if rejection is not None:
        yield Outcome(source.key, 1, 0, measures, rejection)
        return
    rng = np.random.default_rng(zlib.crc32(source.key.encode()))
    facts = source.facts | {"file": source.name, "start_frame": 0, "measures": rounded(measures), "truth": False}

    def outcome(key: str, faces: list[tuple[Picture, Mesh]], more: dict[str, Any], sound: Waveform | None) -> Outcome:
        meshes = np.stack([mesh for _, mesh in faces])
        film = encode_pictures([face for face, _ in faces])
        pose, lips = pose_code(meshes, side), lips_shape(meshes)
        clip = AlignedClip(key, facts | more, film, meshes, pose, lips, transform, sound, side)
        return Outcome(key, len(faces), 0, measures, clip)

    turned = list(turned_pictures(crop, mesh, options.turned, rng))
    yield outcome(source.key, turned, {"turned": len(turned) > 1}, None)
    if not options.drivers or not can_speak(mesh):
        return
    for number, driver in enumerate(draw_drivers(options.drivers, source.facts["split"], options.spoken, rng), 1):
        faces = list(spoken_pictures(crop, mesh, driver.mouth, rng))
        yield outcome(f"{source.key}@{number}", faces, driver.facts, driver.sound)


def exact_pose(
    fitted: Float32[np.ndarray, "time 12"], truth_deg: Float[np.ndarray, "time 3"]
) -> Float32[np.ndarray, "time 12"]:
    """Puts a render's own rotations, yaw, pitch and roll in degrees, in the place of those fitted to its landmarks.

    The truth is told against the camera, a crop is levelled and looks along its own ray: one rotation for the whole
    clip, the best fit over frames where landmarks can be trusted, brings the truth into the crop's frame. Place and
    size stay as fitted.
    """
    seen, told = fitted[:, :9].reshape(-1, 3, 3).astype(np.float64), rotation_from_angles(truth_deg.astype(np.float64))
    trusted = np.abs(angles_deg(seen)[:, 0]) < _TRUSTED_YAW_DEG
    chosen = trusted if trusted.any() else np.ones(len(seen), bool)
    left, _, right = np.linalg.svd(np.einsum("tij,tkj->ik", seen[chosen], told[chosen]))
    left[:, 2] *= np.sign(np.linalg.det(left @ right))
    turned = (left @ right) @ told
    return np.concatenate([turned.reshape(-1, 9), fitted[:, 9:]], axis=1).astype(np.float32)


def rounded(measures: dict[str, float]) -> dict[str, float]:
    """Measures as the ledger tells them."""
    return {name: round(value, 3) for name, value in sorted(measures.items())}


def _read_truth(source: Source) -> Float[np.ndarray, "time 3"] | None:
    """The angles that `pcavs synth` wrote beside a film; None where there are none."""
    path = source.path.with_suffix(".json")
    if not path.is_file():
        return None
    try:
        angles = np.array(json.loads(path.read_text())["yaw_pitch_roll_deg"], np.float64)
    except (ValueError, KeyError, TypeError, OSError, OverflowError, RecursionError):
        return None
    return angles if angles.ndim == 2 and angles.shape[1] == 3 and np.isfinite(angles).all() else None


def _through(transform: CropTransform, place: CropTransform) -> CropTransform:
    """The transform from a window's pixels to the crop's."""
    back = np.linalg.inv(place[:, :2])
    linear = transform[:, :2] @ back
    return np.column_stack([linear, transform[:, 2] - linear @ place[:, 2]])


def _face_size(meshes: Float32[np.ndarray, "time 478 3"]) -> float:
    return float(np.ptp(meshes[:, :, 1], axis=1).mean())


def _sharpness(crops: list[Picture]) -> float:
    """Spread of the Laplacian of the face's luma, in levels of 255; the median over five frames."""
    values = []
    for index in np.linspace(0, len(crops) - 1, min(5, len(crops))).astype(int):
        small = cv2.resize(crops[index], (_SHARPNESS_PX, _SHARPNESS_PX), interpolation=cv2.INTER_AREA)
        quarter = _SHARPNESS_PX // 4
        face = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)[quarter:-quarter, quarter:-quarter]
        values.append(float(cv2.Laplacian(face, cv2.CV_32F).std()))
    return float(np.median(values))


def _level_db(sound: Waveform | None) -> float:
    if sound is None:
        return NO_SOUND_DB
    power = float(np.square(sound, dtype=np.float64).mean())
    return max(_SILENCE_DB, 10 * math.log10(power)) if power > 0 else _SILENCE_DB
