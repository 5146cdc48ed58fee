"""Pasting a head into its photograph: nothing changes outside the mask, and the seam is not visible."""

import cv2
import numpy as np
import pytest

from pcavs.animate.compose.paste import HeadPaster, PhotographTarget, VideoTarget, crop_to_even, feather_mask
from pcavs.animate.identity import SourceCrop, own_side_px
from pcavs.errors import InputError
from pcavs.face.align import crop_picture
from pcavs.media.film import FilmWriter
from pcavs.media.image import read_picture

SIDE = 128


@pytest.fixture(scope="module")
def whole(composite):
    """The example, with a crop that is turned by ten degrees."""
    picture = cv2.resize(read_picture(composite), (301, 301), interpolation=cv2.INTER_AREA)
    turn = cv2.getRotationMatrix2D((150, 140), 10, 0.7)
    turn[:, 2] += SIDE / 2 - np.array([150, 140])
    return SourceCrop(picture, turn)


@pytest.fixture(scope="module")
def crop(whole):
    return crop_picture(whole.picture, whole.transform, SIDE)


def edge_strength(picture, where):
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float(np.hypot(cv2.Sobel(grey, -1, 1, 0), cv2.Sobel(grey, -1, 0, 1))[where].mean())


def placed_mask(whole):
    height, width = crop_to_even(whole.picture).shape[:2]
    back = cv2.invertAffineTransform(whole.transform)
    return cv2.warpAffine(feather_mask(SIDE), back, (width, height))


def test_outside_the_mask_the_picture_is_unchanged(whole, crop):
    background = crop_to_even(whole.picture)
    frame = HeadPaster(whole, SIDE, crop).paste(255 - crop, background)
    outside = placed_mask(whole) == 0
    assert outside.mean() > 0.3
    assert np.array_equal(frame[outside], background[outside])
    assert np.abs(frame.astype(int) - background)[placed_mask(whole) > 0.99].mean() > 20


def test_the_photographs_own_head_reproduces_the_photograph(whole, crop):
    frame = HeadPaster(whole, SIDE, crop).paste(crop, crop_to_even(whole.picture))
    assert np.abs(frame.astype(int) - crop_to_even(whole.picture)).mean() < 1.5


def test_the_seam_is_no_sharper_than_the_picture(whole, crop):
    """A head in another light, as a `paper` talker may paint it, is matched in colour and blended softly."""
    darker = (crop * 0.8).astype(np.uint8)
    frame = HeadPaster(whole, SIDE, darker).paste(darker, crop_to_even(whole.picture))
    mask = placed_mask(whole)
    seam = (mask > 0.02) & (mask < 0.98)
    assert edge_strength(frame, seam) <= 1.2 * edge_strength(crop_to_even(whole.picture), seam)
    level = frame[mask > 0.99].mean()
    assert abs(level - crop_to_even(whole.picture)[mask > 0.99].mean()) < 8, "colours are matched"


def test_odd_pictures_lose_a_row_and_a_column(whole):
    assert crop_to_even(whole.picture).shape == (300, 300, 3)
    assert [frame.shape for frame in PhotographTarget(whole.picture).frames(2)] == [(300, 300, 3)] * 2


def test_the_crop_keeps_the_pictures_resolution(whole):
    assert own_side_px(whole.transform, SIDE) == 4 * round(SIDE / 0.7 / 4)
    assert own_side_px(whole.transform * 100, SIDE) == 64


def test_a_video_of_the_person_must_be_long_enough(tmp_path):
    path = tmp_path / "person.mp4"
    with FilmWriter(path, (64, 64)) as writer:
        for level in range(5):
            writer.write(np.full((64, 64, 3), 40 * level, np.uint8))
    video = VideoTarget(path, 64)
    video.check(5)
    with pytest.raises(InputError, match=r"lasts 0\.20 s and the speech 0\.24 s; give a longer video"):
        video.check(6)
    levels = [float(frame.mean()) for frame in video.frames(7)]
    assert len(levels) == 7
    assert levels[4] == levels[6] > levels[3] > levels[0]


def test_a_video_of_another_length_than_the_speech(tmp_path):
    path = tmp_path / "person.mp4"
    with FilmWriter(path) as writer:
        for k in range(10):
            writer.write(np.full((64, 64, 3), 20 * k, np.uint8))
    target = VideoTarget(path, 64)
    target.check(6)
    assert target.notes == (f"{path} lasts 0.40 s and the speech 0.24 s; the film ends with the speech",)
    with pytest.raises(InputError, match=r"lasts 0.40 s and the speech 1.00 s; give a longer video .*, or --loop"):
        target.check(25)
    looped = VideoTarget(path, 64, loop=True)
    looped.check(25)
    assert looped.notes == (f"{path} lasts 0.40 s and the speech 1.00 s; the video is repeated",)
    levels = [round(frame.mean() / 20) for frame in looped.frames(25)]
    assert levels == [*range(10), *range(10), *range(5)]
