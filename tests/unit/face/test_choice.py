"""Which of several faces is tracked."""

import numpy as np

from pcavs.face.choice import ByPosition, Largest, MostSimilar
from pcavs.face.landmarker import Detection

PICTURE = np.zeros((400, 600, 3), np.uint8)


def face(left, size, top=150):
    box = np.array([left, top, left + size, top + size], np.float32)
    return Detection(box, np.zeros((6, 2), np.float32), 0.9)


LEFT, MIDDLE, RIGHT = face(10, 100), face(250, 90), face(480, 60)
FACES = [MIDDLE, RIGHT, LEFT]


def test_the_largest_central_face_comes_first_and_all_are_tried():
    assert Largest().rank(PICTURE, FACES) == [MIDDLE, LEFT, RIGHT]


def test_faces_are_counted_from_the_left():
    assert ByPosition(0).rank(PICTURE, FACES) == [LEFT]
    assert ByPosition(2).rank(PICTURE, FACES) == [RIGHT]
    assert ByPosition(-1).rank(PICTURE, FACES) == [RIGHT]


def test_a_missing_face_is_not_replaced_by_another():
    assert ByPosition(3).rank(PICTURE, FACES) == []
    assert ByPosition(0).rank(PICTURE, []) == []


def test_the_most_similar_comes_first_and_a_single_face_is_not_measured():
    measured = []

    def similarity(picture, one):
        measured.append(one)
        return float(-one.box[2] + one.box[0])

    assert MostSimilar(similarity).rank(PICTURE, FACES) == [RIGHT, MIDDLE, LEFT]
    measured.clear()
    assert MostSimilar(similarity).rank(PICTURE, [LEFT]) == [LEFT]
    assert measured == []
