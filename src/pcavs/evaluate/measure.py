"""Measures one film against its reference: a row of metrics (docs/evaluate.md lists them)."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from pcavs.evaluate.observe import Judges, Observation, SoundEmbeddings, identity_embeddings
from pcavs.evaluate.phonemes import bilabials, open_vowels
from pcavs.face.regions import (
    FACE_OVAL,
    LEFT_EYE_SIX,
    LIPS,
    OUTER_LIPS,
    RIGHT_EYE_SIX,
    RIGID,
    interocular_distance,
    mouth_opening,
)
from pcavs.metrics.closure import closed_limit, lips_meet, lips_meet_amid
from pcavs.metrics.curves import angle_error, lagged_correlation, relative_angle_error
from pcavs.metrics.flicker import flicker
from pcavs.metrics.identity import Embedding, mean_cosine
from pcavs.metrics.image import cpbd, laplacian_std, psnr, ssim
from pcavs.metrics.landmark import (
    blinks_per_minute,
    eye_aspect_ratio,
    jitter,
    landmark_distance,
    rms_speed,
    shape_distance,
)
from pcavs.metrics.mouth import masked_error, polygon_mask
from pcavs.metrics.sync import EDGE_FRAMES, confidence_at_0, score_sync
from pcavs.metrics.syncnet import score_syncnet, syncnet_faces
from pcavs.voices.phonemes import Phoneme

_FACE: Final = [*FACE_OVAL, *LIPS, *LEFT_EYE_SIX, *RIGHT_EYE_SIX, *RIGID]
FRAME_STEP: Final = 5
"""Slow metrics (CPBD, sharpness, LPIPS) use every fifth frame. Tuned by hand; not measured."""
_MAX_PSNR_DB: Final = 60.0
"""Equal frames have an infinite PSNR, which no mean survives; they count as this. Tuned by hand; not measured."""
_MM_PER_CM: Final = 10
FOLLOW_LAG_FRAMES: Final = 4
"""Lags within which the best correlation with the truth is taken: picture and sound of found clips are often apart by
1 to 3 frames themselves, and a film follows the sound."""

Row = dict[str, float]
"""Metrics of one film by key (`pcavs.evaluate.catalogue.METRICS`)."""


class Reference(NamedTuple):
    """What a film is compared with; None where a protocol has no such reference."""

    truth: Observation | None = None
    """The ground truth of the same moments."""
    is_same_head: bool = True
    """Whether the head moves as in the truth, so that pixels and places in the picture compare."""
    phonemes: tuple[Phoneme, ...] = ()
    """What is said in the truth."""
    angles_deg: Float[np.ndarray, "time 3"] | None = None
    """Head angles of the pose source."""
    sound: SoundEmbeddings | None = None
    """The film's own sound."""
    wrong_sounds: Mapping[str, SoundEmbeddings] = MappingProxyType({})
    """Sounds that do not belong to the film, by name; the sync judge should not like them."""
    silent: Bool[np.ndarray, " time"] | None = None
    """Frames whose sound is silent."""
    identity: dict[str, Embedding] | None = None
    """Embedding of the identity reference by embedder."""


def measure(film: Observation, reference: Reference, judges: Judges, own_metrics: Row | None = None) -> Row:
    """Computes all metrics for which the reference has what they need.

    Args:
        film: The film.
        reference: What to compare it with.
        judges: The judges.
        own_metrics: Result of `measure_without_reference` if it is known already.
    """
    row = dict(own_metrics or measure_without_reference(film))
    if reference.truth is not None:
        row |= measure_following(film, reference.truth, reference.phonemes)
        if reference.is_same_head:
            row |= _truth_metrics(film, reference.truth)
            row |= _perceptual_distances(film, reference.truth, judges)
    if reference.angles_deg is not None:
        row |= _head_metrics(film, reference.angles_deg)
    if reference.sound is not None:
        row |= measure_sync(film, reference.sound, judges)
        for name, sound in reference.wrong_sounds.items():
            scores = sync_scores(film, sound, judges)
            row |= {f"{name}_{key}": scores[key] for key in ("sync_confidence", "sync_confidence_at_0")}
    if reference.silent is not None:
        silent = reference.silent[: len(film.lips)]
        row["silent_lip_speed_cm_s"] = rms_speed(film.lips.reshape(len(film.lips), -1, 2), silent)
    for embedder in judges.embedders:
        if reference.identity and embedder.name in reference.identity:
            embeddings = identity_embeddings(film, embedder)
            row[f"cosine {embedder.name}"] = mean_cosine(embeddings, reference.identity[embedder.name])
    return row


