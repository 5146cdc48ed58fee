import logging

import cv2
import numpy as np
import pytest

from pcavs.errors import FaceError, InputError
from pcavs.face.pose import angles_deg, head_pose
from pcavs.face.regions import interocular_distance
from pcavs.face.track import box_of, fill_gaps, prominence, track_face, track_picture


def _scene(face_picture, *places):
    """A 400 x 640 frame with the face at each (x, y, side)."""
    frame = np.full((400, 640, 3), 110, np.uint8)
    for x, y, side in places:
        frame[y : y + side, x : x + side] = cv2.resize(face_picture, (side, side), interpolation=cv2.INTER_AREA)
    return frame


def _centre(mesh):
    return mesh[:, :2].mean(axis=0)


def test_a_moving_face_is_followed(face_picture, landmarker):
    frames = [_scene(face_picture, (20 + 15 * t, 50, 220)) for t in range(10)]
    track = track_face(iter(frames), landmarker, "walk.mp4")
    assert track.found.all()
    assert track.num_candidates == 1
    assert track.notes == ()
    steps = np.diff([_centre(mesh)[0] for mesh in track.meshes])
    np.testing.assert_allclose(steps[2:-2], 15, atol=1.5)


def test_two_faces_the_largest_central_one_is_taken_and_said_so(face_picture, landmarker, caplog):
    frame = _scene(face_picture, (200, 80, 240), (470, 0, 160))
    with caplog.at_level(logging.WARNING):
        track = track_picture(frame, landmarker, "pair.jpg")
    assert track.num_candidates == 2
    assert 200 < _centre(track.meshes[0])[0] < 440
    assert "pair.jpg shows 2 faces; the largest central one is taken" in caplog.text
    assert track.notes == ("pair.jpg shows 2 faces; the largest central one is taken",)


def test_the_track_stays_with_its_person_when_another_comes_nearer(face_picture, landmarker):
    frames = [_scene(face_picture, (60, 120, 180))]
    frames += [_scene(face_picture, (60, 120, 180), (300, 20, 300)) for _ in range(4)]
    track = track_face(frames, landmarker, "guest.mp4")
    assert track.found.all()
    assert all(60 < _centre(mesh)[0] < 240 for mesh in track.meshes)


def test_when_the_person_leaves_the_track_does_not_jump_to_another(face_picture, landmarker):
    both = _scene(face_picture, (20, 60, 250), (450, 120, 170))
    other = _scene(face_picture, (450, 120, 170))
    track = track_face([both] * 3 + [other] * 5 + [both] * 2, landmarker, "leaves.mp4")
    assert track.found.tolist() == [True] * 3 + [False] * 5 + [True] * 2
    assert all(_centre(mesh)[0] < 270 for mesh in track.meshes)
    assert "not found in 5 of 10 frames" in track.notes[-1]


def test_a_face_that_comes_late_is_held_before(face_picture, landmarker):
    empty = _scene(face_picture)
    track = track_face([empty] * 3 + [_scene(face_picture, (200, 80, 240))] * 3, landmarker, "late.mp4")
    assert track.found.tolist() == [False] * 3 + [True] * 3
    np.testing.assert_allclose(track.meshes[0], track.meshes[3], atol=1)


def test_gaps_are_bridged_straight_and_held_at_the_ends():
    def mesh(value):
        return np.full((478, 3), value, np.float32)

    filled = fill_gaps([None, mesh(1), None, None, mesh(4), mesh(5), None])
    assert filled[:, 0, 0].tolist() == [1, 1, 2, 3, 4, 5, 5]


def test_no_face_in_a_picture_is_one_line_that_helps(landmarker):
    with pytest.raises(FaceError) as caught:
        track_picture(np.full((300, 400, 3), 90, np.uint8), landmarker, "wall.jpg")
    message = str(caught.value)
    assert message.startswith("no face in wall.jpg: the best candidate scored 0.")
    assert message.endswith("0.5 is needed; the picture is of one colour; give one of a person")
    assert "\n" not in message


def test_no_face_in_a_film_names_the_time(landmarker):
    with pytest.raises(FaceError, match=r"no face in wall\.mp4 \(0\.00 to 0\.28 s\): "):
        track_face([np.full((120, 160, 3), 90, np.uint8)] * 7, landmarker, "wall.mp4")


def test_a_film_without_frames(landmarker):
    with pytest.raises(InputError, match=r"empty\.mp4 has no frames"):
        track_face([], landmarker, "empty.mp4")


def test_prominence_prefers_large_then_central():
    def box(x, y, side):
        return np.array([x, y, x + side, y + side], np.float32)

    assert prominence(box(250, 150, 100), 640, 400) > prominence(box(0, 0, 100), 640, 400)
    assert prominence(box(100, 100, 250), 640, 400) > prominence(box(270, 150, 100), 640, 400)


def test_a_real_clip_is_followed_throughout(shared, landmarker):
    frames = _read(shared / "data" / "grid" / "s1_bbaf2n.mp4")
    track = track_face(frames, landmarker, "s1_bbaf2n.mp4")
    assert track.found.all()
    assert len(track.meshes) == 75
    angles = angles_deg(head_pose(track.meshes).rotation.astype(float))
    assert np.abs(angles).max() < 15
    box = box_of(track.meshes[0])
    assert 80 < box[2] - box[0] < 130
    assert interocular_distance(track.meshes).std() < 1


def test_a_head_that_turns_both_ways_is_measured_so(shared, landmarker):
    frames = _read(shared / "data" / "eval" / "vidtimit_fadg0_head.mp4")[::2]
    track = track_face(frames, landmarker, "head.mp4")
    yaw = angles_deg(head_pose(track.meshes).rotation.astype(float))[:, 0]
    assert track.found.mean() > 0.97
    assert yaw.min() < -35
    assert yaw.max() > 35
    assert np.abs(np.diff(yaw)).max() < 25


def _read(path):
    video = cv2.VideoCapture(str(path))
    frames = []
    while True:
        good, frame = video.read()
        if not good:
            return frames
        frames.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
