"""Probes find what was planted, and nothing where nothing was."""

import numpy as np
import pytest

from pcavs.evaluate.leakage import CodesOf, audit, read_mouth, read_person

RNG = np.random.default_rng(0)
PEOPLE = ["ann", "ann", "bob", "bob", "cid", "cid"]


def codes(plant):
    place = {name: RNG.normal(0, 2, 12) for name in set(PEOPLE)}
    return [(RNG.normal(0, 1, (30, 12)) + plant * place[person]).astype(np.float32) for person in PEOPLE]


def test_a_planted_person_is_read():
    probe = read_person(codes(1.0), PEOPLE)
    assert probe.read > 0.9
    assert probe.chance == pytest.approx(1 / 3, abs=0.12)


def test_codes_of_nobody_are_read_by_chance():
    probe = read_person(codes(0.0), PEOPLE)
    assert probe.read == pytest.approx(1 / 3, abs=0.15)


def test_a_person_with_one_clip_is_asked_about_its_second_half():
    probe = read_person(codes(1.0)[::2], PEOPLE[::2])
    assert probe.read > 0.9


def openings():
    return [RNG.normal(0.2, 0.1, 30).astype(np.float32) for _ in PEOPLE]


def test_a_planted_mouth_is_read_and_a_person_s_usual_opening_is_no_help():
    opened = openings()
    direction = RNG.normal(0, 1, 12)
    planted = [(RNG.normal(0, 0.3, (30, 12)) + each[:, None] * 10 * direction).astype(np.float32) for each in opened]
    assert read_mouth(planted, opened).read > 0.9
    usual = [
        np.full((30, 12), each.mean(), np.float32) + RNG.normal(0, 1e-3, (30, 12)).astype(np.float32) for each in opened
    ]
    assert abs(read_mouth(usual, opened).read) < 0.3


def test_noise_says_nothing_of_the_mouth():
    probe = read_mouth(codes(0.0), openings())
    assert abs(probe.read) < 0.25
    assert abs(probe.chance) < 0.25


def test_the_audit_names_its_probes():
    clips = [
        CodesOf(f"k{n}", person, code, code[:, :5], opened)
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
