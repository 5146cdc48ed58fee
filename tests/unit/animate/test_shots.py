"""After a cut only shots of the same person are dubbed; others are left as they are, and said."""

import cv2
import numpy as np
import pytest

from pcavs.animate.compose.shots import Shot, ShotFinder, ShotFollower, shot_note
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import FaceFollower, TrackPolicy
from pcavs.media.image import read_picture


@pytest.fixture(scope="module")
def landmarker():
    return FaceLandmarker()


@pytest.fixture(scope="module")
def people(root):
    """Two people who do not exist."""
    pictures = (read_picture(root / name) for name in ("examples/face.jpg", "tests/data/composite.jpg"))
    return [cv2.resize(picture, (256, 256), interpolation=cv2.INTER_AREA) for picture in pictures]


def scene(picture, x=60, *, other=None):
    frame = np.full((320, 640, 3), 110, np.uint8)
    frame[30:286, x : x + 256] = picture
    if other is not None:
        frame[30:286, 360:616] = other
    return frame


def find(frames, landmarker, tiny_spec):
    finder = ShotFinder(landmarker, tiny_spec.crop, TrackPolicy())
    for frame in frames:
        finder.step(frame)
    return finder


def test_the_other_person_is_left_alone(people, landmarker, tiny_spec):
    one, two = people
    frames = [scene(one)] * 4 + [scene(two)] * 4 + [scene(one, 200)] * 3
    finder = find(frames, landmarker, tiny_spec)
    assert finder.shots() == [Shot(0, 3, True), Shot(4, 7, False), Shot(8, 10, True)]
    assert shot_note(finder.shots(), "film.mp4") == [
        "film.mp4 does not show the person at 0.16 to 0.32 s; that is left as it is"
    ]
    follower = ShotFollower(finder.shots(), lambda: FaceFollower(landmarker, TrackPolicy(choice=finder.person), "film"))
    found = [follower.step(frame) is not None for frame in frames]
    assert found == [True] * 4 + [False] * 4 + [True] * 3


def test_the_person_is_found_beside_somebody_who_stands_where_they_were(people, landmarker, tiny_spec):
    """Identity decides, not position: after the cut the other one is at the person's place."""
    one, two = people
    frames = [scene(one)] * 3 + [scene(two, other=one)] * 3
    finder = find(frames, landmarker, tiny_spec)
    assert [shot.has_person for shot in finder.shots()] == [True, True]
    follower = ShotFollower(finder.shots(), lambda: FaceFollower(landmarker, TrackPolicy(choice=finder.person), "film"))
    meshes = [follower.step(frame) for frame in frames]
    assert meshes[-1] is not None
    assert meshes[-1][:, 0].mean() > 400


def test_a_film_without_cuts_is_one_shot(people, landmarker, tiny_spec):
    frames = [scene(people[0], 60 + 4 * t) for t in range(8)]
    finder = find(frames, landmarker, tiny_spec)
    assert finder.shots() == [Shot(0, 7, True)]
    assert shot_note(finder.shots(), "film.mp4") == []


def test_the_same_person_in_other_light_and_framing(people, landmarker, tiny_spec):
    one = people[0]
    darker = (one * 0.9).astype(np.uint8)
    near = cv2.resize(one, (280, 280), interpolation=cv2.INTER_AREA)
    wide = np.full((320, 640, 3), 40, np.uint8)
    wide[20:300, 300:580] = near
    finder = find([scene(one)] * 3 + [wide] * 3 + [scene(darker)] * 3, landmarker, tiny_spec)
    assert [shot.has_person for shot in finder.shots()] == [True, True, True]
