"""Do photographs that speak look as they were told? Reads shards made by `pcavs prepare --drivers`.

    python benchmarks/measure_spoken.py --shards FOLDER --out report.json

Reported over clips: how the mouth opening that the tracker reads on the made pictures follows the landmarks they were
made by, how far both are apart (mouth and face, pixels of 256), the largest opening of each, and how sure the sync
judge is of the clip at which offset.
"""

import argparse
import itertools
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from pcavs.data.shard import AlignedClip, read_shard
from pcavs.errors import FaceError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.regions import LIPS, mouth_opening
from pcavs.face.track import track_picture
from pcavs.media.bitstream import decode_pictures
from pcavs.metrics.curves import correlation
from pcavs.prepare.offset import sync_measures

logger = logging.getLogger(__name__)

FRAME_STEP = 3


def main() -> None:
    """Reads the command line, measures, writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=Path, required=True, help="folder that `pcavs prepare` wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="one such clip in so many")
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
    summary |= {"clips": len(rows), "offset_within_1": sum(row.get("offset", 9) <= 1 for row in rows)}
    summary["offset_known"] = sum("offset" in row for row in rows)
    arguments.out.write_text(json.dumps({"summary": summary, "clips": rows}, indent=1))
    logger.info(json.dumps(summary, indent=1))


def measure(clip: AlignedClip, landmarker: FaceLandmarker) -> dict[str, Any]:
    """Tracks every third picture of a clip and judges all of it."""
    pictures = list(decode_pictures(clip.film))
    told, seen = [], []
    for picture, mesh in list(zip(pictures, clip.mesh, strict=True))[::FRAME_STEP]:
        try:
            seen.append(track_picture(picture, landmarker, clip.key).meshes[0])
        except FaceError:
            continue
        told.append(mesh)
    found = len(seen) / len(range(0, len(pictures), FRAME_STEP))
    row: dict[str, Any] = {"found": found} | sync_measures(pictures, clip.mesh, clip.waveform)
    if not seen:
        return row
    made, wanted = np.stack(seen), np.stack(told)
    apart = np.linalg.norm((made - wanted)[:, :, :2], axis=2) * 256 / clip.side_px
    openings = mouth_opening(made), mouth_opening(wanted)
    return row | {
        "opening_follows": correlation(*openings),
        "opening_made": float(openings[0].max()),
        "opening_told": float(openings[1].max()),
        "lips_px": float(apart[:, list(LIPS)].mean()),
        "face_px": float(apart.mean()),
    }


if __name__ == "__main__":
    main()
