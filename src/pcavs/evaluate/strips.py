"""Film strips: some moments of each film, for the eye."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pcavs.evaluate.clips import resized

_THUMB_PX: Final = 112
_TITLE_PX: Final = 18
_STRIP_FRAMES: Final = 8


def strip_path(out: Path, key: str, name: str = "") -> Path:
    """Where the strip of a clip's own films is kept, or of the films that a talker made of it."""
    return out / "work" / (f"{key}--{name}.jpg" if name else f"{key}.jpg")


def write_strip(films: dict[str, Sequence[np.ndarray]], out: Path, key: str, name: str = "") -> None:
    """Writes eight moments of each film, one film a row under its name."""
    count = min(len(faces) for faces in films.values())
    moments = np.linspace(0, count - 1, _STRIP_FRAMES).round().astype(int)
    rows = []
    for film, faces in films.items():
        title = np.full((_TITLE_PX, _STRIP_FRAMES * _THUMB_PX, 3), 255, np.uint8)
        cv2.putText(title, film, (4, _TITLE_PX - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        rows += [title, np.hstack([resized(faces[t], _THUMB_PX) for t in moments])]
    sheet = cv2.cvtColor(np.vstack(rows), cv2.COLOR_RGB2BGR)
    strip_path(out, key, name).write_bytes(cv2.imencode(".jpg", sheet, [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes())
