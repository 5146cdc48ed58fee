"""The leakage audit: what a linear probe reads from codes that should not contain it.

Reference: Zhou et al., "Pose-controllable talking face generation by implicitly modularized audio-visual
representation", CVPR 2021, section 3.1, claims that identity, speech and pose are separate.
"""

from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64

from pcavs.animate.talker import Talker
from pcavs.evaluate.clips import EvaluationClip
from pcavs.evaluate.films import check_crop, encode_poses, network_faces
from pcavs.metrics.curves import correlation

_RIDGE: Final = 1e-2
"""Ridge penalty relative to the codes' variance: keeps a probe with more inputs than frames from overfitting. Tuned by
hand; not measured."""
_FRAME_STEP: Final = 3
"""Every third frame is encoded; neighbouring frames are nearly equal. Tuned by hand; not measured."""
_BATCH: Final = 16
"""Faces per inference call. Tuned by hand; not measured."""
_FOLDS: Final = 5
"""Folds of the cross-validation of the mouth probe."""
_PERSON_SHUFFLES: Final = 20
_MOUTH_SHUFFLES: Final = 3
"""Repetitions over which the scores by chance are averaged; the mouth's are slower and vary less. Tuned by hand; not
measured."""
_MIN_STD: Final = 1e-9
"""Keeps the division finite for a code that does not vary."""


class Probe(NamedTuple):
    """The score of a linear probe."""

    score: float
    chance: float
    """Score with shuffled labels."""


class ClipCodes(NamedTuple):
    """The codes of every third frame of a clip."""

    key: str
    person: str
    pose: Float32[np.ndarray, "frames pose"]
    content: Float32[np.ndarray, "frames content"]
    opening: Float32[np.ndarray, " frames"]
    """Mouth opening in eye distances."""


def encode_clip(talker: Talker, clip: EvaluationClip, opening: list[float]) -> ClipCodes:
    """Encodes every third frame of a clip.

    Args:
        talker: Its pose and motion encoders are used.
        clip: The clip.
        opening: Mouth opening of every frame of the ground truth.

    Raises:
        InputError: The talker was trained on another crop than an evaluation uses.
    """
    check_crop(talker)
    faces = clip.faces[::_FRAME_STEP]
    small = network_faces(talker.runtime.spec, faces)
    content = [talker.runtime.encode_lips(small[first : first + _BATCH]) for first in range(0, len(small), _BATCH)]
    openings = np.asarray(opening, np.float32)[::_FRAME_STEP]
    return ClipCodes(clip.key, clip.person, encode_poses(talker, faces), np.concatenate(content), openings)


def audit(codes: list[ClipCodes]) -> dict[str, Any]:
    """Probes pose and content codes for the person and for the mouth opening."""
    people = sorted({clip.person for clip in codes})
    report: dict[str, Any] = {"people": len(people), "clips": len(codes), "probes": {}}
    for name in ("pose", "content"):
        values = [getattr(clip, name) for clip in codes]
        report["probes"][f"person from {name} code"] = probe_person(values, [clip.person for clip in codes])._asdict()
        report["probes"][f"mouth from {name} code"] = probe_mouth(values, [clip.opening for clip in codes])._asdict()
    return report


def probe_person(codes: list[Float32[np.ndarray, "_ dim"]], people: list[str]) -> Probe:
    """Measures the share of frames whose person a linear probe names correctly, averaged over people.

    The probe is fitted to one half of each person's clips and tested on the other half. The frames of a person with
    one clip are halved in time; framing and light of that clip then help the probe.
    """
    names = sorted(set(people))
    train, test = _halves(codes, [names.index(person) for person in people])
    rng = np.random.default_rng(0)
    chance = [_accuracy(train[0], rng.permutation(train[1]), *test, len(names)) for _ in range(_PERSON_SHUFFLES)]
    return Probe(_accuracy(*train, *test, len(names)), float(np.mean(chance)))


