import cv2
import numpy as np
import pytest

from pcavs.face.landmarker import Region, overlap
from pcavs.face.regions import interocular_distance
from pcavs.face.track import track_picture


def _error(mesh, wanted):
    """Mean distance as a share of the eye distance."""
    return np.linalg.norm(mesh[:, :2] - wanted[:, :2], axis=1).mean() / interocular_distance(wanted[None])[0]


def _tracked(picture, landmarker):
    return track_picture(np.ascontiguousarray(picture), landmarker, "test").meshes[0]


def test_detection_boxes_the_mesh(face_picture, landmarker):
    (face,) = landmarker.detect(face_picture)
    landmarks = landmarker.locate(face_picture, Region.of_detection(face))
    assert face.score > 0.7
    assert landmarks.presence > 0.9
    inside = (landmarks.mesh[:, :2] > face.box[:2] - 60) & (landmarks.mesh[:, :2] < face.box[2:] + 60)
    assert inside.all()
    assert face.keypoints[0, 0] < face.keypoints[2, 0] < face.keypoints[1, 0]
    np.testing.assert_allclose(landmarks.mesh[[468, 473], :2], face.keypoints[:2], atol=20)


def test_a_mirrored_picture_gives_the_mirrored_mesh(face_picture, landmarker):
    # Half a pixel's confusion between edges and centres would show as a shift of one whole input pixel.
    mesh, mirrored = _tracked(face_picture, landmarker), _tracked(face_picture[:, ::-1], landmarker)
    midline = [10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 0, 13, 14, 17, 152]
    shift = mesh[midline, 0].mean() - (face_picture.shape[1] - 1 - mirrored[midline, 0].mean())
    assert abs(shift) < 0.01 * interocular_distance(mesh[None])[0]


@pytest.mark.parametrize("degrees", [-40, 25])
def test_a_turned_picture_gives_the_turned_mesh(face_picture, landmarker, degrees):
    mesh = _tracked(face_picture, landmarker)
    turn = cv2.getRotationMatrix2D((255.5, 255.5), degrees, 0.8)
    turned = cv2.warpAffine(face_picture, turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    wanted = mesh.copy()
    wanted[:, :2] = mesh[:, :2] @ turn[:, :2].T + turn[:, 2]
    assert _error(_tracked(turned, landmarker), wanted) < 0.03


def test_a_small_face_in_a_large_frame_is_found(face_picture, landmarker):
    frame = np.full((720, 1280, 3), 128, np.uint8)
    small = cv2.resize(face_picture, (90, 90), interpolation=cv2.INTER_AREA)
    frame[500:590, 900:990] = small
    assert not landmarker.detect(frame)
    wanted = _tracked(face_picture, landmarker)
    wanted[:, :2] = (wanted[:, :2] + 0.5) * 90 / 512 - 0.5 + [900, 500]
    assert _error(_tracked(frame, landmarker), wanted) < 0.05


def test_a_face_that_fills_the_picture_is_found(face_picture, landmarker):
    mesh = _tracked(face_picture, landmarker)
    x0, y0 = np.floor(mesh[:, :2].min(axis=0)).clip(0).astype(int)
    x1, y1 = np.ceil(mesh[:, :2].max(axis=0)).astype(int)
    tight = _tracked(face_picture[y0:y1, x0:x1], landmarker)
    assert _error(tight, mesh - np.array([x0, y0, 0], np.float32)) < 0.05


def test_odd_sizes_do_no_harm(landmarker):
    for height, width in [(1, 1), (1, 700), (700, 1), (127, 129)]:
        assert not any(landmarker.search(np.zeros((height, width, 3), np.uint8)))


def test_region_of_a_mesh_holds_it_level(pose_head):
    mesh = pose_head([(0, 0, 30)])[0]
    region = Region.of_mesh(mesh)
    assert np.degrees(region.angle_rad) == pytest.approx(30, abs=0.01)
    away = np.abs(mesh[:, :2] - region.centre_px).max()
    assert region.side_px / 3 * 0.99 <= away < region.side_px / 2


def test_overlap_by_hand():
    box = np.array([0, 0, 2, 2], np.float32)
    assert overlap(box, box) == pytest.approx(1)
    assert overlap(box, box + 1) == pytest.approx(1 / 7)
    assert overlap(box, box + 5) == 0
