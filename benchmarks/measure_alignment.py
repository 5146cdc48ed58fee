"""Measures how far the mesh's stand-ins lie from a 68-point finder's points, and what that does to the crop.

The finder is not part of this project: bring its points as an .npz with one (68, 2) array in pixels a photo, named
as the photo without its ending.

    python benchmarks/measure_alignment.py --photos PHOTOS --points points.npz
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from jaxtyping import Float

from pcavs.face.align import alignment_points, published_mesh_transforms, published_transforms
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import TrackPolicy, track_picture
from pcavs.media.image import read_picture

NAMES = ("left eye", "right eye", "inner mouth")
GROUPS = (slice(36, 42), slice(42, 48), slice(60, 68))
HIDDEN_CROP = np.array([[15.5, -0.5], [207.5, -0.5], [15.5, 191.5], [207.5, 191.5]])
"""Corners of what the network sees, in pixels of the 224."""


def main() -> None:
    """Reads photos and points, and prints the deviations as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--points", type=Path, required=True)
    args = parser.parse_args()
    landmarker, rows = FaceLandmarker(), []
    with np.load(args.points) as truth:
        for photo in sorted(args.photos.iterdir()):
            if photo.stem in truth:
                track = track_picture(read_picture(photo), landmarker, photo.name, TrackPolicy(smoothed=False))
                rows.append(deviation(track.meshes, truth[photo.stem].astype(np.float64)))
    json.dump(summary(np.array(rows)), sys.stdout, indent=1)


def deviation(meshes: np.ndarray, points: Float[np.ndarray, "68 2"]) -> list[float]:
    """Gives dx, dy of the three points, scale, degrees and the farthest corner: px of the published 224."""
    theirs, ours = published_transforms(points[None])[0], published_mesh_transforms(meshes)[0]
    groups = np.stack([points[group].mean(axis=0) for group in GROUPS])
    apart = (alignment_points(meshes)[0] - groups) @ theirs[:, :2].T
    ratio = complex(ours[0, 0], ours[1, 0]) / complex(theirs[0, 0], theirs[1, 0])
    source = (HIDDEN_CROP - theirs[:, 2]) @ np.linalg.inv(theirs[:, :2]).T
    moved = source @ ours[:, :2].T + ours[:, 2] - HIDDEN_CROP
    return [*apart.ravel(), abs(ratio), np.degrees(np.angle(ratio)), np.linalg.norm(moved, axis=1).max()]


def summary(rows: Float[np.ndarray, "photos 9"]) -> dict[str, object]:
    """Sums up all photos: means, spreads and 95th percentiles."""
    report: dict[str, object] = {"photos": len(rows)}
    for number, name in enumerate(NAMES):
        apart = rows[:, 2 * number : 2 * number + 2]
        length = np.linalg.norm(apart, axis=1)
        report[name] = {
            "mean_dx_dy_px": apart.mean(axis=0).round(2).tolist(),
            "mean_distance_px": round(float(length.mean()), 2),
            "p95_distance_px": round(float(np.percentile(length, 95)), 2),
        }
    report["scale"] = spread(rows[:, 6], 4)
    report["degrees"] = spread(rows[:, 7], 2)
    report["farthest corner px"] = spread(rows[:, 8], 2)
    return report


def spread(values: Float[np.ndarray, " photos"], digits: int) -> dict[str, float]:
    """Gives mean, standard deviation, 95th percentile and largest, the last two by distance from the mean."""
    away = np.abs(values - values.mean())
    numbers = {"mean": values.mean(), "sd": values.std(), "p95_away": np.percentile(away, 95), "most_away": away.max()}
    return {name: round(float(number), digits) for name, number in numbers.items()}


if __name__ == "__main__":
    main()
