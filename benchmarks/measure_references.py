"""Measures what further pictures of a person are worth: likeness to frames that no reference was taken from.

    python benchmarks/measure_references.py FILM... --audio SPEECH --judges FOLDER --out references.json

Of each film four frames of its first half are references. A film is made of each alone, and one of all four; its frames
are compared with frames of the second half by an independent face embedding. The film of all
four is made again with the references the other way round, and must be the same to the last bit.
"""

import argparse
import json
import logging
import tempfile
from pathlib import Path

import cv2
import numpy as np

from pcavs.animate.talker import Talker, load_talker
from pcavs.face.align import clip_transform, crop_picture
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import track_picture
from pcavs.media.video import read_frames
from pcavs.metrics.identity import FaceEmbedder, find_embedders, mean_cosine
from pcavs.metrics.statistics import bootstrap
from pcavs.types import Picture

_NUM_REFERENCES, _NUM_TRUE, _MADE_EVERY = 4, 4, 5


def main() -> None:
    """Measures all films and prints the means."""
    logging.basicConfig(level=logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--judges", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    words = parser.parse_args()
    talker, landmarker, embedder = (
        load_talker(words.weights, "auto"),
        FaceLandmarker(),
        find_embedders(words.judges)[0],
    )
    rows = []
    for film in words.films:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(
                {"film": film.name, **measured(talker, film, words.audio, (landmarker, embedder, Path(folder)))}
            )
        print(json.dumps(rows[-1]), flush=True)
        words.out.write_text(json.dumps({"embedding": embedder.name, "rows": rows}, indent=1))
    one, four = (np.array([np.mean(row[name]) for row in rows]) for name in ("one", "four"))
    better = bootstrap(four - one, np.random.default_rng(0))
    print(
        f"cosine of one {one.mean():.4f} (between films {one.std(ddof=1):.4f}), of four {four.mean():.4f}; four better"
    )
    span = f"by {better.estimate:.4f}, 95 % {better.low:.4f} to {better.high:.4f}"
    print(f"{span}, in {(four > one).sum()} of {len(rows)} films")
    print(f"better than the best single one in {sum(row['four'] > max(row['one']) for row in rows)}")
    print(f"the same in another order: {all(row['same'] for row in rows)}")


def measured(
    talker: Talker, film: Path, audio: Path, tools: tuple[FaceLandmarker, FaceEmbedder, Path]
) -> dict[str, object]:
    """Mean cosine with true frames: of a film of each reference alone, and of one of all."""
    landmarker, embedder, folder = tools
    frames = list(read_frames(film, 0.0, 12.0, 1280))
    half = len(frames) // 2
    true = [
        embedded(frames[t], landmarker, embedder) for t in np.linspace(half, len(frames) - 1, _NUM_TRUE).astype(int)
    ]
    references = []
    for number, t in enumerate(np.linspace(0, half - 1, _NUM_REFERENCES).astype(int)):
        references.append(folder / f"{number}.png")
        cv2.imwrite(str(references[-1]), frames[t][:, :, ::-1])

    def frames_of(first: Path, *more: Path) -> list[Picture]:
        return list(talker.animate(first, audio, references=more, end=0.8).frames)

    def likeness(made: list[Picture]) -> float:
        embeddings = [embedded(frame, landmarker, embedder) for frame in made[::_MADE_EVERY]]
        return float(np.mean([mean_cosine(embeddings, one) for one in true]))

    four, turned = frames_of(*references), frames_of(*references[::-1])
    return {
        "one": [round(likeness(frames_of(reference)), 4) for reference in references],
        "four": round(likeness(four), 4),
        "same": all(map(np.array_equal, four, turned)),
    }


def embedded(picture: Picture, landmarker: FaceLandmarker, embedder: FaceEmbedder) -> np.ndarray:
    """Aligns and embeds the face of a picture."""
    track = track_picture(picture, landmarker, "frame")
    transform = clip_transform(track.meshes, embedder.crop, embedder.side_px)
    return embedder.embed(crop_picture(picture, transform, embedder.side_px))


if __name__ == "__main__":
    main()
