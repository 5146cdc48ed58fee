"""Do the face tracker and the renders' truth agree? Reads clips made by `pcavs synth`.

    python benchmarks/measure_renders.py --renders FOLDER --out report.json

Reported: the share of frames in which the tracker finds the face, by how far the head is turned away; the mean error
of the tracker's angles against the truth; and, a clip, at which offset between sound and picture the mouth opening
that the tracker reads on the film fits the phoneme times of the sound best. For the last, each phoneme counts as
open (vowels), half open (other consonants) or shut (m, b, p, silence), smoothed over 0.1 s: nothing of the code that
moves the rendered mouth is used. Positive offset: the picture is late.
"""

import argparse
import collections
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np

from pcavs.errors import FaceError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import angles_deg, head_pose
from pcavs.face.regions import mouth_opening
from pcavs.face.track import TrackPolicy, track_face
from pcavs.media.video import read_frames
from pcavs.metrics.curves import correlation
from pcavs.synth.visemes import CLOSED, VOWEL_PREFIXES, sound_class

logger = logging.getLogger(__name__)

BANDS_DEG = (20, 40, 50, 61)
LEAST_OPENING = 0.1
"""Range of the opening (of the eye distance) from which on it says something; the tracker's own noise is 0.03."""
_STEP_S = 0.005
_LARGEST_OFFSET_S = 0.2


def main() -> None:
    """Reads the command line, measures, writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renders", type=Path, required=True, help="folder with KEY.json")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=1000, help="at most so many")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    key = json.loads((arguments.renders / "KEY.json").read_text())
    landmarker = FaceLandmarker()
    clips = []
    for name in sorted(key)[: arguments.clips]:
        clips.append({"film": name, **measure(arguments.renders / name, key[name], landmarker)})
        logger.info("%s offset %.3f s, correlation %.2f", name, clips[-1]["offset_s"], clips[-1]["correlation"])
    report = {"summary": summary(clips), "clips": [{k: v for k, v in c.items() if k != "frames"} for c in clips]}
    arguments.out.write_text(json.dumps(report, indent=1))
    logger.info(json.dumps(report["summary"], indent=1))


def measure(film: Path, truth: dict[str, Any], landmarker: FaceLandmarker) -> dict[str, Any]:
    """Tracks one film; returns what was found a frame and the sync of the whole."""
    angles = np.array(truth["yaw_pitch_roll_deg"])
    start = {"language": truth["language"], "speech": truth["speech"], "offset_s": 0.0, "correlation": 0.0}
    try:
        # Unsmoothed: smoothing follows a quick mouth late, and this asks for its time.
        track = track_face(read_frames(film), landmarker, film.name, TrackPolicy(smoothed=False))
    except FaceError:
        return start | {"frames": [(row, False, row * 0) for row in angles]}
    found = angles_deg(head_pose(track.meshes).rotation)
    opening = mouth_opening(track.meshes)
    offset_s, fit = best_offset(truth["phonemes"], opening)
    frames = list(zip(angles, track.found, found, strict=True))
    return start | {"offset_s": offset_s, "correlation": fit, "frames": frames, "opening": float(np.ptp(opening))}


def best_offset(phonemes: list[list[Any]], opening: np.ndarray) -> tuple[float, float]:
    """Finds the delay of the mouth behind the phonemes, and the correlation there."""
    times = np.arange(-0.5, len(opening) / 25 + 0.5, _STEP_S)
    wanted = np.zeros(len(times))
    for ipa, start_s, end_s in phonemes:
        name = sound_class(ipa)
        level = 1.0 if name.startswith(VOWEL_PREFIXES) else 0.5
        wanted[(times >= start_s) & (times < end_s)] = 0.0 if name in ("bilabial", CLOSED) else level
    window = np.hanning(round(0.2 / _STEP_S))
    wanted = np.convolve(wanted, window / window.sum(), mode="same")
    instants = np.arange(len(opening)) / 25
    offsets = np.arange(-_LARGEST_OFFSET_S, _LARGEST_OFFSET_S + 1e-9, _STEP_S)
    fits = [correlation(opening.astype(float), np.interp(instants - offset, times, wanted)) for offset in offsets]
    best = int(np.argmax(fits))
    return float(offsets[best]), float(fits[best])


def summary(clips: list[dict[str, Any]]) -> dict[str, Any]:
    """Gathers bands of yaw, angle errors, and offsets by language."""
    truth = np.array([row for clip in clips for row, _, _ in clip["frames"]])
    seen = np.array([flag for clip in clips for _, flag, _ in clip["frames"]])
    made = np.array([row for clip in clips for _, _, row in clip["frames"]])
    turned, result, low = np.abs(truth[:, 0]), {}, 0
    for high in BANDS_DEG:
        band = (turned >= low) & (turned < high)
        result[f"found, |yaw| {low} to {high}"] = [float(seen[band].mean()), int(band.sum())]
        low = high
    near = seen & (turned < 35)
    result["found, |yaw| <= 40"] = float(seen[turned <= 40].mean())
    result["mean error of yaw, pitch, roll for |yaw| < 35, degrees"] = np.abs(made - truth)[near].mean(axis=0).tolist()
    result["mean difference there, degrees"] = (made - truth)[near].mean(axis=0).tolist()
    offsets = collections.defaultdict(list)
    for clip in clips:
        if clip["correlation"] > 0.3 and clip.get("opening", 0.0) > LEAST_OPENING:
            offsets[clip["language"]].append(clip["offset_s"])
    result["offsets, s"] = {name: np.round(values, 3).tolist() for name, values in sorted(offsets.items())}
    every = [value for values in offsets.values() for value in values]
    result["offset: median, mean, clips"] = [float(np.median(every)), float(np.mean(every)), len(every)]
    result["clips whose mouth is not seen to follow"] = len(clips) - len(every)
    return result


if __name__ == "__main__":
    main()
