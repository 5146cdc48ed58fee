"""Compares the published crop computed from the 478-point mesh with the one computed from 68 landmarks.

    python benchmarks/measure_alignment.py --photos PHOTOS --points points.npz

The published code aligns faces by the means of the left eye, the right eye and the inner mouth of a 68-landmark
detector. This project computes these three points from its own mesh. A 68-landmark detector is not part of this
project: POINTS holds its results, one (68, 2) array in pixels for each photo, named as the photo without its extension.
Prints JSON: offsets of the three points and of the crop, in pixels of the published 224-pixel crop.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float

from pcavs.face.align import alignment_points, published_mesh_transforms, published_transforms
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import TrackPolicy, track_picture
from pcavs.media.image import read_picture

NAMES: Final = ("left eye", "right eye", "inner mouth")
GROUPS: Final = (slice(36, 42), slice(42, 48), slice(60, 68))
"""Landmarks of each of these among the 68."""
NETWORK_CROP_PX: Final = np.array([[15.5, -0.5], [207.5, -0.5], [15.5, 191.5], [207.5, 191.5]])
"""Corners of the part of the 224-pixel crop that the networks see, in its pixels."""
_PERCENTILE: Final = 95


def main() -> None:
    """Runs the command line and prints the deviations as JSON."""
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
    """Returns nine numbers, lengths in pixels of the published 224-pixel crop.

    They are dx and dy of the three points, the ratio of the scales, the rotation between the crops in degrees, and the
    largest displacement of a corner of the networks' crop.
    """
    reference, ours = published_transforms(points[None])[0], published_mesh_transforms(meshes)[0]
    groups = np.stack([points[group].mean(axis=0) for group in GROUPS])
    offsets = (alignment_points(meshes)[0] - groups) @ reference[:, :2].T
    ratio = complex(ours[0, 0], ours[1, 0]) / complex(reference[0, 0], reference[1, 0])
    source = (NETWORK_CROP_PX - reference[:, 2]) @ np.linalg.inv(reference[:, :2]).T
    moved = source @ ours[:, :2].T + ours[:, 2] - NETWORK_CROP_PX
    return [*offsets.ravel(), abs(ratio), np.degrees(np.angle(ratio)), np.linalg.norm(moved, axis=1).max()]


def summary(rows: Float[np.ndarray, "photos 9"]) -> dict[str, object]:
    """Returns means, standard deviations and 95th percentiles over all photos."""
    report: dict[str, object] = {"photos": len(rows)}
    for number, name in enumerate(NAMES):
        offsets = rows[:, 2 * number : 2 * number + 2]
        length = np.linalg.norm(offsets, axis=1)
        report[name] = {
            "mean_dx_dy_px": offsets.mean(axis=0).round(2).tolist(),
            "mean_distance_px": round(float(length.mean()), 2),
            "p95_distance_px": round(float(np.percentile(length, _PERCENTILE)), 2),
        }
    report["scale"] = spread(rows[:, 6], 4)
    report["degrees"] = spread(rows[:, 7], 2)
    report["farthest corner px"] = spread(rows[:, 8], 2)
    return report


def spread(values: Float[np.ndarray, " photos"], digits: int) -> dict[str, float]:
    """Returns mean and standard deviation, and 95th percentile and maximum of the distance from the mean."""
    distance = np.abs(values - values.mean())
    numbers = {
        "mean": values.mean(),
        "sd": values.std(),
        "p95_from_mean": np.percentile(distance, _PERCENTILE),
        "max_from_mean": distance.max(),
    }
    return {name: round(float(number), digits) for name, number in numbers.items()}


if __name__ == "__main__":
    main()
