"""Measures what is seen of the seam where a head was put back into its picture, and whether anything else changed.

    python benchmarks/measure_paste.py PICTURE... --audio SPEECH --pose POSE --out paste.json --strips FOLDER

Of each picture a film is made as `pcavs animate --full-frame` does, before encoding. Where the mask is between nothing
and all, the mean gradient of the frames is compared with the photograph's own at the same places; where the mask is
nothing, the largest difference to the photograph is told. Six moments of each film are laid side by side.
"""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pcavs.animate.compose.paste import crop_to_even, feather_mask
from pcavs.animate.film import Film
from pcavs.animate.talker import Talker, load_talker
from pcavs.face.align import invert
from pcavs.head.grid import margin_px
from pcavs.types import Picture

_MOMENTS, _STRIP_PX = 6, 360
_NOTHING, _ALL = 0.02, 0.98


def main() -> None:
    """Measures all pictures and prints the largest ratios."""
    logging.basicConfig(level=logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--audio", type=Path, required=True)
    parser.add_argument("--pose", default="slow-turn")
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--turn", default="depth")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--strips", type=Path)
    words = parser.parse_args()
    talker = load_talker(words.weights, "auto")
    rows = []
    for path in words.pictures:
        rows.append({"picture": path.name, **measured(talker, path, words)})
        print(json.dumps(rows[-1]), flush=True)
        words.out.write_text(json.dumps({"pose": words.pose, "weights": talker.digest, "rows": rows}, indent=1))
    seams = np.array([row["seam"] for row in rows])
    worst = max(row["seam_at_most"] for row in rows)
    print(f"seam: {seams.mean():.3f} of the photograph's gradient, {seams.max():.3f} at most, {worst:.3f} in one frame")
    print(f"outside of the mask: {max(row['outside'] for row in rows)}")


def measured(talker: Talker, path: Path, words: argparse.Namespace) -> dict[str, Any]:
    """Makes a film and compares each frame with its photograph."""
    pose = words.pose or None
    film = talker.animate(path, words.audio, pose=pose, full_frame=True, end=words.seconds, turn=words.turn)
    assert film.identity.source_crop is not None
    photo = crop_to_even(film.identity.source_crop.picture)
    mask = mask_of(film, photo)
    ring, outside = (mask > _NOTHING) & (mask < _ALL), mask == 0
    own = gradient(photo)[ring].mean()
    ratios: list[float] = []
    largest, moments = 0, []
    wanted = set(np.linspace(0, film.num_frames - 1, _MOMENTS).astype(int).tolist())
    for t, frame in enumerate(film.frames):
        ratios.append(float(gradient(frame)[ring].mean() / own))
        largest = max(largest, int(np.abs(frame.astype(int) - photo)[outside].max(initial=0)))
        if t in wanted:
            moments.append(cv2.resize(frame, (_STRIP_PX, _STRIP_PX * len(frame) // frame.shape[1])))
    if words.strips is not None:
        words.strips.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(words.strips / f"{path.stem}.png"), np.hstack(moments)[:, :, ::-1])
    seam, most = round(float(np.mean(ratios)), 3), round(max(ratios), 3)
    return {"seam": seam, "seam_at_most": most, "outside": largest, "outside_share": round(float(outside.mean()), 3)}


def mask_of(film: Film, photo: Picture) -> np.ndarray:
    """Where the film may differ from the photograph, in its pixels: as the product places it."""
    assert film.identity.source_crop is not None
    margin = margin_px(film.side_px) if film.look.turn == "depth" else 0
    back = invert(film.identity.source_crop.widened(margin).transform)
    size = photo.shape[1], photo.shape[0]
    return cv2.warpAffine(feather_mask(film.side_px + 2 * margin), back, size, flags=cv2.INTER_LINEAR)


def gradient(picture: Picture) -> np.ndarray:
    """How much grey changes at each place."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))


if __name__ == "__main__":
    main()
