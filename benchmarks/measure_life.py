"""Compares natural motion with speakers: how far and how fast heads turn, and where nods and blinks are.

    python benchmarks/measure_life.py CLIP... [--seconds 20] [--seeds 8]

For each clip with sound it prints the deviation of yaw and pitch, the share of their power in four bands, their speed
(median and 95th percentile), blinks a minute, which share of the blinks begins in pauses against the share of time that
is pause, and how far the head goes down at the beats of the speech; then the same for `pose.life.natural`, generated
from the same sound. Clips are only measured. Needs no torch.
"""

import argparse
import itertools
import logging
from pathlib import Path
from typing import Final

import numpy as np

from pcavs.errors import InputError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.track import TrackPolicy
from pcavs.media.mel import LazyMel
from pcavs.media.speech import MelStream, Speech
from pcavs.pose import expression
from pcavs.pose.face import to_expression
from pcavs.pose.life import PAUSE_RHYTHM, natural
from pcavs.pose.measure import measure_video
from pcavs.pose.presets import PITCH, YAW, Rhythm, beats, rhythm_of
from pcavs.pose.track import HeadTrack
from pcavs.spec import FRAME_RATE, MelSpec

logger = logging.getLogger("measure_life")

BANDS_HZ: Final = (0.1, 0.5, 1.0, 2.0, 4.0)
SHUT: Final = 0.5
"""Closure from which on a lid counts as blinking."""
NEAR_FRAMES: Final = 5
"""Frames around the start of a blink in which there may be a pause."""
NOD_FRAMES: Final = 10
"""Frames around a beat whose mean pitch a nod is compared with."""


def main() -> None:
    """Measures the clips that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", nargs="+", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seeds", type=int, default=8)
    options = parser.parse_args()
    logging.basicConfig(format="%(message)s", level=logging.INFO)
    landmarker = FaceLandmarker()
    for clip in options.clips:
        found = measure_video(clip, (0.0, options.seconds), landmarker, TrackPolicy(), lambda *_: None)
        try:
            speech = Speech(clip, 0.0, options.seconds, MelSpec())
        except InputError:
            logger.info("%s has no sound", clip.name)
            continue
        rhythm = rhythm_of(_mel(speech, len(found.track)), len(found.track))
        logger.info(
            "%s, %.1f s: %s", clip.name, len(rhythm) / FRAME_RATE, line(found.track, to_expression(found.face), rhythm)
        )
        lives = [natural(rhythm, seed) for seed in range(options.seeds)]
        made = [row(life.head, life.expression, rhythm) for life in lives]
        logger.info("  natural: %s", worded(np.nanmean(made, axis=0)))


def _mel(speech: Speech, num_frames: int) -> LazyMel:
    return MelStream(speech, num_frames, 8)


def line(head: HeadTrack, face: expression.ExpressionTrack, rhythm: Rhythm) -> str:
    """Returns the figures of one motion as text."""
    return worded(row(head, face, rhythm))


def row(head: HeadTrack, face: expression.ExpressionTrack, rhythm: Rhythm) -> np.ndarray:
    """Returns the figures of one motion."""
    speed = np.abs(np.diff(head[:, [YAW, PITCH]], axis=0)) * FRAME_RATE
    lids = face[:, expression.LIDS].min(axis=1)
    starts = np.flatnonzero((lids[1:] > SHUT) & (lids[:-1] <= SHUT))
    is_pause = rhythm < PAUSE_RHYTHM
    near = [is_pause[max(0, at - NEAR_FRAMES) : at + NEAR_FRAMES + 1].any() for at in starts]
    around = [is_pause[max(0, at - NEAR_FRAMES) : at + NEAR_FRAMES + 1].any() for at in range(len(rhythm))]
    return np.array(
        [
            *head[:, [YAW, PITCH]].std(axis=0),
            *power(head[:, YAW]),
            *power(head[:, PITCH]),
            *np.median(speed, axis=0),
            *np.percentile(speed, 95, axis=0),
            len(starts) * 60 * FRAME_RATE / len(rhythm),
            np.mean(near) if near else np.nan,
            np.mean(around),
            nod(head[:, PITCH], rhythm),
        ]
    )


def power(angle: np.ndarray) -> np.ndarray:
    """Returns the share of an angle's power in each band."""
    spectrum = np.abs(np.fft.rfft((angle - angle.mean()) * np.hanning(len(angle)))) ** 2
    frequency = np.fft.rfftfreq(len(angle), 1 / FRAME_RATE)
    bands = [spectrum[(low <= frequency) & (frequency < high)].sum() for low, high in itertools.pairwise(BANDS_HZ)]
    return np.array(bands) / max(sum(bands), 1e-9)


def nod(pitch: np.ndarray, rhythm: Rhythm) -> float:
    """Returns how much lower the head is at beats than around them, in degrees; NaN without beats."""
    at = [beat for beat in beats(rhythm) if NOD_FRAMES <= beat < len(pitch) - NOD_FRAMES]
    depths = [
        pitch[beat - NOD_FRAMES : beat + NOD_FRAMES + 1].mean() - pitch[beat - 1 : beat + 4].mean() for beat in at
    ]
    return float(np.mean(depths)) if depths else np.nan


def worded(figures: np.ndarray) -> str:
    """Returns figures as text."""
    value = [f"{figure:.2f}" for figure in figures]
    return (
        f"yaw {value[0]}, pitch {value[1]} deg; power of yaw {' '.join(value[2:6])}, of pitch {' '.join(value[6:10])}; "
        f"speed {value[10]}, {value[11]}, 95 % {value[12]}, {value[13]} deg/s; blinks {value[14]} a minute, "
        f"{value[15]} near pauses (time {value[16]}); nod {value[17]} deg"
    )


if __name__ == "__main__":
    main()
