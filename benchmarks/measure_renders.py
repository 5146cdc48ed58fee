"""Compares clips of `pcavs synth` with what the face tracker measures in them: head angles, and audio-video offset.

    python benchmarks/measure_renders.py --renders FOLDER --out report.json

The report holds

- the fraction of frames in which the tracker finds the face, by yaw
- the mean error of the tracker's angles against the true ones
- for each clip, the offset between sound and picture at which the measured mouth opening correlates best with the
  phonemes of the sound. A phoneme counts as open (vowels), half open (other consonants) or shut (m, b, p, silence);
  the curve is smoothed over 0.1 s. The code that animates rendered mouths is not used, so that its errors would be
  found. A positive offset means that the picture is late.
"""

import argparse
import collections
import json
import logging
from pathlib import Path
from typing import Any, Final

import numpy as np

from pcavs.errors import FaceError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import angles_deg, head_pose
from pcavs.face.regions import mouth_opening
from pcavs.face.track import TrackPolicy, track_face
from pcavs.media.video import read_frames
from pcavs.metrics.curves import correlation
from pcavs.spec import FRAME_RATE
from pcavs.synth.visemes import CLOSED, VOWEL_PREFIXES, sound_class

logger = logging.getLogger(__name__)

BANDS_DEG: Final = (20, 40, 50, 61)
"""Upper bounds of the bands of absolute yaw for which detection is reported."""
MIN_OPENING_RANGE: Final = 0.1
"""Clips whose mouth opening varies less, as a fraction of the eye distance, have no usable offset; the tracker's noise
is 0.03."""
MIN_CORRELATION: Final = 0.3
"""Clips whose best correlation is smaller have no usable offset. Tuned by hand; not measured."""
NEAR_FRONTAL_DEG: Final = 35
"""Angle errors are reported for smaller absolute yaw: beyond it, the tracker's angles are known to be poor."""
_STEP_S: Final = 0.005
"""Resolution of the offset."""
_LARGEST_OFFSET_S: Final = 0.2
_SMOOTHING_S: Final = 0.2
"""Length of the Hann window that smooths the phonemes' openings; its half-width is 0.1 s."""
_PADDING_S: Final = 0.5
"""Silence before and after the phonemes; more than the largest offset."""
_HALF_OPEN: Final = 0.5
_SHUT_CLASSES: Final = ("bilabial", CLOSED)


def main() -> None:
    """Measures the clips and writes the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--renders", type=Path, required=True, help="folder that `pcavs synth` wrote, with KEY.json")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=1000, help="largest number of clips")
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
    """Tracks one clip; returns true and measured angles for each frame, and the clip's offset."""
    angles = np.array(truth["yaw_pitch_roll_deg"])
    start = {"language": truth["language"], "speech": truth["speech"], "offset_s": 0.0, "correlation": 0.0}
    try:
        # Unsmoothed, since smoothing delays a quick mouth.
        track = track_face(read_frames(film), landmarker, film.name, TrackPolicy(smoothed=False))
    except FaceError:
        return start | {"frames": [(row, False, row * 0) for row in angles]}
    found = angles_deg(head_pose(track.meshes).rotation)
    opening = mouth_opening(track.meshes)
    offset_s, fit = best_offset(truth["phonemes"], opening)
    frames = list(zip(angles, track.found, found, strict=True))
    return start | {"offset_s": offset_s, "correlation": fit, "frames": frames, "opening": float(np.ptp(opening))}


def best_offset(phonemes: list[list[Any]], opening: np.ndarray) -> tuple[float, float]:
    """Returns the delay of the mouth opening behind the phonemes in seconds, and the correlation there."""
    times = np.arange(-_PADDING_S, len(opening) / FRAME_RATE + _PADDING_S, _STEP_S)
    expected = np.zeros(len(times))
    for ipa, start_s, end_s in phonemes:
        name = sound_class(ipa)
        level = 1.0 if name.startswith(VOWEL_PREFIXES) else _HALF_OPEN
        expected[(times >= start_s) & (times < end_s)] = 0.0 if name in _SHUT_CLASSES else level
    window = np.hanning(round(_SMOOTHING_S / _STEP_S))
    expected = np.convolve(expected, window / window.sum(), mode="same")
    frame_times = np.arange(len(opening)) / FRAME_RATE
    offsets = np.arange(-_LARGEST_OFFSET_S, _LARGEST_OFFSET_S + _STEP_S / 2, _STEP_S)
    fits = [correlation(opening.astype(float), np.interp(frame_times - offset, times, expected)) for offset in offsets]
    best = int(np.argmax(fits))
    return float(offsets[best]), float(fits[best])


def summary(clips: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns detection by bands of yaw, angle errors, and offsets by language."""
    truth = np.array([row for clip in clips for row, _, _ in clip["frames"]])
    found = np.array([flag for clip in clips for _, flag, _ in clip["frames"]])
    error = np.array([row for clip in clips for _, _, row in clip["frames"]]) - truth
    yaw, result, low = np.abs(truth[:, 0]), {}, 0
    for high in BANDS_DEG:
        band = (yaw >= low) & (yaw < high)
        result[f"found, |yaw| {low} to {high}"] = [float(found[band].mean()), int(band.sum())]
        low = high
    near = found & (yaw < NEAR_FRONTAL_DEG)
    result["found, |yaw| <= 40"] = float(found[yaw <= 40].mean())
    result["mean error of yaw, pitch, roll for |yaw| < 35, degrees"] = np.abs(error)[near].mean(axis=0).tolist()
    result["mean difference there, degrees"] = error[near].mean(axis=0).tolist()
    offsets = collections.defaultdict(list)
    for clip in clips:
        if clip["correlation"] > MIN_CORRELATION and clip.get("opening", 0.0) > MIN_OPENING_RANGE:
            offsets[clip["language"]].append(clip["offset_s"])
    result["offsets, s"] = {name: np.round(values, 3).tolist() for name, values in sorted(offsets.items())}
    every = [value for values in offsets.values() for value in values]
    result["offset: median, mean, clips"] = [float(np.median(every)), float(np.mean(every)), len(every)]
    result["clips without a usable offset"] = len(clips) - len(every)
    return result


if __name__ == "__main__":
    main()
