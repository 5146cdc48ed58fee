"""Compares photographs that were animated by `pcavs prepare --drivers` with the landmarks that drove them.

    python benchmarks/measure_spoken.py --shards FOLDER --out report.json

Reported over clips: the correlation of the mouth opening that the tracker measures with that of the driving landmarks,
the distance of both (mouth and face, in pixels of a 256-pixel crop), the largest opening of each, and the sync judge's
confidence and offset.
"""

import argparse
import itertools
import json
import logging
from pathlib import Path
from typing import Any, Final

import numpy as np

from pcavs.data.shard import AlignedClip, read_shard
from pcavs.errors import FaceError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.regions import LIPS, mouth_opening
from pcavs.face.track import track_picture
from pcavs.media.bitstream import decode_pictures
from pcavs.metrics.curves import correlation
from pcavs.prepare.offset import measure_sync

logger = logging.getLogger(__name__)

FRAME_STEP: Final = 3
"""Stride: every third frame is tracked."""
CROP_PX: Final = 256
"""Distances are in pixels of a crop of this side."""
MAX_OFFSET: Final = 1
"""Largest offset between sound and picture, in frames, that counts as in sync."""


def main() -> None:
    """Measures the clips and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True, help="folder that `pcavs prepare` wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="measures every N-th clip")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    landmarker, rows = FaceLandmarker(), []
    clips = (clip for shard in sorted(arguments.shards.glob("shard-*.tar")) for clip in read_shard(shard))
    spoken = (clip for clip in clips if "spoken_by" in clip.facts)
    for clip in itertools.islice(spoken, 0, None, arguments.every):
        rows.append(measure(clip, landmarker))
        logger.info("%s %s", clip.key, rows[-1])
    names = sorted(set().union(*rows)) if rows else []
    summary = {name: round(float(np.mean([row[name] for row in rows if name in row])), 3) for name in names}
    summary |= {
        "clips": len(rows),
        "offset_within_1": sum("offset" in row and row["offset"] <= MAX_OFFSET for row in rows),
    }
    summary["offset_known"] = sum("offset" in row for row in rows)
    arguments.out.write_text(json.dumps({"summary": summary, "clips": rows}, indent=1))
    logger.info(json.dumps(summary, indent=1))


def measure(clip: AlignedClip, landmarker: FaceLandmarker) -> dict[str, Any]:
    """Tracks one frame of a clip in `FRAME_STEP`, and scores all of it with the sync judge."""
    pictures = list(decode_pictures(clip.film))
    driving, tracked = [], []
    for picture, mesh in list(zip(pictures, clip.mesh, strict=True))[::FRAME_STEP]:
        try:
            tracked.append(track_picture(picture, landmarker, clip.key).meshes[0])
        except FaceError:
            continue
        driving.append(mesh)
    found = len(tracked) / len(range(0, len(pictures), FRAME_STEP))
    row: dict[str, Any] = {"found": found} | measure_sync(pictures, clip.mesh, clip.waveform).measures
    if not tracked:
        return row
    measured, expected = np.stack(tracked), np.stack(driving)
    distance_px = np.linalg.norm((measured - expected)[:, :, :2], axis=2) * CROP_PX / clip.side_px
    openings = mouth_opening(measured), mouth_opening(expected)
    return row | {
        "opening_correlation": correlation(*openings),
        "largest_opening": float(openings[0].max()),
        "largest_opening_driving": float(openings[1].max()),
        "lips_px": float(distance_px[:, list(LIPS)].mean()),
        "face_px": float(distance_px.mean()),
    }


if __name__ == "__main__":
    main()
