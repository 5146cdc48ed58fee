"""Makes the animated picture of the README: portraits of nobody that speak with one voice and one head motion.

    python scripts/make_readme_film.py PORTRAIT... --out docs/pictures/talking.webp

The portraits stand side by side. The animation loops.
"""

import argparse
from pathlib import Path

import av
import numpy as np

import pcavs
from pcavs.spec import FRAME_RATE

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
SIDE_PX = 256
STEP = 2
"""Every second frame is kept: 12 frames a second."""
QUALITY = 70
"""Quality of WebP, 0 to 100: keeps the file under 2 MB."""


def main() -> None:
    """Reads the arguments, renders the films and writes the animation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("portraits", type=Path, nargs="+")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of the animation")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    talker = pcavs.load()
    films = [
        talker.animate(
            path, EXAMPLES / "speech.wav", EXAMPLES / "pose.mp4", size=SIDE_PX, end=arguments.seconds, seed=number
        )
        for number, path in enumerate(arguments.portraits)
    ]
    rows = zip(*(film.frames for film in films), strict=True)
    write_webp(arguments.out, [np.hstack(row) for t, row in enumerate(rows) if t % STEP == 0])
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.2f} MB")


def write_webp(path: Path, frames: list[np.ndarray]) -> None:
    """Writes an endless animation."""
    with av.open(str(path), "w", format="webp", options={"loop": "0"}) as container:
        options = {"quality": str(QUALITY), "compression_level": "6"}
        stream = container.add_stream("libwebp_anim", rate=FRAME_RATE // STEP, options=options)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
