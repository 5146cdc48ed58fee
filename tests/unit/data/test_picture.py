"""Faces as JPEG."""

import numpy as np
import pytest

from pcavs.data.picture import decode_picture, encode_picture
from pcavs.errors import DataError


def test_a_picture_keeps_its_colours_in_order():
    picture = np.zeros((32, 32, 3), np.uint8)
    picture[...] = (200, 60, 20)
    np.testing.assert_allclose(decode_picture(encode_picture(picture)), picture, atol=3)


@pytest.mark.parametrize("data", [b"", b"no picture at all", b"\xff\xd8\xff"])
def test_bytes_that_are_no_picture_are_refused(data: bytes):
    with pytest.raises(DataError, match=r"a stored face of \d+ bytes is no JPEG") as caught:
        decode_picture(data)
    assert "\n" not in str(caught.value)
