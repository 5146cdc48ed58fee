"""Renders frames as NumPy arrays, measures how much they change, and saves them.

python examples/frames.py [FOLDER] [SECONDS]
"""

import sys
from pathlib import Path

import numpy as np

import pcavs

EXAMPLES = Path(__file__).parent


def main(folder: str = "out", seconds: str = "2") -> None:
    """Writes FOLDER/frames.npy: (time, height, width, 3), uint8, RGB, 25 frames a second."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    film = pcavs.load().animate(EXAMPLES / "face.jpg", EXAMPLES / "speech.wav", size=128, end=float(seconds))
    frames = np.empty((film.num_frames, film.side_px, film.side_px, 3), np.uint8)
    for number, frame in enumerate(film.frames):  # each frame is rendered when the loop asks for it
        frames[number] = frame
    change = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean(axis=(1, 2, 3))
    print(f"{len(frames)} frames; mean change from frame to frame {change.mean():.2f} of 255")
    np.save(out / "frames.npy", frames)


if __name__ == "__main__":
    main(*sys.argv[1:])
