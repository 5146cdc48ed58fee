"""Turns one source file into aligned clips, or into the reasons why it gives none.

A video is decoded once: its faces are tracked, each track is aligned by one transform, tested by the gates and encoded.
A photograph becomes a clip of turned copies and, where driving clips are given, further clips with a moving mouth.
"""

import json
import math
import zlib
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

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
from pcavs.prepare.driving_clips import draw_driving_clips
from pcavs.prepare.face_tracker import FaceClip, FaceTracker
from pcavs.prepare.gates import NO_SOUND_DB, Rejection, apply_gates
from pcavs.prepare.offset import LEAST_CORRECTED_FRAMES, measure_sync, shift_sound
from pcavs.prepare.options import OffsetPolicy, PrepareOptions
from pcavs.prepare.sound_buffer import SoundBuffer
from pcavs.prepare.sources import Source
from pcavs.prepare.spoken_photos import animate_mouth, is_mouth_shut
from pcavs.prepare.turned_photos import turned_copies
from pcavs.spec import FRAME_RATE, CropSpec
from pcavs.types import CropTransform, Mesh, Picture, Waveform

_WINDOW_SCALE: Final = 2
"""Largest side of a tracked window, in sides of the crop: the crop is never cut from an enlarged window."""

_SHARPNESS_PX: Final = 128
"""Side to which crops are scaled before sharpness is measured, so that it does not depend on the crop's size."""

_SHARPNESS_FRAMES: Final = 5
"""Frames of a clip whose sharpness is measured, evenly spaced."""

RECORDED_OFFSET: Final = "recorded-offset"
"""Measure: offset of a clip as it was recorded, in frames; above 0 the picture is late."""

_SILENCE_DB: Final = -120.0
"""Loudness of a sound track of zeros."""

_MAX_TRUSTED_YAW_DEG: Final = 35.0
"""Yaw up to which landmarks are used to align a render's exact pose with the crop. Beyond it they give too
little yaw: measured on six renders, docs/decisions/0015."""


class Outcome(NamedTuple):
    """The result of one stretch of a face, or of a whole file."""

    key: str
    frames: int
    start_frame: int
    measures: dict[str, float]
    result: AlignedClip | Rejection


def prepare_source(
    source: Source, options: PrepareOptions, limits: dict[str, float], landmarker: FaceLandmarker
) -> Iterator[Outcome]:
    """Tracks and aligns every face of a file, decoding it once; holds one clip in memory at a time.

    Yields:
        An outcome for each clip, kept or not; a single rejection where no face was found.

    Raises:
        InputError: The file cannot be read to its end.
    """
    prepare = _prepare_photo if source.is_picture else _prepare_video
    count = 0
    for outcome in prepare(source, options, limits, landmarker):
        yield outcome
        count += 1
    if count == 0:
        yield Outcome(source.key, 0, 0, {}, Rejection("face", "face: none was found in any frame"))


def _prepare_video(
    source: Source, options: PrepareOptions, limits: dict[str, float], landmarker: FaceLandmarker
) -> Iterator[Outcome]:
    tracker = FaceTracker(landmarker, round(options.longest_s * FRAME_RATE), _WINDOW_SCALE * options.crop_px)
    aligner = _VideoAligner(source, options.crop_px, limits, options.offset)
    number = 0
    with SoundBuffer(source.path, source.start_s) as sound:
        for ended in _ended_clips(tracker, read_frames(source.path, source.start_s, source.end_s)):
            for face in ended:
                key = source.key if number == 0 else f"{source.key}@{number}"
                yield aligner.align(key, face, sound.cut(face.first, face.first + len(face.meshes)))
                number += 1
            sound.discard_before(tracker.earliest)


def _ended_clips(tracker: FaceTracker, frames: Iterator[Picture]) -> Iterator[list[FaceClip]]:
    for picture in frames:
        yield tracker.step(picture)
    yield tracker.finish()


