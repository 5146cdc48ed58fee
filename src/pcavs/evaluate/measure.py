"""One film against what it should be: a row of numbers."""

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from pcavs.evaluate.observe import Heard, Seen, Tools, identity_of
from pcavs.face.regions import (
    FACE_OVAL,
    LEFT_EYE_SIX,
    LIPS,
    OUTER_LIPS,
    RIGHT_EYE_SIX,
    RIGID,
    interocular_distance,
)
from pcavs.metrics.curves import angle_error, follows, relative_angle_error
from pcavs.metrics.flicker import flicker
from pcavs.metrics.identity import Embedding, mean_cosine
from pcavs.metrics.image import cpbd, laplacian_spread, psnr, ssim
from pcavs.metrics.landmark import (
    blinks_a_minute,
    jitter,
    landmark_distance,
    lid_opening,
    motion_rms,
    shape_distance,
)
from pcavs.metrics.mouth import area_error, area_mask
from pcavs.metrics.sync import compare
from pcavs.metrics.syncnet import compare_published, syncnet_faces

_FACE: Final = [*FACE_OVAL, *LIPS, *LEFT_EYE_SIX, *RIGHT_EYE_SIX, *RIGID]
_EVERY_PICTURE: Final = 5
_MM_PER_CM: Final = 10

Row = dict[str, float]


class Expected(NamedTuple):
    """What a film should be like; None where nobody knows."""

    truth: Seen | None = None
    """The same moments on film."""
    angles: Float[np.ndarray, "time 3"] | None = None
    """Head pose of its pose source, as that source's own film has it, degrees."""
    heard: Heard | None = None
    """Its sound."""
    silent: Bool[np.ndarray, " time"] | None = None
    """Frames whose sound is silent."""
    identity: dict[str, Embedding] | None = None
    """Embeddings of the identity reference, by embedder."""


def measure(film: Seen, expected: Expected, tools: Tools, alone: Row | None = None) -> Row:
    """Measures everything that can be measured of a film (docs/evaluate.md says what each number is).

    Args:
        film: As it is seen.
        expected: What it should be like.
        tools: The judges.
        alone: What `measure_alone` says of a film with the same pictures, where that is known.
    """
    row = dict(alone or measure_alone(film))
    if expected.truth is not None:
        row |= _against_truth(film, expected.truth)
        row |= _unlike(film, expected.truth, tools)
    if expected.angles is not None:
        row |= _head(film, expected.angles)
    if expected.heard is not None:
        row |= measure_sync(film, expected.heard, tools)
    if expected.silent is not None:
        silent = expected.silent[: len(film.lips)]
        row["silent_lips_cm_s"] = motion_rms(film.lips.reshape(len(film.lips), -1, 2), silent)
    for embedder in tools.embedders:
        if expected.identity and embedder.name in expected.identity:
            row[f"cosine {embedder.name}"] = mean_cosine(identity_of(film, embedder), expected.identity[embedder.name])
    return row


def measure_alone(film: Seen) -> Row:
    """Measures what needs nothing to compare with."""
    eyes = interocular_distance(film.meshes)[:, None, None]
    lids = np.minimum(lid_opening(film.meshes[:, LEFT_EYE_SIX]), lid_opening(film.meshes[:, RIGHT_EYE_SIX]))
    return {
        "found": film.found,
        "cpbd": float(np.mean([cpbd(face) for face in film.faces[::_EVERY_PICTURE]])),
        "mouth_sharpness": float(np.mean(_mouth_sharpness(film))),
        "flicker": flicker(film.faces),
        "jitter": jitter((film.raw / eyes)[:, list(RIGID), :2]),
        "blinks": blinks_a_minute(lids),
        "opening_mean": float(film.opening.mean()),
        "opening_spread": float(film.opening.std()),
    }


def _mouth_sharpness(film: Seen) -> list[float]:
    side = film.faces[0].shape[0]
    frames = range(0, len(film.faces), _EVERY_PICTURE)
    return [laplacian_spread(film.faces[t], area_mask(film.meshes[t], OUTER_LIPS, side)) for t in frames]


def _against_truth(film: Seen, truth: Seen) -> Row:
    count = min(len(film.faces), len(truth.faces))
    pairs = list(zip(film.faces[:count], truth.faces[:count], strict=True))
    masks = [area_mask(mesh, OUTER_LIPS, truth.faces[0].shape[0]) for mesh in truth.meshes[:count]]
    eyes = interocular_distance(truth.meshes[:count])
    mouth = landmark_distance(film.meshes[:count, LIPS, :2], truth.meshes[:count, LIPS, :2])
    face = landmark_distance(film.meshes[:count, _FACE, :2], truth.meshes[:count, _FACE, :2])
    shapes = [each.lips[:count].reshape(count, -1, 2) for each in (film, truth)]
    opened = follows(film.opening[:count].astype(np.float64), truth.opening[:count].astype(np.float64))
    return {
        "ssim": float(np.mean([ssim(*pair) for pair in pairs])),
        # The mean of decibels, with equal frames at 60, the most that 8 bits tell.
        "psnr": float(np.mean([min(psnr(*pair), 60.0) for pair in pairs])),
        "mouth_error": float(np.mean([area_error(*pair, mask) for pair, mask in zip(pairs, masks, strict=True)])),
        "mouth_lmd_px": float(mouth.mean()),
        "mouth_lmd": float((mouth / eyes).mean()),
        "face_lmd": float((face / eyes).mean()),
        "mouth_shape_mm": float(shape_distance(*shapes).mean()) * _MM_PER_CM,
        "opening_follows": opened.correlation,
        "opening_lag": float(opened.lag_frames),
    }


def _unlike(film: Seen, truth: Seen, tools: Tools) -> Row:
    frames = range(0, min(len(film.faces), len(truth.faces)), _EVERY_PICTURE)
    return {
        each.name: float(np.mean([each.distance(film.faces[t], truth.faces[t]) for t in frames]))
        for each in tools.distances
    }


def _head(film: Seen, angles: Float[np.ndarray, "time 3"]) -> Row:
    count = min(len(film.angles), len(angles))
    made, wanted = film.angles[:count], angles[:count]
    row: Row = {}
    for axis, name in enumerate(("yaw", "pitch", "roll")):
        row[f"{name}_error"] = float(angle_error(made, wanted)[axis])
        row[f"{name}_motion_error"] = float(relative_angle_error(made, wanted)[axis])
        curve = follows(made[:, axis], wanted[:, axis])
        row[f"{name}_follows"], row[f"{name}_lag"] = curve.correlation, float(curve.lag_frames)
        row[f"{name}_range"] = float(wanted[:, axis].std())
    return row


def measure_sync(film: Seen, heard: Heard, tools: Tools) -> Row:
    """Judges a film with a sound alone."""
    count = min(len(film.crops), len(heard.ours) + 4)
    score = compare(tools.judge.seen(film.crops[:count], film.lips[:count]), heard.ours[: count - 4])
    row = {
        "sync_confidence": score.confidence,
        "sync_distance": score.distance,
        "sync_offset": float(score.offset_frames),
        "sync_likeness": score.likeness,
    }
    if tools.syncnet is not None and heard.syncnet is not None:
        published = compare_published(tools.syncnet.seen(syncnet_faces(film.faces, film.meshes)), heard.syncnet)
        row["syncnet_confidence"], row["syncnet_distance"] = published.confidence, published.distance
        row["syncnet_offset"] = float(published.offset_frames)
    return row