def measure_without_reference(film: Observation) -> Row:
    """Computes the metrics that need the film only."""
    eyes = interocular_distance(film.meshes)[:, None, None]
    eye_ratios = [eye_aspect_ratio(film.meshes[:, points]) for points in (LEFT_EYE_SIX, RIGHT_EYE_SIX)]
    return {
        "face_found": film.found_share,
        "cpbd": float(np.mean([cpbd(face) for face in film.faces[::FRAME_STEP]])),
        "mouth_sharpness": float(np.mean(_mouth_sharpness(film))),
        "flicker": flicker(film.faces),
        "landmark_jitter": jitter((film.raw_meshes / eyes)[:, list(RIGID), :2]),
        "blinks_per_minute": blinks_per_minute(np.minimum(*eye_ratios)),
        "opening_mean": float(film.opening.mean()),
        "opening_std": float(film.opening.std()),
    }


def _mouth_sharpness(film: Observation) -> list[float]:
    side = film.faces[0].shape[0]
    frames = range(0, len(film.faces), FRAME_STEP)
    return [laplacian_std(film.faces[t], polygon_mask(film.meshes[t], OUTER_LIPS, side)) for t in frames]


def measure_following(film: Observation, truth: Observation, phonemes: tuple[Phoneme, ...] = ()) -> Row:
    """Measures how well a film's mouth follows that of the truth, whatever the head does.

    Opening and width are correlated at no lag and at the best lag within `FOLLOW_LAG_FRAMES`. With phonemes, tells
    whether the lips meet where the speech of the truth demands it (`metrics.closure`).
    """
    count = min(len(film.opening), len(truth.opening))
    pairs = [
        (film.opening[:count].astype(np.float64), truth.opening[:count].astype(np.float64)),
        (film.width[:count].astype(np.float64), truth.width[:count].astype(np.float64)),
    ]
    far = lagged_correlation(*pairs[0])
    opening, width = (lagged_correlation(*pair, FOLLOW_LAG_FRAMES) for pair in pairs)
    shapes = [each.lips[:count].reshape(count, -1, 2) for each in (film, truth)]
    row = {
        "opening_correlation": far.correlation,
        "opening_lag": float(far.lag_frames),
        "opening_best": opening.peak,
        "width_correlation": width.correlation,
        "width_best": width.peak,
        "lip_shape_error_mm": float(shape_distance(*shapes).mean()) * _MM_PER_CM,
    }
    return row | _closures(film, truth, phonemes)


def _closures(film: Observation, truth: Observation, phonemes: tuple[Phoneme, ...]) -> Row:
    """Tells how often the lips meet in m, b and p, and in open vowels. Landmarks are unsmoothed: a stop lasts 60 ms."""
    opening = mouth_opening(film.raw_meshes)
    limit = closed_limit(mouth_opening(truth.raw_meshes).astype(np.float64))
    met = lips_meet(opening, limit, bilabials(phonemes))
    amid = lips_meet_amid(opening, limit, open_vowels(phonemes))
    row: Row = {}
    if met:
        row |= {"bilabials": float(len(met)), "bilabials_closed": float(np.mean(met))}
    if amid:
        row["vowels_closed"] = float(np.mean(amid))
    return row


