"""Aggregation, confidence intervals, and sanity checks with degenerate films."""

import pytest

from pcavs.evaluate.protocols import COPIED, CROSS, FROZEN, OTHER_SPEECH, SELF, SHIFTED, TRUTH
from pcavs.evaluate.summary import sanity_checks, summarise, worst_first


def test_means_carry_intervals_over_clips_and_over_people(rows):
    table = summarise(rows, ["A"])
    correlation = table["films"][f"A: {SELF}"]["opening_correlation"]
    assert correlation["over_clips"][0] == pytest.approx(0.715)
    assert correlation["over_people"][0] == pytest.approx((0.705 + 0.72 + 0.73) / 3, abs=1e-5)
    assert correlation["over_clips"][1] <= correlation["over_clips"][0] <= correlation["over_clips"][2]
    assert (correlation["num_clips"], correlation["num_people"]) == (4, 3)
    assert (table["clips"], table["people"], table["frames"]) == (4, 3, 200)


def test_identity_is_zero_for_strangers_and_one_for_the_truth(rows):
    films = summarise(rows, ["A"])["films"]
    assert films[TRUTH]["identity faceres-deep"]["over_clips"][0] == pytest.approx(1)
    assert films[COPIED]["identity faceres-deep"]["over_clips"][0] == pytest.approx(0)
    assert films[f"A: {SELF}"]["identity faceres-deep"]["over_clips"][0] == pytest.approx(0.75)


def test_differences_are_positive_where_the_evaluated_film_is_better(rows):
    gaps = summarise(rows, ["A"])["differences"]
    assert gaps[FROZEN]["opening_correlation"]["over_clips"][0] == pytest.approx(0.715)
    assert gaps[FROZEN]["mouth_area_error"]["over_clips"][0] > 0
    assert gaps[TRUTH]["sync_confidence"]["over_clips"][0] < 0


def test_motion_changes_are_summed_over_clips(rows):
    rows[0]["motion_changes"]["A"]["speech"]["mouth"] = (0.0, 7.0)
    shares = summarise(rows, ["A"])["motion_change_shares"]["A"]
    assert shares["speech"] == {"mouth": 0.3, "head": 0.0}
    assert shares["pose"] == {"mouth": 0.1, "head": 1.0}


def test_ordinary_films_pass_every_check(rows):
    assert all(each["result"] == "passed" for each in sanity_checks(rows, ["A"]))


def test_films_of_a_still_head_stand_in_for_self_driven_ones(rows):
    """With --still-only there are no others."""
    for row in rows:
        row["films"] = {film: found for film, found in row["films"].items() if "still" in film or ":" not in film}
        row["motion_changes"] = {}
    found = summarise(rows, ["A"])
    assert found["differences"][FROZEN]["opening_correlation"]["over_clips"][0] == pytest.approx(0.615)
    assert found["motion_change_shares"] == {}
    assert all(each["result"] == "passed" for each in found["checks"])
    assert worst_first(rows, "A")[0]["key"] == "clip-0"


@pytest.mark.parametrize(
    ("film", "metric", "value"),
    [
        (FROZEN, "sync_confidence", 0.5),
        (FROZEN, "opening_correlation", 0.9),
        (f"A: {OTHER_SPEECH}", "opening_correlation", 0.9),
        (f"A: {OTHER_SPEECH}", "unused_sync_cosine", 0.9),
        (COPIED, "sync_cosine", 0.9),
        (COPIED, "cosine faceres-deep", 0.95),
        (SHIFTED, "sync_cosine", 0.9),
        (SHIFTED, "sync_offset", 1.0),
    ],
)
def test_degenerate_film_with_a_good_score_fails_a_check(rows, film, metric, value):
    for row in rows:
        row["films"][film][metric] = value
    assert "failed" in [each["result"] for each in sanity_checks(rows, ["A"])]


def test_one_bad_clip_leaves_a_check_undecided(rows):
    rows[0]["films"][f"A: {CROSS}"]["sync_cosine"] = -9.0
    found = [each for each in sanity_checks(rows, ["A"]) if each["result"] != "passed"]
    assert [each["check"] for each in found] == ["a copy of the pose source fits the driving audio less"]
    assert found[0]["result"] == "undecided"
    low, high = found[0]["difference"][1:]
    assert low < 0 < high


def test_deaf_talker_does_not_pass_by_two_lucky_clips(rows):
    """Two clips in which noise favours the talker passed the comparison of means."""
    two = rows[1:3]
    for row, luck in zip(two, (0.01, 0.05), strict=True):
        row["films"][f"A: {SELF}"]["opening_correlation"] = luck
        row["films"][f"A: {OTHER_SPEECH}"]["opening_correlation"] = 0.0
    found = {each["check"]: each for each in sanity_checks(two, ["A"])}
    check = found["a mouth driven by other speech correlates less with the true opening"]
    assert check["degenerate"] < check["compared_with"]
    assert check["result"] == "undecided"
    assert check["difference"] == pytest.approx([0.03, -0.22412, 0.28412], abs=1e-4)
    alone = sanity_checks(rows[1:2], ["A"])[0]
    assert (alone["result"], len(alone["difference"])) == ("undecided", 1)


def test_worst_clips_come_first(rows):
    assert [row["key"] for row in worst_first(rows, "A")] == ["clip-0", "clip-1", "clip-2", "clip-3"]


def test_one_outlier_does_not_move_the_median_offset(rows):
    rows[0]["films"][TRUTH]["sync_offset"] = 15.0
    found = summarise(rows, ["A"])["films"]
    assert found[TRUTH]["sync_offset"]["over_clips"][0] == 0
    assert found[TRUTH]["sync_confidence"]["over_clips"][0] == pytest.approx(0.4)
