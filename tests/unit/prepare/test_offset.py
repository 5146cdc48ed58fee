"""The measure and the gate of the offset between picture and sound."""

import numpy as np
import pytest

from pcavs.metrics.sync import SyncScore
from pcavs.prepare import offset
from pcavs.prepare.gates import GATES, apply_gates, resolve_limits

CROPS = [np.full((64, 64, 3), 90, np.uint8)] * 60
SOUND = np.zeros(60 * 640, np.float32)


class Judge:
    def __init__(self, confidence: float, shift: int) -> None:
        self._score = SyncScore(confidence, 1.0, shift, 0.0)

    def score(self, *_: object) -> SyncScore:
        return self._score


@pytest.fixture
def meshes() -> np.ndarray:
    return np.random.default_rng(0).uniform(10, 50, (60, 478, 3)).astype(np.float32)


@pytest.mark.parametrize(
    ("confidence", "shift", "wanted"),
    [(0.3, -6, {"sync": 0.3, "offset": 6.0}), (0.3, 1, {"sync": 0.3, "offset": 1.0}), (0.1, -6, {"sync": 0.1})],
)
def test_the_offset_is_used_where_the_confidence_is_high(monkeypatch, meshes, confidence, shift, wanted):
    monkeypatch.setattr(offset, "_judge", lambda: Judge(confidence, shift))
    assert offset.measure_sync(CROPS, meshes, SOUND).measures == wanted


def test_clips_without_sound_or_too_short_are_not_judged(monkeypatch, meshes):
    monkeypatch.setattr(offset, "_judge", lambda: pytest.fail("the judge was called"))
    assert offset.measure_sync(CROPS, meshes, None).measures == {}
    assert offset.measure_sync(CROPS[:49], meshes[:49], SOUND[: 49 * 640]).measures == {}


def test_the_shipped_judge_gives_measures(meshes):
    assert set(offset.measure_sync(CROPS, meshes, SOUND).measures) in ({"sync"}, {"sync", "offset"})


def test_clips_out_of_sync_are_rejected():
    rejection = apply_gates({"offset": 6.0}, resolve_limits(()))
    assert rejection is not None
    assert rejection.reason == "offset: picture and sound are 6 frames apart; at most 2 are allowed"
    assert apply_gates({"offset": 2.0}, resolve_limits(())) is None
    assert apply_gates({"offset": 6.0}, resolve_limits((("offset", 15.0),))) is None
    assert apply_gates({}, resolve_limits(())) is None
    assert GATES["length"].passes(10.0, 10.0)


@pytest.mark.parametrize("late", [-4, 0, 3])
def test_picture_and_sound_are_shift_sound(late):
    """Sound of frame t is t; a picture that is late by k shows the sound of frame t - k."""
    sound = np.repeat(np.arange(60, dtype=np.float32), 640)
    shown = np.arange(60) - late
    frames, moved = offset.shift_sound(60, sound, late)
    assert np.array_equal(moved[::640], shown[frames])
    assert len(moved) == 640 * (60 - abs(late))
