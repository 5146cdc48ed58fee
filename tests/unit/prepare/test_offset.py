"""The sync judge at the gate."""

import numpy as np
import pytest

from pcavs.metrics.sync import SyncScore
from pcavs.prepare import offset
from pcavs.prepare.gates import GATES, judge, limits_of

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
def test_an_offset_counts_where_the_judge_is_sure(monkeypatch, meshes, confidence, shift, wanted):
    monkeypatch.setattr(offset, "_judge", lambda: Judge(confidence, shift))
    assert offset.sync_measures(CROPS, meshes, SOUND) == wanted


def test_what_cannot_be_judged_is_not(monkeypatch, meshes):
    monkeypatch.setattr(offset, "_judge", lambda: pytest.fail("asked"))
    assert offset.sync_measures(CROPS, meshes, None) == {}
    assert offset.sync_measures(CROPS[:49], meshes[:49], SOUND[: 49 * 640]) == {}


def test_the_shipped_judge_answers(meshes):
    assert set(offset.sync_measures(CROPS, meshes, SOUND)) in ({"sync"}, {"sync", "offset"})


def test_clips_out_of_sync_are_rejected():
    rejection = judge({"offset": 6.0}, limits_of(()))
    assert rejection is not None
    assert rejection.reason == "offset: picture and sound are 6 frames apart, at most 2 may be"
    assert judge({"offset": 2.0}, limits_of(())) is None
    assert judge({"offset": 6.0}, limits_of((("offset", 15.0),))) is None
    assert judge({}, limits_of(())) is None
    assert GATES["length"].passes(10.0, 10.0)
