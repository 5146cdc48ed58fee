"""Tables, intervals and the tricks that must not pay."""

import pytest

from pcavs.evaluate.scene import COPIED, CROSS, FROZEN, MISMATCHED, SELF, SHIFTED, TRUTH
from pcavs.evaluate.summary import checks, summarise, worst_first


def test_means_carry_intervals_over_clips_and_over_people(rows):
    table = summarise(rows, ["A"])
    follows = table["films"][f"A: {SELF}"]["opening_follows"]
    assert follows["clips"][0] == pytest.approx(0.715)
    assert follows["people"][0] == pytest.approx((0.705 + 0.72 + 0.73) / 3, abs=1e-5)
    assert follows["clips"][1] <= follows["clips"][0] <= follows["clips"][2]
    assert follows["n"] == [4, 3]
    assert (table["clips"], table["people"], table["frames"]) == (4, 3, 200)


def test_identity_is_put_between_strangers_and_the_person(rows):
    films = summarise(rows, ["A"])["films"]
    assert films[TRUTH]["identity faceres-deep"]["clips"][0] == pytest.approx(1)
    assert films[COPIED]["identity faceres-deep"]["clips"][0] == pytest.approx(0)
    assert films[f"A: {SELF}"]["identity faceres-deep"]["clips"][0] == pytest.approx(0.75)


def test_differences_are_positive_where_the_judged_film_is_better(rows):
    gaps = summarise(rows, ["A"])["differences"]
    assert gaps[FROZEN]["opening_follows"]["clips"][0] == pytest.approx(0.715)
    assert gaps[FROZEN]["mouth_error"]["clips"][0] > 0
    assert gaps[TRUTH]["sync_confidence"]["clips"][0] < 0


def test_who_drives_what_adds_clips_up(rows):
    rows[0]["exchanges"]["A"]["speech"]["mouth"] = (0.0, 7.0)
    shares = summarise(rows, ["A"])["who_drives_what"]["A"]
    assert shares["speech"] == {"mouth": 0.3, "head": 0.0}
    assert shares["pose"] == {"mouth": 0.1, "head": 1.0}


def test_honest_films_pass_every_check(rows):
    assert all(each["holds"] for each in checks(rows, ["A"]))


@pytest.mark.parametrize(
    ("trick", "metric", "value"),
    [
        (FROZEN, "sync_confidence", 0.5),
        (FROZEN, "opening_follows", 0.9),
        (f"A: {MISMATCHED}", "opening_follows", 0.9),
        (f"A: {MISMATCHED}", "unheard_sync_likeness", 0.9),
        (COPIED, "sync_likeness", 0.9),
        (COPIED, "cosine faceres-deep", 0.95),
        (SHIFTED, "sync_likeness", 0.9),
        (SHIFTED, "sync_offset", 1.0),
    ],
)
def test_a_trick_that_pays_is_told(rows, trick, metric, value):
    for row in rows:
        row["films"][trick][metric] = value
    assert not all(each["holds"] for each in checks(rows, ["A"]))


def test_a_trick_on_one_clip_alone_does_not_hide(rows):
    failed = [each["check"] for each in checks(rows, ["A"]) if not each["holds"]]
    assert failed == []
    rows[0]["films"][f"A: {CROSS}"]["sync_likeness"] = -9.0
    assert "a copy of the pose source does not fit the speech" in [
        each["check"] for each in checks(rows, ["A"]) if not each["holds"]
    ]


def test_worst_clips_come_first(rows):
    assert [row["key"] for row in worst_first(rows, "A")] == ["clip-0", "clip-1", "clip-2", "clip-3"]


def test_one_clip_without_a_peak_does_not_move_the_offset(rows):
    rows[0]["films"][TRUTH]["sync_offset"] = 15.0
    found = summarise(rows, ["A"])["films"]
    assert found[TRUTH]["sync_offset"]["clips"][0] == 0
    assert found[TRUTH]["sync_confidence"]["clips"][0] == pytest.approx(0.4)
