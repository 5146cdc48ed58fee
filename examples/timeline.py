"""Writes a timeline of head motion in Python, and makes a film that follows it.

python examples/timeline.py [FOLDER] [SECONDS]
"""

import json
import sys
from pathlib import Path

import pcavs

EXAMPLES = Path(__file__).parent


def main(folder: str = "out", seconds: str = "2") -> None:
    """Writes FOLDER/timeline.json and FOLDER/timeline.mp4; prints the yaw of every fifth frame."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    keys = [{"at_s": 0.4 * step, "yaw": yaw} for step, yaw in enumerate([0, 15, -10])]  # degrees
    segments = [{"kind": "keys", "keys": keys}, {"kind": "preset", "name": "lively", "seed": 3}]
    timeline = out / "timeline.json"
    timeline.write_text(json.dumps({"format": "pcavs-pose-1", "mode": "relative", "segments": segments}))
    film = pcavs.load().animate(EXAMPLES / "face.jpg", EXAMPLES / "speech.wav", pose=timeline, end=float(seconds))
    track = film.head_track  # yaw, pitch, roll in degrees, x, y in face widths, logarithm of size
    assert track is not None
    print("yaw:", track[::5, 0].round(1).tolist())
    film.save(out / "timeline.mp4", overwrite=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
