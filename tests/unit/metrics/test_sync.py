"""The judge's arithmetic on made embeddings, and the judge that ships."""

import json
import shutil

import numpy as np
import pytest

from pcavs.errors import InputError, WeightsError
from pcavs.metrics.sync import SyncJudge, compare, distance_curve, prefers, shipped_judge


def unit(values):
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture(scope="module")
def speech():
    return unit(np.random.default_rng(0).normal(0, 1, (90, 128)))


@pytest.fixture(scope="module")
def judge():
    return SyncJudge()


def test_equal_embeddings_fit_exactly_and_only_now(speech):
    score = compare(speech, speech)
    assert score.offset_frames == 0
    assert score.distance == pytest.approx(0, abs=1e-3)
    assert score.confidence == pytest.approx(np.sqrt(2), abs=0.05)
    assert score.likeness == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("late", [-7, 5])
def test_a_late_picture_has_a_positive_offset(speech, late):
    assert compare(np.roll(speech, late, axis=0), speech).offset_frames == late


def test_a_frozen_mouth_has_no_confidence(speech):
    frozen = np.repeat(speech[:1], 90, axis=0)
    assert compare(frozen, speech).confidence < 0.1
    assert compare(frozen, np.repeat(speech[:1], 90, axis=0)).confidence == pytest.approx(0, abs=1e-6)


def test_short_films_are_shifted_by_a_third_at_most(speech):
    assert len(distance_curve(speech[:9], speech[:9])) == 7


def test_true_sound_is_preferred_where_it_lies_nearer(speech):
    assert prefers(speech, speech, 5).mean() == 1
    # Late by five, the sound of one side fits better everywhere and that of the other is as wrong as the true one.
    assert prefers(np.roll(speech, 5, axis=0), speech, 5).mean() == pytest.approx(0.25, abs=0.1)
    assert prefers(unit(np.random.default_rng(1).normal(0, 1, (90, 128))), speech, 3).mean() == pytest.approx(
        0.5, abs=0.12
    )


def test_the_shipped_judge_embeds_in_unit_vectors(judge):
    rng = np.random.default_rng(3)
    crops = rng.integers(0, 255, (30, 48, 48)).astype(np.uint8)
    seen = judge.seen(crops, rng.normal(0, 1, (30, 80)))
    heard = judge.heard(rng.uniform(0, 1, (30, 1, 80, 20)).astype(np.float32))
    assert seen.shape == heard.shape == (26, 128)
    assert np.linalg.norm(seen, axis=1) == pytest.approx(np.ones(26), abs=1e-4)
    assert np.linalg.norm(heard, axis=1) == pytest.approx(np.ones(26), abs=1e-4)


def test_the_judge_does_not_see_light_or_a_person_s_own_lips(judge):
    rng = np.random.default_rng(4)
    crops = rng.integers(40, 120, (14, 48, 48)).astype(np.uint8)
    lips = rng.normal(0, 0.2, (14, 80))
    bright = (crops.astype(int) * 2).astype(np.uint8)
    likeness = (judge.seen(crops, lips) * judge.seen(bright, lips + rng.normal(0, 3, 80))).sum(axis=1)
    assert likeness.min() > 0.99


def test_the_judge_says_what_it_is(judge):
    assert judge.name.startswith("pcavs-judge-v")
    assert judge.facts["trained_on"]


def test_too_short_a_film_is_refused(judge):
    with pytest.raises(InputError, match=r"a film of 9 frames cannot be judged for sync; 10 are needed"):
        judge.seen(np.zeros((9, 48, 48), np.uint8), np.zeros((9, 80)))


def test_a_damaged_judge_is_refused(tmp_path):
    folder = shutil.copytree(shipped_judge(), tmp_path / "judge")
    with (folder / "voice.bin").open("r+b") as file:
        file.seek(100)
        file.write(b"other")
    with pytest.raises(WeightsError, match=r"is damaged \(voice.bin\)"):
        SyncJudge(folder)


def test_a_missing_judge_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="no sync judge in"):
        SyncJudge(tmp_path)


def test_the_shipped_facts_are_whole():
    facts = json.loads((shipped_judge() / "judge.json").read_text())
    assert set(facts["files"]) == {"mouth.xml", "mouth.bin", "voice.xml", "voice.bin"}
