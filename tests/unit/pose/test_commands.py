"""`pcavs pose`: tracks of videos, plots and wireframe heads, without a talker."""

from pathlib import Path

import numpy as np
import pytest

from pcavs.errors import InputError, OutputError
from pcavs.media.image import read_picture
from pcavs.media.video import count_pictures
from pcavs.pose.commands import draw_curves, extract, plot, preview, wire_head
from pcavs.pose.options import ExtractOptions, PlotOptions, PreviewOptions
from pcavs.pose.track import load_track, still


def test_a_videos_motion_is_saved_and_summarised(examples, tmp_path):
    summary = extract(
        ExtractOptions(video=examples / "pose.mp4", out=tmp_path / "t.npz", end=0.4, report=tmp_path / "r")
    )
    assert "10 frames, 0.40 s, degrees: yaw " in summary
    assert load_track(tmp_path / "t.npz").shape == (10, 6)
    assert '"pcavs-faces-1"' in (tmp_path / "r").read_text()
    with pytest.raises(OutputError, match="exists already"):
        extract(ExtractOptions(video=examples / "pose.mp4", out=tmp_path / "t.npz"))


def test_a_face_cannot_be_chosen_by_picture(examples, tmp_path):
    with pytest.raises(InputError, match="give largest, left, right, or a number"):
        extract(ExtractOptions(video=examples / "pose.mp4", out=tmp_path / "t.npz", face="her.jpg"))


def test_a_pose_is_plotted(tmp_path):
    plot(PlotOptions(pose=Path("slow-turn"), out=tmp_path / "p.png", seconds=4.0))
    picture = read_picture(tmp_path / "p.png").astype(int)
    assert ((picture[..., 0] - picture[..., 2]) > 100).sum() > 500, "a red curve"
    with pytest.raises(InputError, match="a length of 0 s cannot be drawn"):
        plot(PlotOptions(pose=Path("still"), out=tmp_path / "q.png", seconds=0.0))


def test_a_preview_is_as_long_as_asked(tmp_path, examples):
    preview(PreviewOptions(pose=Path("yaw=30"), out=tmp_path / "p.mp4", seconds=0.4))
    assert count_pictures(tmp_path / "p.mp4") == 10


def test_a_wire_head_turns_to_the_side_of_its_yaw():
    def middle(yaw):
        row = still(1)[0]
        row[0] = yaw
        picture = wire_head(row)[:200].astype(int)
        # The nose, and with it most lines, move to the side that the face turns to.
        return np.average(np.arange(picture.shape[1]), weights=(picture.sum(axis=2) > 200).sum(axis=0))

    assert middle(30) > middle(0) + 2 > middle(-30) + 4


def test_curves_with_gaps_are_drawn():
    curve = np.full((20, 3), np.nan)
    curve[5:] = 3
    assert draw_curves({"asked": np.zeros((20, 3)), "made": curve}).shape[2] == 3
