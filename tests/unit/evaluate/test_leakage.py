"""Linear probes find planted information, and score by chance on noise."""

import numpy as np
import pytest

from pcavs.evaluate.leakage import ClipCodes, audit, probe_mouth, probe_person

RNG = np.random.default_rng(0)
PEOPLE = ["ann", "ann", "bob", "bob", "cid", "cid"]


def codes(plant):
    place = {name: RNG.normal(0, 2, 12) for name in set(PEOPLE)}
    return [(RNG.normal(0, 1, (30, 12)) + plant * place[person]).astype(np.float32) for person in PEOPLE]


def test_planted_person_is_found():
    probe = probe_person(codes(1.0), PEOPLE)
    assert probe.score > 0.9
    assert probe.chance == pytest.approx(1 / 3, abs=0.12)


def test_noise_is_read_by_chance():
    probe = probe_person(codes(0.0), PEOPLE)
    assert probe.score == pytest.approx(1 / 3, abs=0.15)


def test_one_clip_per_person_is_halved_in_time():
    probe = probe_person(codes(1.0)[::2], PEOPLE[::2])
    assert probe.score > 0.9


def openings():
    return [RNG.normal(0.2, 0.1, 30).astype(np.float32) for _ in PEOPLE]


def test_planted_mouth_is_found_and_a_persons_mean_opening_does_not_help():
    opened = openings()
    direction = RNG.normal(0, 1, 12)
    planted = [(RNG.normal(0, 0.3, (30, 12)) + each[:, None] * 10 * direction).astype(np.float32) for each in opened]
    assert probe_mouth(planted, opened).score > 0.9
    usual = [
        np.full((30, 12), each.mean(), np.float32) + RNG.normal(0, 1e-3, (30, 12)).astype(np.float32) for each in opened
    ]
    assert abs(probe_mouth(usual, opened).score) < 0.3


def test_noise_does_not_predict_the_mouth():
    probe = probe_mouth(codes(0.0), openings())
    assert abs(probe.score) < 0.25
    assert abs(probe.chance) < 0.25


def test_audit_names_its_probes():
    clips = [
        ClipCodes(f"k{n}", person, code, code[:, :5], opened)
        for n, (person, code, opened) in enumerate(zip(PEOPLE, codes(1.0), openings(), strict=True))
    ]
    report = audit(clips)
    assert report["people"] == 3
    assert set(report["probes"]) == {
        "person from pose code",
        "person from content code",
        "mouth from pose code",
        "mouth from content code",
    }
