"""The report's tables of head pose and of speakers, and its chart of offsets."""

from typing import Any

import numpy as np

from pcavs.prepare.report import _chart, _head_pose, _speakers, _spread
from pcavs.prepare.worker import POSE_PERCENTILES


def row(speaker: str, frames: int, yaw: float = 0.0, **more: Any) -> dict[str, Any]:
    """A kept clip whose yaw is spread evenly by 20 degrees around `yaw`."""
    angles = np.percentile(np.linspace(yaw - 10, yaw + 10, 101), POSE_PERCENTILES).tolist()
    known = {"source": "grid", "speaker": speaker, "split": "train", "frames": frames, "measures": {}}
    return known | {"yaw": angles, "pitch": angles} | more


def test_percentiles_of_a_set_are_those_of_its_frames():
    rng = np.random.default_rng(0)
    centres = rng.normal(0, 15, 400)
    frames = rng.integers(50, 250, 400)
    rows = [row("ann", int(count), yaw) for count, yaw in zip(frames, centres, strict=True)]
    every = np.concatenate([np.linspace(y - 10, y + 10, count) for y, count in zip(centres, frames, strict=True)])
    assert np.abs(_spread(rows, "yaw") - np.percentile(every, POSE_PERCENTILES)).max() < 1.5


def test_head_pose_is_left_out_for_ledgers_without_it():
    assert "+9" in _head_pose([row("ann", 100)])
    assert _head_pose([{"source": "grid", "frames": 9}]) == ""


def test_hours_are_told_by_speaker():
    page = _speakers([row("ann", 45_000), row("ann", 45_000), row("<bob>", 1500)])
    assert "1.0 at least, 30.5 in the middle, 60.0 at most." in page
    assert page.index("<td>ann</td>") < page.index("<td>&lt;bob&gt;</td>")
    assert "<td class='number'>2</td><td class='number'>1.000</td>" in page
    many = _speakers([row(f"speaker{n}", 100) for n in range(120)])
    assert "The 100 with most are listed." in many
    assert many.count("<tr>") == 101


def test_a_chart_without_a_limit_has_no_line():
    rows = [row("ann", 100, measures={"recorded-offset": offset}) for offset in (-3.0, 0.0, 0.0, 4.0)]
    chart = _chart("recorded-offset", "offset", rows, [], None)
    assert "<line" not in chart
    assert chart.count("<rect") == 3
