"""Writes a preview before a long film is rendered: its first second, and a contact sheet of moments from all of it."""

import itertools
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from jaxtyping import UInt8

from pcavs.animate.film import Film, open_writer
from pcavs.media.files import atomic_file
from pcavs.media.still import over_grey
from pcavs.media.timeline import frame_time_s
from pcavs.spec import FRAME_RATE
from pcavs.types import Cutout, Picture

_ROWS, _COLUMNS = 3, 4
"""Tiles of the contact sheet."""
_TILE_PX: Final = 256
"""Side of a tile."""
_BACKGROUND_LEVEL: Final = 24
"""Grey level, 0 to 255, of tiles that stay empty."""
_LABEL_COLOUR: Final = (255, 255, 255)
"""RGB of a tile's time."""
_LABEL_SCALE: Final = 0.5
"""Font scale of a tile's time (OpenCV)."""
_LABEL_LEFT_PX, _LABEL_BOTTOM_PX = 8, 10
"""Distance of the time from the tile's left and bottom edge."""


def write_preview(film: Film, out: Path) -> tuple[Path, Path]:
    """Writes `NAME.preview.mp4`, the first second with its sound, and `NAME.preview.png`, twelve moments of the film.

    An earlier preview of the same name is replaced.

    Args:
        film: The film.
        out: Path of the film; the previews are written beside it.

    Returns:
        The paths of both files.

    Raises:
        OutputError: They cannot be written.
    """
    clip, sheet = preview_files(out)
    with open_writer(clip, film.size_px, film.sound, film.tags, film.origin, overwrite=True) as writer:
        for frame in itertools.islice(film.frames, FRAME_RATE):
            writer.write(_opaque(frame))
    data = cv2.imencode(".png", contact_sheet(film)[:, :, ::-1])[1]
    with atomic_file(sheet) as part:
        part.write_bytes(data.tobytes())
    return clip, sheet


def _opaque(frame: Picture | Cutout) -> Picture:
    """Returns a frame without alpha: transparent ones before mid grey."""
    return over_grey(frame[..., :3], frame[..., 3]) if frame.shape[2] > 3 else frame


def preview_files(out: Path) -> tuple[Path, Path]:
    """Returns the paths of a film's preview: its first second, and the contact sheet."""
    return out.with_suffix(".preview.mp4"), out.with_suffix(".preview.png")


def contact_sheet(film: Film) -> Picture:
    """Returns a sheet of up to twelve evenly spaced frames, each with its time.

    It shows the crop only, not pasted; of a dialogue, the whole picture with everybody.
    """
    count = min(_ROWS * _COLUMNS, film.num_frames)
    moments = np.unique(np.linspace(0, film.num_frames - 1, count).round().astype(int)).tolist()
    sheet = np.full((_ROWS * _TILE_PX, _COLUMNS * _TILE_PX, 3), _BACKGROUND_LEVEL, np.uint8)
    for tile_index, (t, frame) in enumerate(zip(moments, film.moments(moments), strict=True)):
        row, column = divmod(tile_index, _COLUMNS)
        tile = _tile(_opaque(frame))
        label, origin = f"{frame_time_s(t):.2f} s", (_LABEL_LEFT_PX, _TILE_PX - _LABEL_BOTTOM_PX)
        cv2.putText(tile, label, origin, cv2.FONT_HERSHEY_SIMPLEX, _LABEL_SCALE, _LABEL_COLOUR, 1)
        sheet[row * _TILE_PX :, column * _TILE_PX :][:_TILE_PX, :_TILE_PX] = tile
    return sheet


def _tile(picture: Picture) -> UInt8[np.ndarray, "tile tile 3"]:
    """Shrinks a picture to a tile, in the middle of it; it keeps its proportions."""
    height, width = picture.shape[:2]
    scale = _TILE_PX / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    tile = np.full((_TILE_PX, _TILE_PX, 3), _BACKGROUND_LEVEL, np.uint8)
    left, top = (_TILE_PX - size[0]) // 2, (_TILE_PX - size[1]) // 2
    tile[top : top + size[1], left : left + size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return tile
