"""Clips as bare H.264 in memory: any frame can be decoded alone, with its colours."""

import cv2
import numpy as np
import pytest

from pcavs.errors import DataError
from pcavs.media.bitstream import KEYFRAME_EVERY, Bitstream, decode_pictures, encode_pictures


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    """A blurred pattern that wanders; frame k is 8 k brighter on the left."""
    rng = np.random.default_rng(0)
    wide = cv2.GaussianBlur(rng.integers(0, 255, (64, 96, 3), np.uint8), (0, 0), 3).astype(int)
    wide = ((wide - 128) * 4 + 128).clip(40, 200)
    frames = [wide[:, k : k + 64].copy() for k in range(13)]
    for k, frame in enumerate(frames):
        frame[:, :8] = 8 * k + 20
    return np.stack(frames).astype(np.uint8)


@pytest.fixture(scope="module")
def film(pictures) -> Bitstream:
    return encode_pictures(pictures)


def test_every_frame_comes_back(pictures, film):
    made = decode_pictures(film)
    assert made.shape == pictures.shape
    assert np.abs(made.astype(int) - pictures).mean() < 3


@pytest.mark.parametrize("frames", [[0], [12], [4, 5], [7, 3, 7], [12, 0, 6]])
def test_any_frames_are_those_of_the_whole(film, frames):
    np.testing.assert_array_equal(decode_pictures(film, frames), decode_pictures(film)[frames])


def test_frames_are_found_from_the_keyframe_before_them(film):
    """Only packets from the keyframe on are read: the rest of the stream may be missing."""
    start = int(film.ends[KEYFRAME_EVERY - 1])
    hollow = Bitstream(bytes(start) + film.data[start : int(film.ends[7])], film.ends)
    np.testing.assert_array_equal(decode_pictures(hollow, [7]), decode_pictures(film, [7]))


def test_equal_pictures_give_equal_bytes(pictures, film):
    assert encode_pictures(pictures).data == film.data


def test_red_lips_keep_their_edge():
    """Without colour subsampling: a red line of one pixel on grey stays red."""
    picture = np.full((64, 64, 3), 120, np.uint8)
    picture[16] = (200, 80, 80)
    back = decode_pictures(encode_pictures([picture]))[0].astype(int)
    assert (back[16, :, 0] - back[16, :, 1]).min() > 80


def test_one_picture_is_a_film(pictures):
    assert decode_pictures(encode_pictures(pictures[:1])).shape == (1, 64, 64, 3)


@pytest.mark.parametrize("kind", ["zeros", "text", "cut"])
def test_damage_is_one_line(film, kind):
    data = {"zeros": bytes(len(film.data)), "text": b"x" * len(film.data), "cut": film.data[:50]}[kind]
    with pytest.raises(DataError, match=r"a stored clip (cannot be decoded|lacks)") as caught:
        decode_pictures(Bitstream(data, film.ends))
    assert "\n" not in str(caught.value)