def _truth_metrics(film: Observation, truth: Observation) -> Row:
    count = min(len(film.faces), len(truth.faces))
    pairs = list(zip(film.faces[:count], truth.faces[:count], strict=True))
    masks = [polygon_mask(mesh, OUTER_LIPS, truth.faces[0].shape[0]) for mesh in truth.meshes[:count]]
    mouth_errors = [masked_error(*pair, mask) for pair, mask in zip(pairs, masks, strict=True)]
    return face_distances(film, truth) | {
        "ssim": float(np.mean([ssim(*pair) for pair in pairs])),
        "psnr": float(np.mean([min(psnr(*pair), _MAX_PSNR_DB) for pair in pairs])),
        "mouth_area_error": float(np.mean(mouth_errors)),
    }


def face_distances(film: Observation, truth: Observation) -> Row:
    """Measures the distances of landmarks of mouth and face (LMD); the longer film is cut."""
    count = min(len(film.meshes), len(truth.meshes))
    eyes = interocular_distance(truth.meshes[:count])
    mouth = landmark_distance(film.meshes[:count, LIPS, :2], truth.meshes[:count, LIPS, :2])
    face = landmark_distance(film.meshes[:count, _FACE, :2], truth.meshes[:count, _FACE, :2])
    return {
        "mouth_lmd_px": float(mouth.mean()),
        "mouth_lmd": float((mouth / eyes).mean()),
        "face_lmd_px": float(face.mean()),
        "face_lmd": float((face / eyes).mean()),
    }


def _perceptual_distances(film: Observation, truth: Observation, judges: Judges) -> Row:
    frames = range(0, min(len(film.faces), len(truth.faces)), FRAME_STEP)
    return {
        each.name: float(np.mean([each.distance(film.faces[t], truth.faces[t]) for t in frames]))
        for each in judges.perceptual
    }


def _head_metrics(film: Observation, source_deg: Float[np.ndarray, "time 3"]) -> Row:
    """Compares the head's angles with those of the pose source."""
    count = min(len(film.angles_deg), len(source_deg))
    made, source = film.angles_deg[:count], source_deg[:count]
    row: Row = {}
    for axis, name in enumerate(("yaw", "pitch", "roll")):
        row[f"{name}_error"] = float(angle_error(made, source)[axis])
        row[f"{name}_motion_error"] = float(relative_angle_error(made, source)[axis])
        match = lagged_correlation(made[:, axis], source[:, axis])
        row[f"{name}_correlation"], row[f"{name}_lag"] = match.correlation, float(match.lag_frames)
        row[f"source_{name}_std"] = float(source[:, axis].std())
    return row


def measure_sync(film: Observation, sound: SoundEmbeddings, judges: Judges) -> Row:
    """Scores a film against a sound with the sync judges."""
    row = sync_scores(film, sound, judges)
    if judges.syncnet is not None and sound.syncnet is not None:
        faces = judges.syncnet.embed_faces(syncnet_faces(film.faces, film.meshes))
        published = score_syncnet(faces, sound.syncnet)
        row["syncnet_confidence"], row["syncnet_distance"] = published.confidence, published.distance
        row["syncnet_offset"] = float(published.offset_frames)
    return row


def sync_scores(film: Observation, sound: SoundEmbeddings, judges: Judges) -> Row:
    """Scores a film against a sound with the project's own judge; the longer of the two is cut."""
    count = min(len(film.crops), len(sound.sync) + 2 * EDGE_FRAMES)
    mouth = judges.sync.embed_mouth(film.crops[:count], film.lips[:count])
    heard = sound.sync[: len(mouth)]
    score = score_sync(mouth, heard)
    return {
        "sync_confidence": score.confidence,
        "sync_confidence_at_0": confidence_at_0(mouth, heard),
        "sync_distance": score.distance,
        "sync_offset": float(score.offset_frames),
        "sync_cosine": score.cosine,
    }
