"""Sync scores of synthetic embeddings, and the judge that is part of the package."""

import json
import shutil

import numpy as np
import pytest

from pcavs.errors import InputError, WeightsError
from pcavs.metrics.sync import (
    SyncJudge,
    beats_shifted,
    confidence_at_0,
    distance_curve,
    score_sync,
    shipped_judge,
)


def unit(values):
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def speech():
    return unit(np.random.default_rng(0).normal(0, 1, (90, 128)))


@pytest.fixture(scope="module")
def judge():
    return SyncJudge()


def test_equal_embeddings_fit_at_shift_zero_only(speech):
    score = score_sync(speech, speech)
    assert score.offset_frames == 0
    assert score.distance == pytest.approx(0, abs=1e-3)
    assert score.confidence == pytest.approx(np.sqrt(2), abs=0.05)
    assert score.cosine == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("late", [-7, 5])
def test_late_picture_has_positive_offset(speech, late):
    assert score_sync(np.roll(speech, late, axis=0), speech).offset_frames == late


def test_confidence_at_0_falls_with_a_shift_that_the_search_makes_good(speech):
    late = np.roll(speech, 5, axis=0)
    assert confidence_at_0(speech, speech) == pytest.approx(score_sync(speech, speech).confidence)
    assert score_sync(late, speech).confidence > 1
    assert confidence_at_0(late, speech) == pytest.approx(0, abs=0.1)


def test_frozen_mouth_has_no_confidence(speech):
    frozen = np.repeat(speech[:1], 90, axis=0)
    assert score_sync(frozen, speech).confidence < 0.1
    assert score_sync(frozen, np.repeat(speech[:1], 90, axis=0)).confidence == pytest.approx(0, abs=1e-6)


def test_short_videos_are_shifted_by_a_third_at_most(speech):
    assert len(distance_curve(speech[:9], speech[:9])) == 7


def test_true_sound_beats_shifted_sound_where_it_is_nearer(speech):
    assert beats_shifted(speech, speech, 5).mean() == 1
    # The picture is five frames late: sound shifted one way always fits better, the other way fits by chance.
    assert beats_shifted(np.roll(speech, 5, axis=0), speech, 5).mean() == pytest.approx(0.25, abs=0.1)
    assert beats_shifted(unit(np.random.default_rng(1).normal(0, 1, (90, 128))), speech, 3).mean() == pytest.approx(
        0.5, abs=0.12
    )


def test_shipped_judge_gives_unit_vectors(judge):
    rng = np.random.default_rng(3)
    crops = rng.integers(0, 255, (30, 48, 48)).astype(np.uint8)
    mouth = judge.embed_mouth(crops, rng.normal(0, 1, (30, 80)))
    sound = judge.embed_sound(rng.uniform(0, 1, (30, 1, 80, 20)).astype(np.float32))
    assert mouth.shape == sound.shape == (26, 128)
    assert np.linalg.norm(mouth, axis=1) == pytest.approx(np.ones(26), abs=1e-4)
    assert np.linalg.norm(sound, axis=1) == pytest.approx(np.ones(26), abs=1e-4)


def test_judge_ignores_brightness_and_the_mean_lip_shape(judge):
    rng = np.random.default_rng(4)
    crops = rng.integers(40, 120, (14, 48, 48)).astype(np.uint8)
    lips = rng.normal(0, 0.2, (14, 80))
    bright = (crops.astype(int) * 2).astype(np.uint8)
    cosine = (judge.embed_mouth(crops, lips) * judge.embed_mouth(bright, lips + rng.normal(0, 3, 80))).sum(axis=1)
    assert cosine.min() > 0.99


def test_judge_has_a_name_and_provenance(judge):
    assert judge.name.startswith("pcavs-judge-v")
    assert judge.facts["trained_on"]


def test_short_video_is_refused(judge):
    with pytest.raises(InputError, match=r"sync of 9 frames cannot be scored; give a video of at least 10"):
        judge.embed_mouth(np.zeros((9, 48, 48), np.uint8), np.zeros((9, 80)))


def test_damaged_judge_is_refused(tmp_path):
    folder = shutil.copytree(shipped_judge(), tmp_path / "judge")
    with (folder / "voice.bin").open("r+b") as file:
        file.seek(100)
        file.write(b"other")
    with pytest.raises(WeightsError, match=r"is damaged \(voice.bin\)"):
        SyncJudge(folder)


def test_missing_judge_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="no sync judge in"):
        SyncJudge(tmp_path)


def test_shipped_facts_list_all_files():
    facts = json.loads((shipped_judge() / "judge.json").read_text())
    assert set(facts["files"]) == {"mouth.xml", "mouth.bin", "voice.xml", "voice.bin"}
