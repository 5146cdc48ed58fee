"""Faces as JPEG: what packs hold. OpenCV alone, so that a bare machine can read it."""

import cv2
import numpy as np

from pcavs.errors import DataError
from pcavs.types import Picture


def encode_picture(picture: Picture, quality: int = 95) -> bytes:
    """Encodes a face as JPEG."""
    flags = [cv2.IMWRITE_JPEG_QUALITY, quality]
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), flags)[1].tobytes()


def decode_picture(data: bytes) -> Picture:
    """Decodes what `encode_picture` made.

    Raises:
        DataError: These bytes are no JPEG.
    """
    # cv2 throws for no bytes at all, and gives None for bytes that it cannot read.
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    if picture is None:
        raise DataError(f"a stored face of {len(data)} bytes is no JPEG; pack its clip again")
    return picture.astype(np.uint8, copy=False)