class _VideoAligner:
    """Aligns and tests the face clips of one video."""

    def __init__(self, source: Source, side_px: int, limits: dict[str, float], offset: OffsetPolicy) -> None:
        self._source, self._side_px, self._limits, self._offset = source, side_px, limits, offset
        self._start = round(source.start_s * FRAME_RATE)
        self._truth = _read_truth(source)

    def align(self, key: str, face: FaceClip, sound: Waveform | None) -> Outcome:
        """Aligns one face clip, or rejects it; gates that need no pixels are tested first."""
        side, start = self._side_px, self._start + face.first
        meshes = smooth_meshes(fill_gaps(face.meshes), FRAME_RATE)
        transform = clip_transform(meshes, CropSpec(), side)
        measures = {
            "length": float(len(meshes)),
            "face-size": _face_height_px(meshes),
            "found": float(face.found.mean()),
            "sound": _level_db(sound),
        }
        if (rejection := apply_gates(measures, self._limits)) is not None:
            return Outcome(key, len(meshes), start, measures, rejection)
        crops = [
            crop_picture(window, _from_window(transform, to_window), side)
            for window, to_window in zip(face.windows, face.window_transforms, strict=True)
        ]
        in_crop = apply_transform(transform, meshes)
        sync = measure_sync(crops, in_crop, sound)
        late, moved = sync.offset_frames or 0, 0
        recorded = {} if sync.offset_frames is None else {RECORDED_OFFSET: float(late)}
        if sound is not None and self._offset == "correct" and abs(late) >= LEAST_CORRECTED_FRAMES:
            frames, sound = shift_sound(len(crops), sound, late)
            crops, in_crop, start, moved = crops[frames], in_crop[frames], start + frames.start, late
            sync = measure_sync(crops, in_crop, sound)
            measures |= {"length": float(len(crops)), "moved": float(moved)}
        measures |= {"sharpness": _sharpness(crops)} | sync.measures | recorded
        if self._offset == "keep":
            measures.pop("offset", None)
        if (rejection := apply_gates(measures, self._limits)) is not None:
            return Outcome(key, len(crops), start, measures, rejection)
        facts = self._source.facts | {
            "file": self._source.name,
            "start_frame": start,
            "measures": round_measures(measures),
        }
        if moved:
            facts["offset_corrected"] = moved
        pose, facts["truth"] = self._pose(pose_code(in_crop, side), start)
        film, lips = encode_pictures(crops), lips_shape(in_crop)
        clip = AlignedClip(key, facts, film, in_crop, pose, lips, transform, sound, side)
        return Outcome(key, len(crops), start, measures, clip)

    def _pose(self, fitted: Float32[np.ndarray, "time 12"], start: int) -> tuple[Float32[np.ndarray, "time 12"], bool]:
        """Returns the clip's pose codes, and whether their rotations are a render's exact ones."""
        if self._truth is None or len(self._truth) < start + len(fitted):
            return fitted, False
        return exact_pose(fitted, self._truth[start : start + len(fitted)]), True


def _prepare_photo(
    source: Source, options: PrepareOptions, limits: dict[str, float], landmarker: FaceLandmarker
) -> Iterator[Outcome]:
    side, picture = options.crop_px, read_picture(source.path)
    track = track_picture(picture, landmarker, source.path.name)
    transform = clip_transform(track.meshes, CropSpec(), side)
    mesh, crop = apply_transform(transform, track.meshes)[0], crop_picture(picture, transform, side)
    measures = {"face-size": _face_height_px(track.meshes), "sharpness": _sharpness([crop])}
    rejection = apply_gates(measures, limits)
    if rejection is not None:
        yield Outcome(source.key, 1, 0, measures, rejection)
        return
    rng = np.random.default_rng(zlib.crc32(source.key.encode()))
    facts = source.facts | {
        "file": source.name,
        "start_frame": 0,
        "measures": round_measures(measures),
        "truth": False,
    }

    def outcome(key: str, faces: list[tuple[Picture, Mesh]], more: dict[str, Any], sound: Waveform | None) -> Outcome:
        meshes = np.stack([mesh for _, mesh in faces])
        film = encode_pictures([face for face, _ in faces])
        pose, lips = pose_code(meshes, side), lips_shape(meshes)
        clip = AlignedClip(key, facts | more, film, meshes, pose, lips, transform, sound, side)
        return Outcome(key, len(faces), 0, measures, clip)

    turned = list(turned_copies(crop, mesh, options.turned, rng))
    yield outcome(source.key, turned, {"turned": len(turned) > 1}, None)
    if not options.drivers or not is_mouth_shut(mesh):
        return
    drawn = draw_driving_clips(options.drivers, source.facts["split"], options.spoken, rng)
    for number, driving in enumerate(drawn, 1):
        faces = list(animate_mouth(crop, mesh, driving.mouth, rng))
        yield outcome(f"{source.key}@{number}", faces, driving.facts, driving.sound)


