"""Films with an alpha channel: what is transparent is shown as mid grey, as in photographs."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from pcavs.media.still import MID_GREY
from pcavs.media.video import count_pictures, probe_video, read_frames

_HIDDEN = (255, 0, 0)
_SHOWN = (30, 160, 60)
_WAYS = [
    (".webm", "libvpx-vp9", "yuva420p"),
    (".webm", "libvpx", "yuva420p"),
    (".mov", "prores_ks", "yuva444p10le"),
    (".mov", "png", "rgba"),
    (".mov", "qtrle", "argb"),
]

_OPTIONS = {"libvpx-vp9": {"crf": "4", "b": "0"}, "libvpx": {"crf": "4", "b": "2M", "auto-alt-ref": "0"}}


def write_alpha(path: Path, codec: str, pixel_format: str, count: int = 4) -> Path:
    """Writes frames that are opaque on the left and transparent over a hidden colour on the right."""
    picture = np.zeros((64, 96, 4), np.uint8)
    picture[:, :48] = (*_SHOWN, 255)
    picture[:, 48:] = (*_HIDDEN, 0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=_OPTIONS.get(codec, {}))
        stream.width, stream.height, stream.pix_fmt = 96, 64, pixel_format
        for k in range(count):
            frame = VideoFrame.from_ndarray(picture, format="rgba")
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame.reformat(format=pixel_format)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("way", "codec", "pixel_format"), _WAYS)
def test_transparent_pixels_become_grey(tmp_path: Path, way: str, codec: str, pixel_format: str):
    """The hidden red was shown."""
    path = write_alpha(tmp_path / f"film{way}", codec, pixel_format)
    frames = list(read_frames(path))
    assert len(frames) == count_pictures(path) == 4
    for frame in frames:
        assert frame.shape == (64, 96, 3)
        assert np.abs(frame[8:-8, 60:-8].astype(int) - MID_GREY).max() <= 4
        assert np.abs(frame[8:-8, 8:36].mean(axis=(0, 1)) - _SHOWN).max() <= 6
    assert (probe_video(path).width_px, probe_video(path).height_px) == (96, 64)


def test_hidden_colours_do_not_bleed_into_reduced_frames(tmp_path: Path):
    path = write_alpha(tmp_path / "film.mov", "png", "rgba")
    frame = next(iter(read_frames(path, max_side_px=36)))
    assert frame.shape == (24, 36, 3)
    # Between the shown colour and grey; averaging the hidden red first would exceed grey.
    assert frame[..., 0].max() <= MID_GREY + 2


def test_a_film_without_alpha_stays_as_it_was(tmp_path: Path):
    path = write_alpha(tmp_path / "film.mov", "prores_ks", "yuv422p10le")
    frame = next(iter(read_frames(path)))
    assert np.abs(frame[8:-8, 60:-8].mean(axis=(0, 1)) - _HIDDEN).max() <= 6


def test_seeking_keeps_the_alpha_channel(tmp_path: Path):
    path = write_alpha(tmp_path / "film.webm", "libvpx-vp9", "yuva420p", count=160)
    frame = next(iter(read_frames(path, 6.0)))
    assert np.abs(frame[8:-8, 60:-8].astype(int) - MID_GREY).max() <= 4
