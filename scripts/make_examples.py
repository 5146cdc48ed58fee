"""Makes the example files that were rendered for this project: a synthetic voice, a turning head and a test face.

    python scripts/make_examples.py HEADS examples

Needs the heads converted by `scripts/convert_avatars.py --full`, the extra `synth`, eSpeak NG, and an EGL driver. Every
number below was chosen by eye or ear.
"""

import argparse
import dataclasses
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pcavs.media.files import write_wav
from pcavs.media.film import FilmWriter
from pcavs.media.timeline import frame_time_s
from pcavs.synth.avatars import Avatar, blend_avatars, load_avatar
from pcavs.synth.render import HeadRenderer, HeadState, Light, Scene
from pcavs.synth.speech import Voice, synthesise
from pcavs.synth.visemes import VISEMES, mouth_morphs
from pcavs.types import Picture

FACE_HEADS: Final = ("MENA_M_2_Busi", "White_M_2_Casual")
"""Heads that are mixed for the face."""

POSE_HEADS: Final = ("White_F_2_Casual", "MENA_F_2_Util")
"""Heads that are mixed for the turning head. Training never sees the heads of either mixture."""

FACE_PX, POSE_PX = 512, 256
"""Sides of the face and of the turning head's video."""

FACE_EYE_SHARE, POSE_EYE_SHARE = 0.19, 0.2
"""Eye distances as fractions of those sides."""

FACE_ANGLES_DEG: Final = (3.0, 1.0)
"""Yaw and pitch of the face."""

FACE_VISEMES: Final = {"H_EST": 0.2, "AE_AA": 0.08}
"""Slightly parted lips: a talker can only move those parts of the teeth that the photograph shows."""

FACE_EXPRESSION: Final = {"RsmileClose": 0.12, "LsmileClose": 0.15, "Rsquint": 0.1, "Lsquint": 0.1}
"""Morphs of a slight smile."""

FACE_GRAIN_LEVELS, FACE_QUALITY = 1.2, 93
"""Standard deviation of the noise in grey levels, and JPEG quality."""

SENTENCE: Final = "One photo can speak with any voice, and move its head like anybody else."
VOICE: Final = Voice(language="en-us", variant="m3", words_a_minute=150, pitch=42, pitch_range=60)

PAUSES_PER_S: Final = 5
"""The silence before and after the sentence is one such part of a second."""

POSE_FRAMES: Final = 100
"""Length of the turning head's video."""

POSE_BALANCE: Final = (1.03, 1.0, 0.95)
"""White balance of that video."""

YAW_DEG, PITCH_DEG, ROLL_DEG, GAZE_YAW_DEG = 25, 7, 4, -8
"""Amplitudes of the head's motion, and of the eyes', which turn back."""

PITCH_PHASE, ROLL_PHASE = 0.6, 1.0
"""Phases of pitch and roll in radians."""

BLINK_S, BLINK_PEAK, BLINK_FADE_S = 2.2, 1.4, 0.08
"""Time of the blink; closure falls linearly with the time from it, from the peak (cut at 1), by 1 in the fade time."""

WALL_PX: Final = 256
WALL_GREY, WALL_GLOW, WALL_TINT = 96, 66, (1.0, 1.01, 1.03)
"""Side of the wall's picture, its grey level, brightness added in its lit area, and factor on each channel."""

WALL_CENTRE, WALL_RADIUS = (0.62, 0.35), (0.5, 0.6)
"""Centre and radius of the lit area along x and y, as fractions of the side."""


