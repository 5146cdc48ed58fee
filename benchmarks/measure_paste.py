"""Measures the seam where a rendered head is pasted into its photograph, and whether pixels elsewhere change.

    python benchmarks/measure_paste.py PICTURE... --audio SPEECH --pose POSE --out paste.json --strips FOLDER

A film of each picture is made as `pcavs animate --full-frame` does; frames are measured before they are encoded.

- `seam`, `seam_at_most`: mean gradient where the paste mask blends (between 0 and 1), as a fraction of the photograph's
  gradient there; mean over frames, and largest
- `outside`: largest difference from the photograph where the mask is 0, in grey levels; `outside_share`: fraction of
  pixels there

FOLDER gets six frames of each film, side by side.
"""

import argparse
import json
import logging
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from pcavs.animate.compose.paste import crop_to_even, feather_mask
from pcavs.animate.film import Film
from pcavs.animate.load import load_talker
from pcavs.animate.talker import Talker
from pcavs.face.align import invert
from pcavs.head.grid import margin_px
from pcavs.types import Picture

_NUM_TILES: Final = 6
"""Frames of a film in its strip."""
_TILE_WIDTH_PX: Final = 360
_BLENDED: Final = (0.02, 0.98)
"""Between these values of the mask is the seam; closer to 0 or 1 nothing of the blend can be seen."""


def main() -> None:
    """Measures all pictures, prints a line of JSON for each and the means."""
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
    args = parser.parse_args()
    talker = load_talker(args.weights, "auto")
    rows = []
    for path in args.pictures:
        rows.append({"picture": path.name, **measured(talker, path, args)})
        print(json.dumps(rows[-1]), flush=True)
        args.out.write_text(json.dumps({"pose": args.pose, "weights": talker.digest, "rows": rows}, indent=1))
    seams = np.array([row["seam"] for row in rows])
    worst = max(row["seam_at_most"] for row in rows)
    print(f"seam: {seams.mean():.3f} of the photograph's gradient, {seams.max():.3f} at most, {worst:.3f} in one frame")
    print(f"largest change outside of the mask: {max(row['outside'] for row in rows)} of 255")


def measured(talker: Talker, path: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Makes a film, compares each frame with the photograph, and returns its row."""
    pose = args.pose or None
    film = talker.animate(path, args.audio, pose=pose, full_frame=True, end=args.seconds, turn=args.turn)
    assert film.identity.source_crop is not None
    photo = crop_to_even(film.identity.source_crop.picture)
    mask = mask_of(film, photo)
    seam, outside = (mask > _BLENDED[0]) & (mask < _BLENDED[1]), mask == 0
    own = gradient(photo)[seam].mean()
    ratios: list[float] = []
    largest, tiles = 0, []
    shown = set(np.linspace(0, film.num_frames - 1, _NUM_TILES).astype(int).tolist())
    for t, frame in enumerate(film.frames):
        ratios.append(float(gradient(frame)[seam].mean() / own))
        largest = max(largest, int(np.abs(frame.astype(int) - photo)[outside].max(initial=0)))
        if t in shown:
            tiles.append(cv2.resize(frame, (_TILE_WIDTH_PX, _TILE_WIDTH_PX * len(frame) // frame.shape[1])))
    if args.strips is not None:
        args.strips.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(args.strips / f"{path.stem}.png"), np.hstack(tiles)[:, :, ::-1])
    return {
        "seam": round(float(np.mean(ratios)), 3),
        "seam_at_most": round(max(ratios), 3),
        "outside": largest,
        "outside_share": round(float(outside.mean()), 3),
    }


def mask_of(film: Film, photo: Picture) -> np.ndarray:
    """Returns the paste mask, 0 to 1, in pixels of the photograph, placed as `animate` places it."""
    assert film.identity.source_crop is not None
    margin = margin_px(film.side_px) if film.look.turn == "depth" else 0
    to_photo = invert(film.identity.source_crop.widened(margin).transform)
    size = photo.shape[1], photo.shape[0]
    return cv2.warpAffine(feather_mask(film.side_px + 2 * margin), to_photo, size, flags=cv2.INTER_LINEAR)


def gradient(picture: Picture) -> np.ndarray:
    """Returns the magnitude of the Sobel gradient of the grey picture."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))


if __name__ == "__main__":
    main()
