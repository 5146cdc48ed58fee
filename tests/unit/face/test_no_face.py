"""Without a face, the message names what is wrong with the picture, and a frontal one is not asked for in vain."""

import numpy as np
import pytest

from pcavs.face.no_face import Unseen


def picture(low, high, side=200):
    return np.linspace(low, high, side * side * 3).reshape(side, side, 3).astype(np.uint8)


@pytest.mark.parametrize(
    ("frames", "score", "reason"),
    [
        ([picture(0, 255, 40)], 0.1, "the picture has only 40 px on its shorter side; give a larger one"),
        ([picture(0, 20)], 0.1, "the picture is dark; give a brighter one"),
        ([picture(245, 255)], 0.1, "the picture is overexposed; give a darker one"),
        ([picture(100, 105)], 0.1, "the picture is of one colour; give one of a person"),
        ([picture(0, 255)], 0.7, "the face is covered, cut off or blurred"),
        ([picture(0, 255)], 0.3, "the face may be small, covered, blurred or turned away"),
        ([picture(0, 255)], 0.1, "nothing in it looks like a face"),
        ([picture(0, 10), picture(0, 255)], 0.1, "nothing in it looks like a face"),
    ],
)
def test_the_reason_is_what_the_best_frames_show(frames, score, reason):
    unseen = Unseen()
    for frame in frames:
        unseen.add(frame)
    assert unseen.advice(score, 0.5, "picture").startswith(reason)
