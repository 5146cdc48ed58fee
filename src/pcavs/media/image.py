"""Reads a photograph, or the first frame of a video, as one RGB picture of bounded size."""

from pathlib import Path
from typing import Any

from pcavs.media.still import is_still, read_still, still_size
from pcavs.media.video import probe_video, read_frames
from pcavs.types import Picture


def read_picture(path: Path, max_side_px: int = 2048) -> Picture:
    """Reads a photograph (`pcavs.media.still`), or the first frame of a video, as 8-bit sRGB.

    Args:
        path: A photograph, or anything that `read_frames` takes.
        max_side_px: Larger images are reduced by area averaging until the longer side has this length.

    Raises:
        InputError: The file cannot be read, is damaged, or is too large to decode.
    """
    if is_still(path):
        return read_still(path, max_side_px)
    frames: Any = read_frames(path, max_side_px=max_side_px)
    try:
        return next(frames)
    finally:
        frames.close()


def longer_side_px(path: Path) -> int:
    """Returns the longer side of a photograph or video, from its header.

    Raises:
        InputError: The file cannot be read.
    """
    if is_still(path):
        return max(still_size(path))
    info = probe_video(path)
    return max(info.width_px, info.height_px)
