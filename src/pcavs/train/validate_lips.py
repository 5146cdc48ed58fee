"""Validation of stage `speech`: how well lip shapes read from speech follow those of held-out clips."""

from typing import Final

import numpy as np
import torch
from jaxtyping import Float
from torch import nn

from pcavs.data.corpus import Corpus
from pcavs.face.regions import LIPS
from pcavs.models.speech import StateEncoder
from pcavs.train.stage import Model, TrainingHeads, step_rng
from pcavs.train.validation import VALIDATION_SEED

NUM_CLIPS: Final = 96
"""Stretches of held-out clips that are drawn; the same in all runs."""

NUM_FRAMES: Final = 75
"""Frames of a stretch: 3 s, the length of most of the clips."""

_MIN_SPREAD_CM: Final = 1e-3
"""Standard deviation below which an opening counts as constant, and its correlation as 0."""

_UPPER, _LOWER, _LEFT, _RIGHT = (LIPS.index(point) for point in (13, 14, 61, 291))
"""Places of the inner lips' middles and of the mouth's corners in a lip shape."""


@torch.no_grad()
def validate_lips(model: Model, heads: nn.Module, corpus: Corpus) -> dict[str, float]:
    """Computes scores on a fixed draw of held-out clips, the mean over each source's speakers, then over sources.

    - `opening_heard`, `width_heard`: correlation of the mouth's opening and width, read from speech, with the clip's.
    - `opening_shifted`: the same with the speech of half a second later.
    - `opening_heard_SOURCE`: of one source.
    """
    assert isinstance(model.speech, StateEncoder)
    assert isinstance(heads, TrainingHeads)
    encoder, device = model.speech, next(model.parameters()).device
    drawn = corpus.stretches(step_rng(VALIDATION_SEED, 0), NUM_CLIPS, NUM_FRAMES, 1)
    content = encoder.sequence(drawn.states.to(device))
    read = heads.read_lips(content.flatten(0, 1)).unflatten(0, content.shape[:2]).float().cpu().numpy()
    true, late = drawn.lips.numpy(), np.roll(read, NUM_FRAMES // 6, axis=1)
    rows = {
        "opening_heard": [_correlation(opening(a), opening(b)) for a, b in zip(read, true, strict=True)],
        "opening_shifted": [_correlation(opening(a), opening(b)) for a, b in zip(late, true, strict=True)],
        "width_heard": [_correlation(width(a), width(b)) for a, b in zip(read, true, strict=True)],
    }
    scores: dict[str, float] = {}
    for name, values in rows.items():
        by_source = _by_source(
            values,
            [corpus.entries[clip].source for clip in drawn.clip.tolist()],
            [corpus.entries[clip].speaker for clip in drawn.clip.tolist()],
        )
        scores[name] = float(np.mean(list(by_source.values())))
        if name == "opening_heard":
            scores |= {f"{name}_{source}": value for source, value in by_source.items()}
    return {name: round(value, 4) for name, value in scores.items()}


def opening(lips: Float[np.ndarray, "time lip_numbers"]) -> Float[np.ndarray, " time"]:
    """Returns how far the inner lips' middles are apart vertically, in cm; without the mean, less a constant."""
    points = lips.reshape(len(lips), len(LIPS), 2)
    return points[:, _LOWER, 1] - points[:, _UPPER, 1]


def width(lips: Float[np.ndarray, "time lip_numbers"]) -> Float[np.ndarray, " time"]:
    """Returns how far the mouth's corners are apart horizontally, in cm; without the mean, less a constant."""
    points = lips.reshape(len(lips), len(LIPS), 2)
    return points[:, _RIGHT, 0] - points[:, _LEFT, 0]


def _correlation(a: Float[np.ndarray, " time"], b: Float[np.ndarray, " time"]) -> float:
    if min(a.std(), b.std()) < _MIN_SPREAD_CM:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _by_source(values: list[float], sources: list[str], speakers: list[str]) -> dict[str, float]:
    """Averages over each speaker's clips, then over each source's speakers."""
    found: dict[str, dict[str, list[float]]] = {}
    for value, source, speaker in zip(values, sources, speakers, strict=True):
        found.setdefault(source, {}).setdefault(speaker, []).append(value)
    return {source: float(np.mean([np.mean(each) for each in rows.values()])) for source, rows in found.items()}