def exact_pose(
    fitted: Float32[np.ndarray, "time 12"], truth_deg: Float[np.ndarray, "time 3"]
) -> Float32[np.ndarray, "time 12"]:
    """Replaces the rotations that were fitted to landmarks by a render's exact ones; place and size stay as fitted.

    The exact angles are relative to the camera. The crop is levelled and its viewing ray differs from the camera's
    axis, so one rotation per clip brings the angles into the crop's frame: the least-squares rotation between both
    over the frames whose landmarks can be trusted, or over all frames where there is none.

    Args:
        fitted: Pose codes.
        truth_deg: Yaw, pitch and roll of a render.

    Reference: the Kabsch algorithm (Kabsch, Acta Crystallographica A32, 1976).
    """
    from_landmarks = fitted[:, :9].reshape(-1, 3, 3).astype(np.float64)
    exact = rotation_from_angles(truth_deg.astype(np.float64))
    is_trusted = np.abs(angles_deg(from_landmarks)[:, 0]) < _MAX_TRUSTED_YAW_DEG
    chosen = is_trusted if is_trusted.any() else np.ones(len(exact), bool)
    left, _, right = np.linalg.svd(np.einsum("tij,tkj->ik", from_landmarks[chosen], exact[chosen]))
    left[:, 2] *= np.sign(np.linalg.det(left @ right))
    in_crop = (left @ right) @ exact
    return np.concatenate([in_crop.reshape(-1, 9), fitted[:, 9:]], axis=1).astype(np.float32)


def round_measures(measures: dict[str, float]) -> dict[str, float]:
    """Rounds measures to three digits, sorted by name, as the ledger stores them."""
    return {name: round(value, 3) for name, value in sorted(measures.items())}


def _read_truth(source: Source) -> Float[np.ndarray, "time 3"] | None:
    """Reads the exact angles that `pcavs synth` wrote beside a video; None where there are none, or no valid ones."""
    path = source.path.with_suffix(".json")
    if not path.is_file():
        return None
    try:
        angles = np.array(json.loads(path.read_text())["yaw_pitch_roll_deg"], np.float64)
    except (ValueError, KeyError, TypeError, OSError, OverflowError, RecursionError):
        return None
    return angles if angles.ndim == 2 and angles.shape[1] == 3 and np.isfinite(angles).all() else None


def _from_window(transform: CropTransform, to_window: CropTransform) -> CropTransform:
    """Returns the transform from pixels of a window to pixels of the crop.

    Args:
        transform: From pixels of the video to pixels of the crop.
        to_window: From pixels of the video to pixels of the window.
    """
    linear = transform[:, :2] @ np.linalg.inv(to_window[:, :2])
    return np.column_stack([linear, transform[:, 2] - linear @ to_window[:, 2]])


def _face_height_px(meshes: Float32[np.ndarray, "time 478 3"]) -> float:
    return float(np.ptp(meshes[:, :, 1], axis=1).mean())


def _sharpness(crops: list[Picture]) -> float:
    """Returns the standard deviation of the luma's Laplacian in the crop's middle half; the median over a few frames.

    In levels of 255, at `_SHARPNESS_PX`.
    """
    values = []
    for index in np.linspace(0, len(crops) - 1, min(_SHARPNESS_FRAMES, len(crops))).astype(int):
        small = cv2.resize(crops[index], (_SHARPNESS_PX, _SHARPNESS_PX), interpolation=cv2.INTER_AREA)
        quarter = _SHARPNESS_PX // 4
        face = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)[quarter:-quarter, quarter:-quarter]
        values.append(float(cv2.Laplacian(face, cv2.CV_32F).std()))
    return float(np.median(values))


def _level_db(sound: Waveform | None) -> float:
    """Returns the mean power in decibels of full scale, at least `_SILENCE_DB`; `NO_SOUND_DB` without a sound track."""
    if sound is None:
        return NO_SOUND_DB
    power = float(np.square(sound, dtype=np.float64).mean())
    return max(_SILENCE_DB, 10 * math.log10(power)) if power > 0 else _SILENCE_DB
