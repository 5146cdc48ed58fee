"""Makes the shipped example inputs that this project rendered: a synthetic voice, a turning head, a test face.

    python scripts/make_examples.py RENDER_CACHE/avatars-full examples

Needs the heads converted by `scripts/convert_avatars.py --full`, the extra `synth`, eSpeak NG, and an EGL driver.
"""

import argparse
import dataclasses
from pathlib import Path

import cv2
import numpy as np

from pcavs.media.film import FilmWriter
from pcavs.media.timeline import frame_time_s
from pcavs.synth.avatars import Avatar, blended, load_avatar
from pcavs.synth.render import HeadRenderer, HeadState, Light, Scene
from pcavs.synth.run import write_wave
from pcavs.synth.speech import Voice, synthesise
from pcavs.synth.visemes import VISEMES, mouth_morphs
from pcavs.types import Picture

PARTED = {"H_EST": 0.2, "AE_AA": 0.08}
FACE_HEADS = ("MENA_M_2_Busi", "White_M_2_Casual")
POSE_HEADS = ("White_F_2_Casual", "MENA_F_2_Util")
"""Mixtures of heads that training never sees, so that the demo shows an unknown person."""
SENTENCE = "One photo can speak with any voice, and move its head like anybody else."
VOICE = Voice(language="en-us", variant="m3", words_a_minute=150, pitch=42, pitch_range=60)
POSE_FRAMES = 100
FACE_PX, POSE_PX = 512, 256


def main() -> None:
    """Writes speech.wav, pose.mp4, and composite.jpg, which tests/data holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("heads", type=Path, help="folder of heads converted with --full")
    parser.add_argument("target", type=Path, help="folder for the examples")
    arguments = parser.parse_args()
    make_face(_mixed(arguments.heads, FACE_HEADS), arguments.target / "composite.jpg")
    make_speech(arguments.target / "speech.wav")
    make_pose(_mixed(arguments.heads, POSE_HEADS), arguments.target / "pose.mp4")


def make_face(head: Avatar, path: Path) -> None:
    """Renders a frontal portrait, lips slightly parted: what a photo shows of the teeth, a film can move."""
    with HeadRenderer(head, 2 * FACE_PX) as renderer:
        renderer.set_scene(_studio(eye_share=0.19))
        smile = {"RsmileClose": 0.12, "LsmileClose": 0.15, "Rsquint": 0.1, "Lsquint": 0.1}
        visemes = np.array([PARTED.get(name, 0.0) for name in VISEMES], np.float32)
        morphs = smile | mouth_morphs(visemes, effort=1.0)
        large = renderer.render(HeadState(yaw_deg=3.0, pitch_deg=1.0, morphs=morphs))
    picture = cv2.resize(large, (FACE_PX, FACE_PX), interpolation=cv2.INTER_AREA)
    grain = np.random.default_rng(0).normal(0, 1.2, picture.shape)
    picture = np.clip(np.round(picture + grain), 0, 255).astype(np.uint8)
    cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 93])


def make_speech(path: Path) -> None:
    """Speaks the sentence at eSpeak NG's own rate, mono."""
    samples, rate_hz, _ = synthesise(SENTENCE, VOICE)
    quiet = np.zeros(rate_hz // 5, np.float32)
    write_wave(path, np.concatenate([quiet, samples.astype(np.float32) / 32768, quiet]), rate_hz)


def make_pose(head: Avatar, path: Path) -> None:
    """Films a silent head that looks left and right and nods; it ends where it began, so it can loop."""
    scene = dataclasses.replace(_studio(eye_share=0.2), balance=(1.03, 1.0, 0.95))
    with HeadRenderer(head, POSE_PX) as renderer, FilmWriter(path, (POSE_PX, POSE_PX), overwrite=True) as film:
        renderer.set_scene(scene)
        for frame in range(POSE_FRAMES):
            film.write(renderer.render(_pose_state(frame)))


def _pose_state(frame: int) -> HeadState:
    turn = 2 * np.pi * frame / POSE_FRAMES
    since_s = abs(frame_time_s(frame) - 2.2)
    lids = float(np.clip(1.4 - since_s / 0.08, 0, 1))
    return HeadState(
        yaw_deg=float(25 * np.sin(turn)),
        pitch_deg=float(7 * np.sin(2 * turn + 0.6)),
        roll_deg=float(4 * np.sin(turn + 1.0)),
        gaze_deg=(float(-8 * np.sin(turn)), 0.0),
        morphs={"ReyeClose": lids, "LeyeClose": lids},
    )


def _mixed(folder: Path, names: tuple[str, str]) -> Avatar:
    first, second = (load_avatar(folder / f"{name}.npz") for name in names)
    return blended(first, second, 0.5)


def _studio(eye_share: float) -> Scene:
    """Neutral light from a large window on one side, before a grey wall."""
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
    y, x = np.mgrid[0:256, 0:256] / 255
    glow = np.exp(-(((x - 0.62) / 0.5) ** 2 + ((y - 0.35) / 0.6) ** 2))
    grey = (96 + 66 * glow)[..., None] * np.array([1.0, 1.01, 1.03])
    return np.round(grey + np.random.default_rng(1).normal(0, 1, grey.shape)).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
