import gc
import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace

from pcavs.errors import InputError
from pcavs.media.film import FilmWriter
from pcavs.media.video import count_pictures, probe_video, read_frames
from unit.media.making import FilmMaker, SoundMaker, number_of, numbered, tone_with_click


def steady(rate: Fraction, count: int) -> list[Fraction]:
    return [k / rate for k in range(count)]


def numbers(path: Path, **choice: Any) -> list[int]:
    return [number_of(picture) for picture in read_frames(path, **choice)]


@pytest.mark.parametrize(
    "rate", [Fraction(12), Fraction(25), Fraction(30_000, 1001), Fraction(50), Fraction(60_000, 1001), Fraction(240)]
)
def test_every_rate_becomes_25_by_the_nearest_frame(make_film: FilmMaker, rate: Fraction):
    count = int(3 * rate)
    path = make_film("film.mp4", steady(rate, count), numbered)
    found = numbers(path)
    assert len(found) == int(25 * count / rate + Fraction(1, 2)) == count_pictures(path)
    for k, number in enumerate(found):
        nearest = min(abs(other / rate - Fraction(k, 25)) for other in range(count))
        assert abs(number / rate - Fraction(k, 25)) <= nearest + Fraction(1, 10_000)


def test_25_is_left_alone(make_film: FilmMaker):
    assert numbers(make_film("film.mp4", steady(Fraction(25), 60), numbered)) == list(range(60))


def test_a_variable_rate_keeps_time(make_film: FilmMaker):
    rng = np.random.default_rng(5)
    times = [Fraction(0)]
    for gap_ms in rng.integers(5, 200, 80):
        times.append(times[-1] + Fraction(int(gap_ms), 1000))
    found = numbers(make_film("film.mkv", times, numbered))
    for k, number in enumerate(found[:-5]):
        nearest = min(abs(time - Fraction(k, 25)) for time in times)
        assert abs(times[number] - Fraction(k, 25)) <= nearest + Fraction(2, 1000)


@pytest.mark.parametrize("name", ["film.mp4", "film.mkv", "film.ts"])
def test_a_range_begins_at_its_frame(make_film: FilmMaker, name: str):
    path = make_film(name, steady(Fraction(25), 300), numbered)
    assert numbers(path, start_s=2.0, end_s=2.4) == list(range(50, 60))
    assert numbers(path, start_s=9.0, end_s=9.2) == list(range(225, 230))
    assert numbers(path, start_s=11.8, end_s=99.0) == list(range(295, 300))
    assert count_pictures(path, 9.0, 9.2) == 5
    assert count_pictures(path, 11.8, 99.0) == 5


def test_beyond_the_end_is_refused(make_film: FilmMaker):
    path = make_film("film.mp4", steady(Fraction(25), 10), numbered)
    with pytest.raises(InputError, match="film.mp4 has no picture at 3 s; it ends earlier"):
        next(read_frames(path, start_s=3.0))


def test_sound_that_starts_first_sets_second_zero(make_film: FilmMaker):
    times = [Fraction(1, 2) + time for time in steady(Fraction(25), 30)]
    found = numbers(make_film("film.mkv", times, numbered, sound=tone_with_click(1.5, 16_000)[0]))
    assert found[:15] == [0] * 14 + [1]


def test_repeated_frames_are_not_one_array(make_film: FilmMaker):
    first, second, *_ = list(read_frames(make_film("film.mp4", steady(Fraction(5), 5), numbered)))
    np.testing.assert_array_equal(first, second)
    first[:] = 9
    assert not (second == 9).all()


def test_frames_are_contiguous_at_odd_widths(make_film: FilmMaker):
    picture = next(read_frames(make_film("film.mp4", steady(Fraction(25), 3), lambda k: numbered(k, 590, 62))))
    assert picture.shape == (62, 590, 3)
    assert picture.flags.c_contiguous
    assert picture.flags.writeable
    assert picture.flags.owndata


def test_large_frames_are_reduced(make_film: FilmMaker):
    path = make_film("film.mp4", steady(Fraction(25), 3), numbered)
    assert next(read_frames(path, max_side_px=64)).shape == (32, 64, 3)
    assert next(read_frames(path, max_side_px=4096)).shape == (64, 128, 3)


def quarters(_: int) -> np.ndarray:
    """Red, green over blue, white."""
    picture = np.zeros((64, 128, 3), np.uint8)
    picture[:32, :64], picture[:32, 64:] = (200, 0, 0), (0, 200, 0)
    picture[32:, :64], picture[32:, 64:] = (0, 0, 200), (200, 200, 200)
    return picture


