"""Measures how much several identity references raise the identity cosine over a single one.

    python benchmarks/measure_references.py VIDEO... --audio SPEECH --judges FOLDER --out references.json

Four frames of the first half of each video are identity references. A film is made from each alone, and one from all
four. Face embeddings of an evaluation network compare the films' frames with four frames of the second half, which were
not references. The film of all four is made a second time with the references in reverse order: frames must be equal
to the bit.
"""

import argparse
import json
import logging
import tempfile
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pcavs.animate.load import load_talker
from pcavs.animate.talker import Talker
from pcavs.face.align import clip_transform, crop_picture
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import track_picture
from pcavs.media.video import read_frames
from pcavs.metrics.identity import FaceEmbedder, find_embedders, mean_cosine
from pcavs.metrics.statistics import bootstrap
from pcavs.types import Picture

_NUM_REFERENCES: Final = 4
_NUM_TRUE: Final = 4
"""Frames of the second half that films are compared with."""
_FRAME_STEP: Final = 5
"""Stride: every fifth frame of a film is compared."""
_SOURCE_S: Final = 12.0
"""Part of each video that is used."""
_FILM_S: Final = 0.8
"""Length of the films."""
_MAX_SIDE_PX: Final = 1280
"""Larger videos are reduced to this when they are read."""


def main() -> None:
    """Measures all videos and prints the means."""
    logging.basicConfig(level=logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--judges", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    talker, landmarker, embedder = (
        load_talker(args.weights, "auto"),
        FaceLandmarker(),
        find_embedders(args.judges)[0],
    )
    rows = []
    for video in args.videos:
        with tempfile.TemporaryDirectory() as folder:
            row = measured(talker, video, args.audio, (landmarker, embedder, Path(folder)))
        rows.append({"video": video.name, **row})
        print(json.dumps(rows[-1]), flush=True)
        args.out.write_text(json.dumps({"embedding": embedder.name, "rows": rows}, indent=1))
    one, four = (np.array([np.mean(row[name]) for row in rows]) for name in ("one", "four"))
    gain = bootstrap(four - one, np.random.default_rng(0))
    print(f"cosine with one reference {one.mean():.4f} (standard deviation {one.std(ddof=1):.4f} between videos)")
    print(f"cosine with four references {four.mean():.4f}")
    print(f"gain {gain.estimate:.4f}, 95 % {gain.low:.4f} to {gain.high:.4f}")
    print(f"four are better than the mean of single ones in {(four > one).sum()} of {len(rows)} videos")
    print(f"four are better than the best single one in {sum(row['four'] > max(row['one']) for row in rows)}")
    print(f"equal frames with references in reverse order: {all(row['same'] for row in rows)}")


def measured(
    talker: Talker, video: Path, audio: Path, tools: tuple[FaceLandmarker, FaceEmbedder, Path]
) -> dict[str, object]:
    """Returns the mean cosine similarity with true frames: films of each reference alone, and of all."""
    landmarker, embedder, folder = tools
    frames = list(read_frames(video, 0.0, _SOURCE_S, _MAX_SIDE_PX))
    half = len(frames) // 2
    true = [
        embedded(frames[t], landmarker, embedder) for t in np.linspace(half, len(frames) - 1, _NUM_TRUE).astype(int)
    ]
    references = []
    for number, t in enumerate(np.linspace(0, half - 1, _NUM_REFERENCES).astype(int)):
        references.append(folder / f"{number}.png")
        cv2.imwrite(str(references[-1]), frames[t][:, :, ::-1])

    def frames_of(identity: Path, *others: Path) -> list[Picture]:
        return list(talker.animate(identity, audio, references=others, end=_FILM_S).frames)

    def identity_cosine(frames: list[Picture]) -> float:
        embeddings = [embedded(frame, landmarker, embedder) for frame in frames[::_FRAME_STEP]]
        return float(np.mean([mean_cosine(embeddings, one) for one in true]))

    four, reversed_order = frames_of(*references), frames_of(*references[::-1])
    return {
        "one": [round(identity_cosine(frames_of(reference)), 4) for reference in references],
        "four": round(identity_cosine(four), 4),
        "same": all(map(np.array_equal, four, reversed_order)),
    }


def embedded(picture: Picture, landmarker: FaceLandmarker, embedder: FaceEmbedder) -> np.ndarray:
    """Returns the face embedding of a picture."""
    track = track_picture(picture, landmarker, "frame")
    transform = clip_transform(track.meshes, embedder.crop, embedder.side_px)
    return embedder.embed(crop_picture(picture, transform, embedder.side_px))


if __name__ == "__main__":
    main()
