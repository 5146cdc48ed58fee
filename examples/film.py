"""Makes a film: a photograph speaks, with the head motion of a video.

python examples/film.py [FOLDER] [SECONDS]
"""

import sys
from pathlib import Path

import pcavs

EXAMPLES = Path(__file__).parent


def main(folder: str = "out", seconds: str = "2") -> None:
    """Writes FOLDER/film.mp4 with the first SECONDS of the speech."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    talker = pcavs.load()
    film = talker.animate(
        EXAMPLES / "face.jpg", EXAMPLES / "speech.wav", pose=EXAMPLES / "pose.mp4", end=float(seconds)
    )
    for note in film.notes:
        print("note:", note)
    film.save(out / "film.mp4", overwrite=True)
    print(f"{out / 'film.mp4'}: {film.num_frames} frames of {film.size_px[0]} x {film.size_px[1]} pixels")


if __name__ == "__main__":
    main(*sys.argv[1:])