def corner_names(picture: np.ndarray) -> str:
    height, width = picture.shape[:2]
    names = {(1, 0, 0): "R", (0, 1, 0): "G", (0, 0, 1): "B", (1, 1, 1): "W"}
    points = [(height // 4, width // 4), (height // 4, 3 * width // 4)]
    points += [(3 * height // 4, width // 4), (3 * height // 4, 3 * width // 4)]
    return "".join(names[tuple(int(value > 100) for value in picture[y, x])] for y, x in points)


@pytest.mark.parametrize(("degrees", "corners"), [(0, "RGBW"), (90, "GWRB"), (-90, "BRWG"), (180, "WBGR")])
def test_rotation_is_applied(make_film: FilmMaker, degrees: int, corners: str):
    # Degrees counterclockwise, as FFmpeg counts them.
    path = make_film("film.mp4", steady(Fraction(25), 3), quarters, prepare=lambda s: s.set_display_rotation(degrees))
    picture = next(read_frames(path))
    assert picture.shape == ((64, 128, 3) if degrees % 180 == 0 else (128, 64, 3))
    assert corner_names(picture) == corners
    info = probe_video(path)
    assert (info.height_px, info.width_px) == picture.shape[:2]


def test_mirroring_is_applied(make_film: FilmMaker):
    path = make_film("film.mp4", steady(Fraction(25), 3), quarters, prepare=lambda s: s.set_display_rotation(180))
    data = path.read_bytes()
    turned = struct.pack(">5i", -(1 << 16), 0, 0, 0, -(1 << 16))
    assert data.count(turned) == 1
    path.write_bytes(data.replace(turned, struct.pack(">5i", -(1 << 16), 0, 0, 0, 1 << 16)))
    assert corner_names(next(read_frames(path))) == "GRWB"


def test_oblong_pixels_become_square(make_film: FilmMaker):
    def stretch(stream: Any) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(16, 11)

    path = make_film("film.mp4", steady(Fraction(25), 3), quarters, prepare=stretch)
    assert next(read_frames(path)).shape == (64, 186, 3)


@pytest.mark.parametrize(
    ("height", "space", "tag"),
    [
        (64, Colorspace.ITU601, 2),
        (64, Colorspace.ITU709, 1),
        (64, Colorspace.ITU601, 6),
        (720, Colorspace.ITU709, 2),
        (720, Colorspace.ITU601, 6),
    ],
)
def test_colours_survive(tmp_path: Path, height: int, space: Colorspace, tag: int):
    colour = np.full((height, 128, 3), (200, 60, 30), np.uint8)
    path = tmp_path / "film.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 128, height, "yuv420p"
        stream.codec_context.colorspace = tag
        frame = av.VideoFrame.from_ndarray(colour, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=space, dst_color_range=ColorRange.MPEG)
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    np.testing.assert_allclose(next(read_frames(path)), colour, atol=4)


def test_probing(make_film: FilmMaker, make_sound: SoundMaker):
    sound = tone_with_click(2.0, 16_000)
    info = probe_video(make_film("film.mp4", steady(Fraction(30), 60), numbered, sound=sound[0]))
    assert (info.width_px, info.height_px, info.num_frames, info.has_audio) == (128, 64, 50, True)
    assert info.duration_s == pytest.approx(2.0, abs=0.01)
    assert float(info.frame_rate) == pytest.approx(30, rel=0.01)
    with pytest.raises(InputError, match="speech.wav has no picture; give a video or a photo"):
        probe_video(make_sound("speech.wav", sound, 16_000))


@pytest.mark.parametrize("read", [probe_video, count_pictures, lambda path: next(read_frames(path))])
def test_text_is_no_film(tmp_path: Path, read: Callable[[Path], object]):
    path = tmp_path / "text.mp4"
    path.write_text("not a film\n" * 100)
    with pytest.raises(InputError, match="text.mp4 cannot be read as audio or video"):
        read(path)


def test_a_damaged_clock_is_refused_where_it_matters(make_film: FilmMaker):
    """A film of 40 kB gave 147,967 frames: one time stamp was wrong."""
    times = [*steady(Fraction(25), 10), *(6000 + time for time in steady(Fraction(25), 10))]
    path = make_film("film.mkv", times, numbered)
    with pytest.raises(InputError, match=r"film\.mkv shows one frame for 6000 s from 0\.36 s on"):
        list(read_frames(path))
    assert numbers(path, end_s=0.4) == list(range(10))
    assert len(numbers(path, start_s=0.2, end_s=60.0)) == 1495
    late = make_film("late.mkv", [0, *(500 + time for time in steady(Fraction(25), 10))], numbered)
    assert len(numbers(late)) == 12_510, "a still of minutes is a still"


def test_closing_early_closes_the_file(make_film: FilmMaker):
    frames = read_frames(make_film("film.mp4", steady(Fraction(25), 50), numbered))
    next(frames)
    frames.close()
    assert list(frames) == []


def test_decoded_frames_are_freed_at_once(tmp_path: Path):
    """Reading their display matrix kept them in reference cycles: a 4K video took gigabytes until Python looked."""
    path = tmp_path / "film.mp4"
    with FilmWriter(path) as film:
        for k in range(8):
            film.write(np.full((64, 64, 3), 20 * k, np.uint8))
    gc.collect()
    gc.disable()
    try:
        before = sum(isinstance(each, VideoFrame) for each in gc.get_objects())
        assert len(list(read_frames(path))) == 8
        kept = sum(isinstance(each, VideoFrame) for each in gc.get_objects()) - before
    finally:
        gc.enable()
    assert kept == 0
