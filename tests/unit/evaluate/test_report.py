"""The page is whole, needs nothing beside it, and says what it must."""

import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from pcavs.evaluate.catalogue import GLANCE, GROUPS, METRICS
from pcavs.evaluate.charts import line_chart, mean_curve
from pcavs.evaluate.report import write_report
from pcavs.evaluate.strips import strip_path
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
    probe = {"read": 0.5, "chance": 0.25}
    report = {
        "weights": {"A": "0" * 64},
        "pcavs": "0",
        "judge": {"name": "pcavs-judge-v1"},
        "embedders": [],
        "encoding": "H.264",
        "clips_from": "<b>clips</b>",
        "leakage": {name: {"probes": {"person from pose code": probe}} for name in ("A", "no-augmentation-0")},
        "rows": rows,
        **summarise(rows, ["A"]),
    }
    return write_report(report, tmp_path).read_text()


def test_the_page_is_balanced(page):
    parser = Balanced()
    parser.feed(page)
    assert parser.open == []


def test_the_page_needs_nothing_beside_it(page):
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert page.count("data:image/jpeg;base64,") == 8


def test_names_from_outside_are_escaped(page):
    assert "<b>clips" not in page
    assert "&lt;b&gt;clips" in page


@pytest.mark.parametrize(
    "said", ["Who drives what", "as remembered and unverified", "compare with no published figure"]
)
def test_the_page_says_what_it_must(page, said):
    assert said in page


def test_missing_identity_judges_are_said(page):
    assert "none here (scripts/fetch_judges.py fetches them)" in page


def test_encoders_stand_side_by_side(page):
    """The ablation is audited beside the weights, in the same table."""
    assert "<th>A</th><th>no-augmentation-0</th>" in page
    assert page.count("0.50<small>chance 0.25</small>") == 2


def test_the_worst_clips_come_before_the_tables_and_the_rest_unfolds(page, rows):
    worst, details = page.index("<figure>"), page.index("<details>")
    assert page.index("At a glance") < worst < details < page.index("All films")
    assert page[worst:details].count("<figure>") == 3
    assert f"The next {len(rows) - 3}" in page


def test_every_number_is_in_one_table():
    grouped = [key for keys in GROUPS.values() for key in keys]
    assert sorted(grouped) == sorted(METRICS)
    assert set(GLANCE) <= set(METRICS)


def test_the_first_table_has_the_judged_film_beside_the_truth(page):
    table = page[page.index("At a glance") : page.index("Do the obvious tricks")]
    assert table.index("ground truth") < table.index("A: self-driven") < table.index("frozen first frame")
    assert "mouth opening follows the truth" in table


def test_every_metric_has_a_direction_that_exists():
    assert {metric.better for metric in METRICS.values()} <= {"higher", "lower", "as truth", ""}


def test_a_chart_draws_each_curve_even_a_flat_one():
    chart = line_chart({"one": [1.0, 2.0, 1.5], "flat": [1.0, 1.0, 1.0]}, 0.0, 0.04, ("s", "opening"))
    assert chart.count("<polyline") == 2
    assert "nan" not in chart
    assert "nan" not in line_chart({"flat": [1.0, 1.0]}, 0.0, 1.0, ("s", "y"))


def test_curves_are_averaged_about_their_middles():
    assert mean_curve([[9.0, 1.0, 2.0, 3.0, 9.0], [3.0, 4.0, 5.0]]) == [2, 3, 4]
