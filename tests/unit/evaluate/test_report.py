"""The report page is valid, self-contained and complete."""

import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from pcavs.evaluate.catalogue import GROUPS, HEADLINE, METRICS
from pcavs.evaluate.figures import line_chart, mean_curve, strip_path
from pcavs.evaluate.following import summarise_following
from pcavs.evaluate.report import write_report
from pcavs.evaluate.summary import summarise

_VOID = {"meta", "br", "img", "link", "path", "polyline"}


class Balanced(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attrs):
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in _VOID:
            assert self.open.pop() == tag


@pytest.fixture
def page(rows, tmp_path):
    (tmp_path / "work").mkdir()
    for row in rows:
        for name in ("", "A"):
            cv2.imwrite(str(strip_path(tmp_path, row["key"], name)), np.zeros((8, 8, 3), np.uint8))
    probe = {"score": 0.5, "chance": 0.25}
    report = {
        "weights": {"A": "0" * 64},
        "pcavs": "0",
        "judge": {"name": "pcavs-judge-v1"},
        "embedders": [],
        "encoding": "H.264",
        "sets": [{"name": "clips", "clips": "<b>clips</b>", "kind": "real"}],
        "speech_features": {"A": "mel"},
        "following": summarise_following(rows, ["A"]),
        "leakage": {name: {"probes": {"person from pose code": probe}} for name in ("A", "no-augmentation-0")},
        "rows": rows,
        **summarise(rows, ["A"]),
    }
    return write_report(report, tmp_path).read_text()


def test_tags_are_balanced(page):
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []


def test_page_has_no_external_files(page):
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert page.count("data:image/jpeg;base64,") == 8


def test_names_are_escaped(page):
    assert "<b>clips" not in page
    assert "&lt;b&gt;clips" in page


@pytest.mark.parametrize(
    "said", ["Which input moves the mouth", "from memory and were not checked", "do not compare with published figures"]
)
def test_page_states_its_limits(page, said):
    assert said in page


def test_page_says_how_lips_follow_and_with_which_speech_features(page):
    assert "listens with mel" in page
    table = page[page.index("How lips follow speech") : page.index("Main results")]
    assert "Real people, 4 clips of 3 people" in table
    assert "<td>A: still head</td><td>0.62<small>" in table


def test_missing_identity_networks_are_reported(page):
    assert "none found (scripts/fetch_judges.py fetches one)" in page


def test_encoders_are_side_by_side(page):
    """An ablation is in the same table as the weights."""
    assert "<th>A</th><th>no-augmentation-0</th>" in page
    assert page.count("0.50<small>chance 0.25</small>") == 2


def test_worst_clips_come_before_the_tables_and_the_rest_is_folded(page, rows):
    worst, details = page.index("<figure>"), page.index("<details>")
    assert page.index("Main results") < worst < details < page.index("All films and metrics")
    assert page[worst:details].count("<figure>") == 3
    assert f"Show {len(rows) - 3} more" in page


def test_every_metric_is_in_one_table():
    grouped = [key for keys in GROUPS.values() for key in keys]
    assert sorted(grouped) == sorted(METRICS)
    assert set(HEADLINE) <= set(METRICS)


def test_first_table_has_the_evaluated_film_beside_the_truth(page):
    table = page[page.index("Main results") : page.index("Sanity checks")]
    assert table.index("ground truth") < table.index("A: self-driven") < table.index("frozen first frame")
    assert "mouth opening correlation" in table


def test_every_metric_has_a_known_direction():
    assert {metric.better for metric in METRICS.values()} <= {"higher", "lower", "as truth", ""}


def test_chart_draws_each_curve_even_a_flat_one():
    chart = line_chart({"one": [1.0, 2.0, 1.5], "flat": [1.0, 1.0, 1.0]}, 0.0, 0.04, ("s", "opening"))
    assert chart.count("<polyline") == 2
    assert "nan" not in chart
    assert "nan" not in line_chart({"flat": [1.0, 1.0]}, 0.0, 1.0, ("s", "y"))


def test_curves_are_averaged_around_their_middles():
    assert mean_curve([[9.0, 1.0, 2.0, 3.0, 9.0], [3.0, 4.0, 5.0]]) == [2, 3, 4]
