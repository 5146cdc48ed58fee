"""Dubs a video of a person: mouth and chin say new words, everything else stays the video's own.

python examples/dub.py [FOLDER] [SECONDS]
"""

import sys
from pathlib import Path

import pcavs

EXAMPLES = Path(__file__).parent


def main(folder: str = "out", seconds: str = "2") -> None:
    """Writes FOLDER/person.mp4, a video of a person, and FOLDER/dubbed.mp4, the same video with other words."""
    out, length = Path(folder), float(seconds)
    out.mkdir(parents=True, exist_ok=True)
    talker = pcavs.load()
    # No video of a person is shipped, so the package makes one first.
    video = out / "person.mp4"
    person = talker.animate(EXAMPLES / "face.jpg", EXAMPLES / "speech.wav", pose="slow-turn", end=length)
    person.save(video, overwrite=True)
    # The new words must not be longer than the video; here they come from the same recording, one second later.
    film = talker.animate(video, EXAMPLES / "speech.wav", full_frame=True, start=1.0, end=1.0 + length)
    print(film.save(out / "dubbed.mp4", overwrite=True))


if __name__ == "__main__":
    main(*sys.argv[1:])
