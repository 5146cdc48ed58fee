"""Frames that are converted in part equal frames that are converted whole."""

import av
import numpy as np
import pytest

from pcavs.media.film import FilmWriter
from pcavs.media.yuv import PartialConverter, WholeConverter, _changed

HEIGHT, WIDTH = 520, 642
PARTS = {
    "inside": np.s_[101:300, 205:418],
    "at the top left": np.s_[:60, :41],
    "at the bottom right": np.s_[-77:, -133:],
    "one pixel": np.s_[200:201, 301:302],
    "nothing": np.s_[:0, :0],
    "across": np.s_[60:90, :],
    "all": np.s_[:, :],
}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def arrays(frame):
    return frame.to_ndarray()


@pytest.mark.parametrize("name", PARTS)
def test_a_part_is_converted_as_in_the_whole(name, rng):
    first = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    second = first.copy()
    second[PARTS[name]] = rng.integers(0, 256, second[PARTS[name]].shape, np.uint8)
    partial, whole = PartialConverter(), WholeConverter("yuv420p")
    for number, picture in enumerate((first, second, first)):
        (converted,) = partial(picture, number)
        expected = whole(picture, number)
        np.testing.assert_array_equal(arrays(converted), arrays(expected))
        assert (converted.pts, converted.time_base) == (expected.pts, expected.time_base)
        assert (converted.colorspace, converted.color_range) == (expected.colorspace, expected.color_range)


def test_only_what_differs_is_converted(rng):
    first = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    second = first.copy()
    second[200, 301] ^= 255
    assert _changed(second, first) == (192, 232, 288, 322)
    assert _changed(first, first) == (0, 2, 0, 2)
    assert _changed(255 - first, first) is None


def test_a_frame_that_was_changed_in_place_is_converted_whole(rng):
    picture = rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    partial = PartialConverter()
    partial(picture, 0)
    picture[:] = 255 - picture
    (converted,) = partial(picture, 1)
    np.testing.assert_array_equal(arrays(converted), arrays(WholeConverter("yuv420p")(picture, 1)))


def test_a_film_of_a_moving_square_shows_it(tmp_path):
    still = np.full((HEIGHT, WIDTH, 3), (90, 120, 60), np.uint8)
    with FilmWriter(tmp_path / "film.mp4") as writer:
        for k in range(6):
            frame = still.copy()
            frame[100 + 20 * k : 200 + 20 * k, 300:400] = (200, 80, 40)
            writer.write(frame)
    with av.open(str(tmp_path / "film.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    for k, frame in enumerate(frames):
        assert np.abs(frame[150 + 20 * k, 350].astype(int) - (200, 80, 40)).max() < 8
        assert np.abs(frame[90 + 20 * k, 350].astype(int) - (90, 120, 60)).max() < 8
