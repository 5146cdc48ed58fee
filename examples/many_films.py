"""Makes several films with one talker, which is loaded once. `pcavs batch` does the same from a list.

python examples/many_films.py [FOLDER] [SECONDS]
"""

import sys
from pathlib import Path

import pcavs
from pcavs.errors import PcavsError

EXAMPLES = Path(__file__).parent
POSES = {"preset": "lively", "held": "yaw=20,pitch=-5", "video": EXAMPLES / "pose.mp4"}


def main(folder: str = "out", seconds: str = "1") -> None:
    """Writes FOLDER/NAME.mp4 for each pose source; one that fails does not stop the others."""
    out = Path(folder)
    out.mkdir(parents=True, exist_ok=True)
    talker = pcavs.load()
    for name, pose in POSES.items():
        try:
            film = talker.animate(
                EXAMPLES / "face.jpg", EXAMPLES / "speech.wav", pose, articulation=1.2, end=float(seconds)
            )
            print(film.save(out / f"{name}.mp4", overwrite=True))
        except PcavsError as error:  # what a caller can change; anything else is a bug
            print(f"{name}: {error}", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
