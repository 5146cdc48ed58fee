"""The journal's alarms about the contrast, and the progress that is shown."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pcavs.train.journal import Journal
from pcavs.train.options import TrainOptions
from pcavs.train.progress import Pace, Progress


def alarms(folder: Path, found: float, held_out: float, **settings: object) -> list[str]:
    """Returns the alarms of a run of 600 steps with two validations."""
    options = TrainOptions(run=folder, packs=(folder,), stage="sync", moments=16, log_every=100, **settings)  # pyright: ignore
    name, score = ("found_across", "found_of_32") if options.losses == "published" else ("found_within",) * 2
    journal = Journal(options)
    for step in range(1, 601):
        journal.add(step, 0.1, 0.0, {name: torch.tensor(found)})
        if step % 300 == 0:
            journal.check_held_out(step, {score: held_out})
    return [row["alarm"] for line in (folder / "journal.jsonl").open() if "alarm" in (row := json.loads(line))]


def test_a_run_that_learns_by_heart_is_reported_once(tmp_path: Path):
    (alarm,) = alarms(tmp_path, found=0.5, held_out=0.13)
    assert alarm == (
        "the run learns its clips by heart: found_within is 0.500 on them (chance 0.062), and found_within 0.130 on "
        "held-out clips (chance 0.125) after 300 steps"
    )


@pytest.mark.parametrize(("found", "held_out"), [(0.5, 0.3), (0.1, 0.13)])
def test_a_run_that_finds_held_out_speech_or_little_yet_is_not(found: float, held_out: float, tmp_path: Path):
    assert alarms(tmp_path, found, held_out) == []


def test_the_published_contrast_is_watched_between_clips(tmp_path: Path):
    (alarm,) = alarms(tmp_path, found=0.12, held_out=0.03, losses="published", clips=10)
    assert alarm == "found_across 0.120 is at the chance level, 0.100, after 300 steps"


@pytest.mark.parametrize(("spread", "reported"), [(1e-6, True), (0.002, False)])
def test_a_motion_encoder_that_is_dead_is_reported(spread: float, reported: bool, tmp_path: Path):
    """A run of the paper talker went on for an hour with an encoder that gave every frame the same codes."""
    journal = Journal(TrainOptions(run=tmp_path, packs=(tmp_path,), stage="visual", log_every=100))
    for step in range(1, 401):
        journal.add(step, 0.1, 0.0, {"visual_spread": torch.tensor(spread)})
    found = [row["alarm"] for line in (tmp_path / "journal.jsonl").open() if "alarm" in (row := json.loads(line))]
    wanted = "the motion encoder gives all frames the same content after 300 steps"
    assert found == [wanted] * reported


def paced(monkeypatch: pytest.MonkeyPatch, seconds_per_step: float, show: object) -> None:
    """Counts steps 101 to 200 of 1100 of a run that was continued at step 100."""
    now = [0.0]
    monkeypatch.setattr("pcavs.train.progress.time", SimpleNamespace(monotonic=lambda: now[0]))
    progress = Progress("sync", 100, 1100, show)  # pyright: ignore[reportArgumentType]
    for step in range(101, 201):
        now[0] += seconds_per_step
        progress.step(step, {"loss": torch.tensor(1.25, requires_grad=True)} if step != 200 else None)


@pytest.mark.filterwarnings("error")
def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO):
        paced(monkeypatch, 2.0, None)
    assert caplog.messages[0] == "sync: step 105 of 1100, loss 1.25, 0:33:10 left"
    assert len(caplog.messages) == 1 + 190 // 60


def test_a_bar_is_told_every_second(monkeypatch: pytest.MonkeyPatch):
    shown: list[Pace] = []
    paced(monkeypatch, 1.0, shown.append)
    assert [pace.step for pace in shown] == list(range(101, 201))
    assert shown[-1] == Pace("sync", 200, 1100, None, 900.0)
    assert shown[-1].line() == "sync: step 200 of 1100, skipped, 0:15:00 left"
