"""A look before the long run: the first second, and a sheet of moments from the whole film."""

import itertools
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pcavs.animate.film import Film, open_writer
from pcavs.errors import OutputError
from pcavs.media.timeline import frame_time_s
from pcavs.spec import FRAME_RATE
from pcavs.types import Picture

_ROWS, _COLUMNS = 3, 4
_TILE_PX: Final = 256


def write_preview(film: Film, out: Path) -> tuple[Path, Path]:
    """Writes `NAME.preview.mp4`, the first second with its sound, and `NAME.preview.png`, twelve moments of the film.

    Earlier previews of the same film are replaced.

    Raises:
        OutputError: They cannot be written.
    """
    clip, sheet = out.with_suffix(".preview.mp4"), out.with_suffix(".preview.png")
    with open_writer(clip, film.size_px, film.sound, film.tags, overwrite=True) as writer:
        for frame in itertools.islice(film.frames, FRAME_RATE):
            writer.write(frame)
    data = cv2.imencode(".png", contact_sheet(film)[:, :, ::-1])[1]
    try:
        sheet.write_bytes(data.tobytes())
    except OSError as error:
        raise OutputError(f"{sheet} cannot be written ({error.strerror}); choose another place") from error
    return clip, sheet


def contact_sheet(film: Film) -> Picture:
    """Tiles moments that are evenly spread over the film, each with its time; the head alone, without a background."""
    count = min(_ROWS * _COLUMNS, film.num_frames)
    moments = np.unique(np.linspace(0, film.num_frames - 1, count).round().astype(int)).tolist()
    sheet = np.full((_ROWS * _TILE_PX, _COLUMNS * _TILE_PX, 3), 24, np.uint8)
    for place, (t, frame) in enumerate(zip(moments, film.rendered(moments), strict=True)):
        row, column = divmod(place, _COLUMNS)
        tile = np.ascontiguousarray(cv2.resize(frame, (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_AREA))
        cv2.putText(
            tile, f"{frame_time_s(t):.2f} s", (8, _TILE_PX - 10), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1
        )
        sheet[row * _TILE_PX :, column * _TILE_PX :][:_TILE_PX, :_TILE_PX] = tile
    return sheet