def main() -> None:
    """Writes speech.wav, pose.mp4 and composite.jpg; the last one belongs to tests/data."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heads", type=Path, help="folder of heads converted with --full")
    parser.add_argument("target", type=Path, help="folder for the examples")
    arguments = parser.parse_args()
    make_face(_mixed_head(arguments.heads, FACE_HEADS), arguments.target / "composite.jpg")
    make_speech(arguments.target / "speech.wav")
    make_pose(_mixed_head(arguments.heads, POSE_HEADS), arguments.target / "pose.mp4")


def make_face(head: Avatar, path: Path) -> None:
    """Renders a nearly frontal portrait with slightly parted lips as JPEG."""
    with HeadRenderer(head, 2 * FACE_PX) as renderer:
        renderer.set_scene(_studio(FACE_EYE_SHARE))
        visemes = np.array([FACE_VISEMES.get(name, 0.0) for name in VISEMES], np.float32)
        morphs = FACE_EXPRESSION | mouth_morphs(visemes, effort=1.0)
        yaw_deg, pitch_deg = FACE_ANGLES_DEG
        large = renderer.render(HeadState(yaw_deg=yaw_deg, pitch_deg=pitch_deg, morphs=morphs))
    picture = cv2.resize(large, (FACE_PX, FACE_PX), interpolation=cv2.INTER_AREA)
    grain = np.random.default_rng(0).normal(0, FACE_GRAIN_LEVELS, picture.shape)
    picture = np.clip(np.round(picture + grain), 0, 255).astype(np.uint8)
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, FACE_QUALITY])


def make_speech(path: Path) -> None:
    """Speaks the sentence into a mono WAV file at eSpeak NG's own rate."""
    samples, rate_hz, _ = synthesise(SENTENCE, VOICE)
    pause = np.zeros(rate_hz // PAUSES_PER_S, np.float32)
    write_wav(path, np.concatenate([pause, samples.astype(np.float32) / 32768, pause]), rate_hz)


def make_pose(head: Avatar, path: Path) -> None:
    """Renders a silent head that looks left and right and nods; the last frame leads into the first, so it can loop."""
    scene = dataclasses.replace(_studio(POSE_EYE_SHARE), balance=POSE_BALANCE)
    with HeadRenderer(head, POSE_PX) as renderer, FilmWriter(path, (POSE_PX, POSE_PX), overwrite=True) as film:
        renderer.set_scene(scene)
        for frame in range(POSE_FRAMES):
            film.write(renderer.render(_pose_state(frame)))


def _pose_state(frame: int) -> HeadState:
    phase = 2 * np.pi * frame / POSE_FRAMES
    since_blink_s = abs(frame_time_s(frame) - BLINK_S)
    closure = float(np.clip(BLINK_PEAK - since_blink_s / BLINK_FADE_S, 0, 1))
    return HeadState(
        yaw_deg=float(YAW_DEG * np.sin(phase)),
        pitch_deg=float(PITCH_DEG * np.sin(2 * phase + PITCH_PHASE)),
        roll_deg=float(ROLL_DEG * np.sin(phase + ROLL_PHASE)),
        gaze_deg=(float(GAZE_YAW_DEG * np.sin(phase)), 0.0),
        morphs={"ReyeClose": closure, "LeyeClose": closure},
    )


def _mixed_head(folder: Path, names: tuple[str, str]) -> Avatar:
    first, second = (load_avatar(folder / f"{name}.npz") for name in names)
    return blend_avatars(first, second, 0.5)


def _studio(eye_share: float) -> Scene:
    """Returns neutral light from a large window on one side, before a grey wall."""
    return Scene(
        background=_wall(),
        lights=(
            Light(direction=(0.5, 0.4, 0.77), colour=(0.78, 0.76, 0.73)),
            Light(direction=(-0.8, 0.1, 0.6), colour=(0.26, 0.27, 0.29)),
            Light(direction=(-0.5, 0.4, -0.77), colour=(0.2, 0.2, 0.2)),
        ),
        sky=(0.36, 0.37, 0.39),
        ground=(0.24, 0.22, 0.2),
        distance_m=1.4,
        eye_share=eye_share,
        aim=(0.0, -0.012, 0.0),
    )


def _wall() -> Picture:
    y, x = np.mgrid[0:WALL_PX, 0:WALL_PX] / (WALL_PX - 1)
    (x0, y0), (width, height) = WALL_CENTRE, WALL_RADIUS
    glow = np.exp(-(((x - x0) / width) ** 2 + ((y - y0) / height) ** 2))
    grey = (WALL_GREY + WALL_GLOW * glow)[..., None] * np.array(WALL_TINT)
    return np.round(grey + np.random.default_rng(1).normal(0, 1, grey.shape)).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
