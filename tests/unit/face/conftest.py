"""A drawn head whose pose is known, a real face where there is one, and the networks loaded once."""

import cv2
import numpy as np
import pytest

from pcavs.face.align import crop_picture
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import canonical_face, rotation_from_angles


@pytest.fixture(scope="session")
def landmarker():
    return FaceLandmarker()


@pytest.fixture(scope="session")
def face_picture(root, request, landmarker):
    """512 px square, half of it one frontal face: the shipped example, or a composite where that is missing."""
    path = root / "tests" / "data" / "composite.jpg"
    if not path.exists():
        path = request.getfixturevalue("shared") / "data" / "photos" / "composite_f_multi.jpg"
    picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    x0, y0, x1, y1 = landmarker.detect(picture)[0].box
    scale = 256 / (x1 - x0)
    place = np.array([[scale, 0, 256 - scale * (x0 + x1) / 2], [0, scale, 256 - scale * (y0 + y1) / 2]])
    return crop_picture(picture, place, 512)


@pytest.fixture
def pose_head():
    """Poses the canonical head: angles (time, 3) in degrees to meshes (time, 478, 3) in pixels."""

    def pose(angles, scale=10.0, place=(120.0, 130.0), opening_cm=0.0):
        points = np.concatenate([canonical_face().vertices_cm, np.zeros((10, 3), np.float32)])
        points[14, 1] += opening_cm
        rotation = rotation_from_angles(np.asarray(angles, np.float64))
        meshes = scale * points @ rotation.transpose(0, 2, 1)
        return (meshes + np.array([*place, 0])).astype(np.float32)

    return pose
