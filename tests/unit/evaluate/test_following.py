"""How lips follow speech, by group, with intervals over people."""

import copy

import pytest

from pcavs.evaluate.following import REAL_PEOPLE, following_markdown, following_tables, summarise_following
from pcavs.evaluate.protocols import LATE_SPEECH, OTHER_SPEECH, SELF, STILL, STILL_LATE, STILL_OTHER, TRUTH


@pytest.fixture
def mixed(rows):
    """Two sets of real people, and one of rendered heads that another talker animates better than A."""
    for row in rows[2:]:
        row["set"] = "wild"
    rendered = copy.deepcopy(rows[:2])
    for row in rendered:
        row |= {"set": "heads", "kind": "rendered"}
    rows += rendered
    for row in rows:
        for protocol in (SELF, LATE_SPEECH, OTHER_SPEECH, STILL, STILL_LATE, STILL_OTHER):
            film = dict(row["films"][f"A: {protocol}"])
            row["films"][f"B: {protocol}"] = film | {"opening_correlation": film["opening_correlation"] + 0.1}
    return rows


def test_groups_are_real_people_and_each_set(mixed):
    found = summarise_following(mixed, ["A", "B"])
    assert list(found) == [REAL_PEOPLE, "set grid", "set wild", "set heads"]
    assert [facts["clips"] for facts in found.values()] == [4, 2, 2, 2]
    assert found["set heads"]["kind"] == "rendered"


def test_people_count_alike(mixed):
    """Ann has two clips, the others one; her mean counts once."""
    found = summarise_following(mixed, ["A"])[REAL_PEOPLE]["films"][f"A: {STILL}"]["opening_correlation"]
    assert found["over_people"][0] == pytest.approx((0.605 + 0.62 + 0.63) / 3, abs=1e-4)
    assert (found["num_clips"], found["num_people"]) == (4, 3)


def test_clips_that_follow_wrong_speech_better_lower_the_share(mixed):
    mixed[0]["films"][f"A: {STILL_LATE}"]["opening_correlation"] = 0.9
    shares = summarise_following(mixed, ["A"])[REAL_PEOPLE]["shares"][f"A: {STILL}"]
    assert shares["late"]["opening_correlation"]["over_clips"][0] == 0.75
    assert shares["late"]["opening_correlation"]["over_people"][0] == pytest.approx(2.5 / 3, abs=1e-4)
    assert shares["other"]["opening_correlation"]["over_clips"][0] == 1


def test_weights_are_compared_clip_by_clip(mixed):
    gap = summarise_following(mixed, ["A", "B"])["set wild"]["differences"][f"B: {STILL}"]["opening_correlation"]
    assert gap["over_people"] == pytest.approx([-0.1, -0.1, -0.1])


def test_bias_of_the_judge_is_our_confidence_minus_the_truths(mixed):
    bias = summarise_following(mixed, ["A"])[REAL_PEOPLE]["judge_bias"][f"A: {STILL}"]
    assert bias["over_people"][0] == pytest.approx(0.35 - 0.4)


def test_lips_that_meet_are_counted(mixed):
    for row, closed in zip(mixed[:2], (1.0, 0.5), strict=True):
        row["films"][TRUTH] |= {"bilabials": 2.0, "bilabials_closed": 1.0}
        row["films"][f"A: {STILL}"] |= {"bilabials": 2.0, "bilabials_closed": closed}
    found = summarise_following(mixed, ["A"])["set grid"]
    assert found["bilabials"][f"A: {STILL}"] == {"met": 3, "of": 4}
    (table,) = (each for each in following_tables({"g": found})["g"] if each.title == "Lips that meet")
    assert [row[1] for row in table.rows] == ["4 of 4", "3 of 4"]


def test_set_that_is_a_whole_group_is_shown_once(rows):
    found = summarise_following(rows, ["A"])
    assert list(found) == [REAL_PEOPLE, "set grid"]
    assert list(following_tables(found)) == [REAL_PEOPLE]


def test_markdown_names_speech_features_and_judge(mixed):
    following = summarise_following(mixed, ["A", "B"])
    text = following_markdown(
        {"speech_features": {"A": "mel", "B": "other"}, "judge": {"name": "judge-1"}, "following": following}
    )
    assert "A (mel), B (other). Sync judge: judge-1." in text
    assert "## Real people: 4 clips of 3 people" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.endswith("|") for line in rows)
    assert f"| B: {STILL} | -0.10 (-0.10 to -0.10) |" in text
