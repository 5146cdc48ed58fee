"""The leakage audit: what a probe reads from codes that should not hold it (Zhou et al., CVPR 2021, section 3.1)."""

from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int64

from pcavs.animate.talker import Talker
from pcavs.evaluate.clips import Case
from pcavs.evaluate.films import check_crop, encode_poses, frames_for
from pcavs.metrics.mouth import correlation

_RIDGE: Final = 1e-2
"""Of the codes' own variance: keeps a probe with more numbers than frames honest."""
_EVERY: Final = 3
_BATCH: Final = 16
_FOLDS: Final = 5
_SHUFFLES: Final = 20


class Probe(NamedTuple):
    """What a linear probe reads, and what it reads by chance."""

    read: float
    chance: float


class CodesOf(NamedTuple):
    """The codes of one clip's frames, every third."""

    key: str
    person: str
    pose: Float32[np.ndarray, "frames pose"]
    content: Float32[np.ndarray, "frames content"]
    opening: Float32[np.ndarray, " frames"]


def codes_of(talker: Talker, case: Case, opening: list[float]) -> CodesOf:
    """Encodes every third frame of a clip; the opening is the tracker's of the true film.

    Raises:
        InputError: The encoders were trained on another crop than this evaluation makes.
    """
    check_crop(talker)
    faces = case.faces[::_EVERY]
    small = frames_for(talker.runtime.spec, faces)
    lips = [talker.runtime.encode_lips(small[first : first + _BATCH]) for first in range(0, len(small), _BATCH)]
    opened = np.asarray(opening, np.float32)[::_EVERY]
    return CodesOf(case.key, case.person, encode_poses(talker, faces), np.concatenate(lips), opened)


def audit(codes: list[CodesOf]) -> dict[str, Any]:
    """Probes pose and content codes for the person, and the pose code for the mouth."""
    people = sorted({clip.person for clip in codes})
    report: dict[str, Any] = {"people": len(people), "clips": len(codes), "probes": {}}
    for name in ("pose", "content"):
        values = [getattr(clip, name) for clip in codes]
        report["probes"][f"person from {name} code"] = read_person(values, [clip.person for clip in codes])._asdict()
        report["probes"][f"mouth from {name} code"] = read_mouth(values, [clip.opening for clip in codes])._asdict()
    return report


def read_person(codes: list[Float32[np.ndarray, "_ dim"]], people: list[str]) -> Probe:
    """Share of frames whose person a linear probe names, averaged over people; chance by shuffled names.

    A person's clips are halved: the probe learns from one half and is asked about the other. Of a person with one
    clip the first half of the frames is learnt from: such a clip's own place and light help the probe.
    """
    names = sorted(set(people))
    learnt, asked = _halves(codes, [names.index(person) for person in people])
    rng = np.random.default_rng(0)
    chance = [_accuracy(learnt[0], rng.permutation(learnt[1]), *asked, len(names)) for _ in range(_SHUFFLES)]
    return Probe(_accuracy(*learnt, *asked, len(names)), float(np.mean(chance)))


Labelled = tuple[Float[np.ndarray, "_ dim"], Int64[np.ndarray, " _"]]


def _halves(codes: list[Float32[np.ndarray, "_ dim"]], labels: list[int]) -> tuple[Labelled, Labelled]:
    halves: tuple[list[tuple[np.ndarray, int]], list[tuple[np.ndarray, int]]] = ([], [])
    for label in sorted(set(labels)):
        own = [code for code, each in zip(codes, labels, strict=True) if each == label]
        if len(own) == 1:
            own = np.array_split(own[0], 2)
        for number, code in enumerate(own):
            halves[number % 2].append((code, label))
    learnt, asked = (
        (
            np.concatenate([code for code, _ in half]).astype(np.float64),
            np.concatenate([np.full(len(code), label) for code, label in half]),
        )
        for half in halves
    )
    return learnt, asked


def _accuracy(
    codes: Float[np.ndarray, "n dim"],
    labels: Int64[np.ndarray, " n"],
    asked: Float[np.ndarray, "m dim"],
    answers: Int64[np.ndarray, " m"],
    count: int,
) -> float:
    wanted = np.eye(count)[labels]
    # A person with many frames must not drown the others.
    weights = 1 / np.maximum(np.bincount(labels, minlength=count), 1)[labels]
    guesses = _ridge(codes, wanted, asked, weights).argmax(axis=1)
    right = [(guesses[answers == label] == label).mean() for label in np.unique(answers)]
    return float(np.mean(right))


def read_mouth(codes: list[Float32[np.ndarray, "_ dim"]], openings: list[Float32[np.ndarray, " _"]]) -> Probe:
    """Correlation of the mouth's opening with what a linear probe reads, in clips it has not learnt from.

    Codes and openings are taken less their clip's average: who somebody is, is no help. Chance: openings of other
    moments.
    """
    codes = [code.astype(np.float64) - code.mean(axis=0, dtype=np.float64) for code in codes]
    targets = [opening.astype(np.float64) - opening.mean(dtype=np.float64) for opening in openings]
    rng = np.random.default_rng(0)
    shuffled = [_read_curve(codes, [rng.permutation(target) for target in targets]) for _ in range(3)]
    return Probe(_read_curve(codes, targets), float(np.mean(shuffled)))


def _read_curve(codes: list[Float[np.ndarray, "_ dim"]], targets: list[Float[np.ndarray, " _"]]) -> float:
    folds = np.arange(len(codes)) % min(_FOLDS, len(codes))
    read = []
    for fold in np.unique(folds):
        inside = [index for index in range(len(codes)) if folds[index] != fold]
        outside = [index for index in range(len(codes)) if folds[index] == fold]
        learnt = np.concatenate([codes[index] for index in inside])
        wanted = np.concatenate([targets[index] for index in inside])[:, None]
        for index in outside:
            guess = _ridge(learnt, wanted, codes[index], np.ones(len(learnt)))[:, 0]
            read.append(correlation(guess, targets[index]))
    return float(np.mean(read))


def _ridge(
    codes: Float[np.ndarray, "n dim"],
    wanted: Float[np.ndarray, "n outputs"],
    asked: Float[np.ndarray, "m dim"],
    weights: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "m outputs"]:
    """Linear regression with a constant and a small penalty, in closed form."""
    weights = weights / weights.sum()
    mean, middle = weights @ codes, weights @ wanted
    spread = np.sqrt(weights @ np.square(codes - mean)) + 1e-9
    left, right = (codes - mean) / spread, (asked - mean) / spread
    gram = left.T @ (weights[:, None] * left) + _RIDGE * np.eye(left.shape[1])
    return right @ np.linalg.solve(gram, left.T @ (weights[:, None] * (wanted - middle))) + middle