Labelled = tuple[Float[np.ndarray, "_ dim"], Int64[np.ndarray, " _"]]
"""Codes and the label of each."""


def _halves(codes: list[Float32[np.ndarray, "_ dim"]], labels: list[int]) -> tuple[Labelled, Labelled]:
    halves: tuple[list[tuple[np.ndarray, int]], list[tuple[np.ndarray, int]]] = ([], [])
    for label in sorted(set(labels)):
        own = [code for code, each in zip(codes, labels, strict=True) if each == label]
        if len(own) == 1:
            own = np.array_split(own[0], 2)
        for number, code in enumerate(own):
            halves[number % 2].append((code, label))
    train, test = (
        (
            np.concatenate([code for code, _ in half]).astype(np.float64),
            np.concatenate([np.full(len(code), label) for code, label in half]),
        )
        for half in halves
    )
    return train, test


def _accuracy(
    codes: Float[np.ndarray, "n dim"],
    labels: Int64[np.ndarray, " n"],
    test_codes: Float[np.ndarray, "m dim"],
    test_labels: Int64[np.ndarray, " m"],
    count: int,
) -> float:
    targets = np.eye(count)[labels]
    # People with many frames weigh no more than others.
    weights = 1 / np.maximum(np.bincount(labels, minlength=count), 1)[labels]
    guesses = _ridge(codes, targets, test_codes, weights).argmax(axis=1)
    right = [(guesses[test_labels == label] == label).mean() for label in np.unique(test_labels)]
    return float(np.mean(right))


def probe_mouth(codes: list[Float32[np.ndarray, "_ dim"]], openings: list[Float32[np.ndarray, " _"]]) -> Probe:
    """Measures the correlation of the mouth opening with a linear probe's estimate, in clips it was not fitted to.

    Each clip's mean is subtracted from codes and openings, so that knowing the person does not help. Chance: the
    openings of each clip are shuffled in time.
    """
    codes = [code.astype(np.float64) - code.mean(axis=0, dtype=np.float64) for code in codes]
    targets = [opening.astype(np.float64) - opening.mean(dtype=np.float64) for opening in openings]
    rng = np.random.default_rng(0)
    chance = [_cross_validated(codes, [rng.permutation(target) for target in targets]) for _ in range(_MOUTH_SHUFFLES)]
    return Probe(_cross_validated(codes, targets), float(np.mean(chance)))


def _cross_validated(codes: list[Float[np.ndarray, "_ dim"]], targets: list[Float[np.ndarray, " _"]]) -> float:
    """Averages the correlation of estimate and target over clips; each clip is estimated from the other folds."""
    folds = np.arange(len(codes)) % min(_FOLDS, len(codes))
    scores = []
    for fold in np.unique(folds):
        inside = [index for index in range(len(codes)) if folds[index] != fold]
        outside = [index for index in range(len(codes)) if folds[index] == fold]
        train_codes = np.concatenate([codes[index] for index in inside])
        train_targets = np.concatenate([targets[index] for index in inside])[:, None]
        for index in outside:
            estimate = _ridge(train_codes, train_targets, codes[index], np.ones(len(train_codes)))[:, 0]
            scores.append(correlation(estimate, targets[index]))
    return float(np.mean(scores))


def _ridge(
    codes: Float[np.ndarray, "n dim"],
    targets: Float[np.ndarray, "n outputs"],
    test_codes: Float[np.ndarray, "m dim"],
    weights: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "m outputs"]:
    """Fits a weighted ridge regression with intercept in closed form and applies it to `test_codes`."""
    weights = weights / weights.sum()
    mean, intercept = weights @ codes, weights @ targets
    std = np.sqrt(weights @ np.square(codes - mean)) + _MIN_STD
    left, right = (codes - mean) / std, (test_codes - mean) / std
    gram = left.T @ (weights[:, None] * left) + _RIDGE * np.eye(left.shape[1])
    return right @ np.linalg.solve(gram, left.T @ (weights[:, None] * (targets - intercept))) + intercept
