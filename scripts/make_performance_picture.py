"""Makes the picture of performances in docs/pose.md: what a face can do besides speaking and turning.

    python scripts/make_performance_picture.py PORTRAIT... --out docs/pictures/performance.webp

One row for each portrait: as photographed, looking aside, looking down, winking, with raised brows, and smiling.
"""

import argparse
import json
import tempfile
import wave
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

import pcavs
from pcavs.spec import FRAME_RATE

SIDE_PX: Final = 300
"""Side of the films."""
TILE_PX: Final = 220
"""Side of the part of a frame that is shown: the face."""
TOP_PX: Final = 46
"""Where it begins, from the top of the frame."""
QUALITY: Final = 78
"""Quality of WebP, 0 to 100."""
FACES: Final[tuple[dict[str, float], ...]] = (
    {},
    {"gaze_yaw": 18},
    {"gaze_pitch": -15},
    {"right_lid": 1},
    {"left_brow": 0.8, "right_brow": 0.8},
    {"smile": 0.7},
)
"""Keyframe of each column."""


def main() -> None:
    """Reads the arguments, renders one frame for each face, and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portraits", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    talker = pcavs.load()
    with tempfile.TemporaryDirectory() as folder:
        silence, timeline = write_inputs(Path(folder))
        rows = []
        for portrait in arguments.portraits:
            film = talker.animate(portrait, silence, timeline, size=SIDE_PX, relative=True)
            rows.append(np.hstack([face_of(frame) for frame, _ in zip(film.frames, FACES, strict=False)]))
    Image.fromarray(np.vstack(rows)).save(arguments.out, quality=QUALITY, method=6)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1000:.0f} kB")


def write_inputs(folder: Path) -> tuple[Path, Path]:
    """Writes silence, so that mouths rest, and a timeline with one keyframe a frame."""
    silence, timeline = folder / "silence.wav", folder / "faces.json"
    with wave.open(str(silence), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(bytes(2 * 16_000))
    keys = [{"at_s": at / FRAME_RATE, "ease": "linear", **face} for at, face in enumerate(FACES)]
    timeline.write_text(json.dumps({"format": "pcavs-pose-1", "segments": [{"kind": "keys", "keys": keys}]}))
    return silence, timeline


def face_of(frame: np.ndarray) -> np.ndarray:
    """Cuts the face out of a frame."""
    left = (SIDE_PX - TILE_PX) // 2
    return frame[TOP_PX : TOP_PX + TILE_PX, left : left + TILE_PX]


if __name__ == "__main__":
    main()
