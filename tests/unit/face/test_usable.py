"""Faces in any orientation are found upright; what is no face, or only half of one, is not animated."""

import cv2
import numpy as np
import pytest

from pcavs.errors import FaceError
from pcavs.face.landmarker import Region
from pcavs.face.track import track_picture
from pcavs.face.usable import check_face
from pcavs.media.image import read_picture


@pytest.fixture(scope="module")
def portrait(root):
    return cv2.resize(read_picture(root / "examples/face.jpg"), (384, 384), interpolation=cv2.INTER_AREA)


def turned(picture, angle_deg):
    size = picture.shape[1], picture.shape[0]
    turn = cv2.getRotationMatrix2D((size[0] / 2, size[1] / 2), angle_deg, 1)
    return cv2.warpAffine(picture, turn, size, borderMode=cv2.BORDER_REPLICATE), turn


@pytest.mark.parametrize("angle_deg", [90, 120, 150, 180, 210, 240, 270])
def test_turned_faces_have_their_eyes_where_they_are(portrait, landmarker, angle_deg):
    """The detector took upside-down faces for upright ones: their mouths became eyes."""
    upright = track_picture(portrait, landmarker, "upright").meshes[0][:, :2]
    picture, turn = turned(portrait, angle_deg)
    track = track_picture(picture, landmarker, "turned")
    expected = upright @ turn[:, :2].T + turn[:, 2]
    assert np.abs(track.meshes[0][:, :2] - expected).mean() < 4
    noted = any("is turned by" in note for note in track.notes)
    assert noted == (120 <= angle_deg <= 240)


def test_a_face_that_only_an_upside_down_search_finds(portrait, landmarker):
    scene = np.full((500, 700, 3), 120, np.uint8)
    scene[60:260, 380:580] = cv2.resize(portrait[::-1, ::-1], (200, 200), interpolation=cv2.INTER_AREA)
    mesh = track_picture(scene, landmarker, "scene").meshes[0]
    assert abs(np.degrees(Region.of_mesh(mesh).angle_rad)) > 165
    assert 380 < mesh[:, 0].mean() < 580


def check(picture, landmarker):
    return check_face(picture, track_picture(picture, landmarker, "p.jpg").meshes[0], landmarker, "p.jpg")


@pytest.mark.parametrize("change", ["none", "blurred", "dark", "noisy", "small"])
def test_faces_pass(portrait, landmarker, change):
    changed = {
        "none": lambda p: p,
        "blurred": lambda p: cv2.GaussianBlur(p, (0, 0), 3),
        "dark": lambda p: (p * 0.15).astype(np.uint8),
        "noisy": lambda p: np.clip(p + np.random.default_rng(0).normal(0, 40, p.shape), 0, 255).astype(np.uint8),
        "small": lambda p: cv2.resize(p, (80, 80), interpolation=cv2.INTER_AREA),
    }[change](portrait)
    assert check(changed, landmarker) == []


def test_landmarks_that_do_not_hold_still_are_no_face(landmarker):
    """Landmarks were found on a cat's eye; where there is no face, they follow the network's input."""
    rng = np.random.default_rng(1)
    picture = cv2.GaussianBlur(rng.integers(60, 200, (300, 300, 3), np.uint8), (0, 0), 6)
    mesh = np.zeros((478, 3), np.float32)
    mesh[:, :2] = rng.uniform(60, 240, (478, 2))
    mesh[33, :2], mesh[263, :2] = (100, 120), (200, 120)
    with pytest.raises(FaceError, match=r"no face in p\.jpg: something like a face .* give a picture of a whole face"):
        check_face(picture, mesh, landmarker, "p.jpg")


@pytest.mark.parametrize(("part", "rows"), [("eye", slice(150, None)), ("mouth", slice(0, 185))])
def test_faces_that_the_edge_cuts_are_refused(portrait, landmarker, part, rows):
    whole = track_picture(portrait, landmarker, "p.jpg").meshes[0]
    cut = portrait[rows]
    mesh = whole.copy()
    mesh[:, 1] -= rows.start or 0
    eyes, lips = whole[[159, 386], 1].max(), whole[[13, 14], 1].min()
    assert (rows.start or 0) > eyes or (rows.stop or 999) < lips, "the test must cut there"
    with pytest.raises(FaceError, match=rf"the edge of p\.jpg cuts the face at the .*{part}; give"):
        check_face(np.ascontiguousarray(cut), mesh, landmarker, "p.jpg")


def test_a_missing_forehead_is_noted(portrait, landmarker):
    mesh = track_picture(portrait, landmarker, "p.jpg").meshes[0]
    top = int(mesh[[10, 109, 338, 67, 297], 1].max()) + 8
    cut = mesh.copy()
    cut[:, 1] -= top
    notes = check_face(np.ascontiguousarray(portrait[top:]), cut, landmarker, "p.jpg")
    assert notes == ["the edge of p.jpg cuts off part of the face; what is missing is filled with the picture's edge"]


def covered(picture, mesh, cover):
    """Draws a mask, or fingers across the mouth."""
    eyes = float(np.linalg.norm(mesh[468, :2] - mesh[473, :2]))
    picture = picture.copy()
    if cover == "fingers":
        skin = picture[tuple(mesh[195, 1::-1].astype(int))]
        for number in range(4):
            left, right = (
                mesh[61, :2] - (eyes / 2, -number * eyes / 5),
                mesh[291, :2] + (eyes / 3, (number - 1) * eyes / 5),
            )
            ends = left.astype(int).tolist(), right.astype(int).tolist()
            cv2.line(picture, *ends, (skin * 0.6).tolist(), round(0.26 * eyes))
            cv2.line(picture, *ends, (skin * 0.95).tolist(), round(0.2 * eyes))
        return picture
    jaw = [234, 93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323, 454]
    shape = mesh[[*jaw, 347, 195, 118], :2].astype(np.int32)
    return cv2.fillPoly(picture, [shape], {"blue": (150, 190, 215), "black": (30, 30, 34)}[cover])


@pytest.mark.parametrize("cover", ["blue", "black", "fingers"])
def test_a_covered_mouth_is_noted(portrait, landmarker, cover):
    mesh = track_picture(portrait, landmarker, "p.jpg").meshes[0]
    notes = check(covered(portrait, mesh, cover), landmarker)
    assert any("the mouth in p.jpg seems covered" in note for note in notes)
