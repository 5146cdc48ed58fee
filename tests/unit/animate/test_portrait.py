"""Which frame of a video is taken for the person."""

import cv2
import numpy as np
import pytest

from pcavs.animate.portrait import find_portrait
from pcavs.face.choice import ByPosition
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import TrackPolicy
from pcavs.face.usable import NoFaceError, check_face
from pcavs.media.film import FilmWriter
from pcavs.media.image import read_picture

SIDE = 256


@pytest.fixture(scope="module")
def landmarker():
    return FaceLandmarker()


def write(path, frames):
    with FilmWriter(path) as writer:
        for frame in frames:
            writer.write(np.ascontiguousarray(frame))
    return path


def test_a_fade_in_is_passed_over_and_said(composite, landmarker, tmp_path):
    """Black first, brighter from 0.4 to 1.2 s: the frame is taken in which the face has stopped becoming brighter."""
    picture = read_picture(composite, SIDE).astype(np.float32)
    lights = np.interp(np.arange(45), [10, 30], [0, 1])
    film = write(tmp_path / "fade.mp4", [(picture * light).astype(np.uint8) for light in lights])
    portrait = find_portrait(film, landmarker, TrackPolicy(), 2048)
    (note,) = portrait.notes
    assert note.startswith("fade.mp4 shows no face at its beginning; the frame at 1.")
    assert 1.0 <= float(note.split(" at ")[2].split()[0]) <= 1.4
    assert abs(float(portrait.picture.mean()) - float(picture.mean())) < 8


def test_a_film_that_shows_the_face_at_once_is_not_searched(composite, landmarker, tmp_path):
    picture = read_picture(composite, SIDE)
    film = write(tmp_path / "film.mp4", [picture, *[np.zeros_like(picture)] * 10])
    portrait = find_portrait(film, landmarker, TrackPolicy(), 2048)
    assert portrait.notes == ()
    assert np.abs(portrait.picture.astype(int) - picture).mean() < 4


def test_the_next_face_is_taken_if_the_largest_is_none(composite, landmarker, tmp_path, monkeypatch):
    """A cat's eye next to a person ended the command. Here the larger of two faces is refused as if it were one."""
    scene = np.full((300, 600, 3), 110, np.uint8)
    scene[30:270, 40:280] = cv2.resize(read_picture(composite), (240, 240), interpolation=cv2.INTER_AREA)
    scene[80:220, 410:550] = cv2.resize(read_picture(composite), (140, 140), interpolation=cv2.INTER_AREA)
    path = tmp_path / "scene.png"
    cv2.imwrite(str(path), scene[:, :, ::-1])
    assert find_portrait(path, landmarker, TrackPolicy(), 2048).mesh[:, 0].mean() < 280

    def check(picture, mesh, landmarker, name):
        if mesh[:, 0].mean() < 280:
            raise NoFaceError("no face in scene.png")
        return check_face(picture, mesh, landmarker, name)

    monkeypatch.setattr("pcavs.animate.portrait.check_face", check)
    portrait = find_portrait(path, landmarker, TrackPolicy(), 2048)
    assert "what looks like the largest face in scene.png is none; the next is taken" in portrait.notes
    assert 410 < portrait.mesh[:, 0].mean() < 550
    with pytest.raises(NoFaceError):
        find_portrait(path, landmarker, TrackPolicy(choice=ByPosition(0)), 2048)

    scene[:, 300:] = 110
    cv2.imwrite(str(path), scene[:, :, ::-1])
    with pytest.raises(NoFaceError, match=r"^no face in scene\.png$"):
        find_portrait(path, landmarker, TrackPolicy(), 2048)
