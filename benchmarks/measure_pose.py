"""Measures how far a talker turns a head for the degrees that are asked for, and fits the map that corrects it.

    python benchmarks/measure_pose.py fit PICTURE... --out pose.json      turns of the code against turns of the face
    python benchmarks/measure_pose.py check PICTURE... --audio SPEECH --out check.json     degrees asked against made
    python benchmarks/measure_pose.py follow PICTURE --pose POSE --audio SPEECH --out curves.png     over a timeline
    python benchmarks/measure_pose.py relative PICTURE... --sources FILM... --audio SPEECH --out relative.json

`fit` renders each picture with its own mouth and one axis turned by steps, and measures every frame with the face
tracker. With `--turn network` put the map beside the weights as `pose.json` (docs/formats.md); with `--turn depth` it
says what the factors `ROTATION_GAIN` of head/warp.py ought to be. `check` makes a second of film for each
picture and pose, as `pcavs animate --pose yaw=..,pitch=..,roll=..` does, and judges its lips as well. `relative` makes
a fifth of a second of film for each picture and pose source with `--relative`, and compares its first frame's pose with
the picture's own.
"""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any, get_args

import cv2
import numpy as np

from pcavs.animate.controls import Controls
from pcavs.animate.head_motion import own_row
from pcavs.animate.identity import Identity, read_identity
from pcavs.animate.options import FilmOptions, Turn
from pcavs.animate.renderer import DepthRenderer, Renderer, make_renderer
from pcavs.animate.talker import Talker, load_talker
from pcavs.errors import FaceError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import angles_deg, head_pose, rotation_from_angles
from pcavs.face.regions import lips_shape
from pcavs.face.track import TrackPolicy, track_face, track_picture
from pcavs.media.mel import mel_windows
from pcavs.metrics.crops import mouth_crops
from pcavs.metrics.sync import SyncJudge
from pcavs.pose.calibration import AXES, fit_map, save_map
from pcavs.pose.codes import code_angles
from pcavs.pose.commands import draw_curves
from pcavs.pose.measure import measure_video
from pcavs.types import Picture

_STEPS_DEG = np.array([-50.0, -40, -30, -20, -10, 0, 10, 20, 30, 40, 50])
_ASKED = (
    *({"yaw": yaw} for yaw in (0, -30, -20, -10, 10, 20, 30)),
    *({"pitch": pitch} for pitch in (-15, 15)),
    *({"roll": roll} for roll in (-15, 15)),
)


def main() -> None:
    """Runs what the words ask for."""
    logging.basicConfig(level=logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("fit", "check", "follow", "relative"))
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--audio", type=Path)
    parser.add_argument("--pose")
    parser.add_argument("--sources", nargs="+", default=[])
    parser.add_argument("--turn", choices=get_args(Turn), default="depth")
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--out", type=Path, required=True)
    words = parser.parse_args()
    talker = load_talker(words.weights, "auto")
    if words.what == "fit":
        fit(talker, words.pictures, words.out, words.turn)
    elif words.what == "follow":
        follow(talker, words)
    elif words.what == "relative":
        relative(talker, words)
    else:
        check(talker, words)


def fit(talker: Talker, pictures: list[Path], out: Path, turn: Turn) -> None:
    """Fits and saves the map."""
    turns = []
    for path in pictures:
        try:
            turns.append(turned(talker, path, turn))
        except FaceError as error:
            print(f"left out: {error}", file=sys.stderr)
            continue
        print(
            path.name, *(f"{AXES[n]} {turns[-1][0, n, n]:.0f}..{turns[-1][-1, n, n]:.0f}" for n in range(3)), flush=True
        )
    poses = fit_map(_STEPS_DEG, np.stack(turns), f"{len(turns)} pictures, their own mouths, one axis at a time")
    save_map(poses, talker.digest, out)
    print("asked; made by yaw; by pitch; by roll; error")
    print(np.column_stack([poses.asked_deg, poses.made_deg.reshape(-1, 9), poses.error_deg]).round(1))


def turned(talker: Talker, path: Path, who: Turn) -> np.ndarray:
    """For one picture, steps x axes asked x axes: how far the face turned; NaN where it is lost."""
    options = FilmOptions(identity=path, audio=path)
    identity = read_identity(path, talker.runtime.spec.sizes.picture_px, talker.face_reader(options))
    landmarker = FaceLandmarker()
    made = np.full((len(_STEPS_DEG), 3, 3), np.nan)
    renderer = make_renderer(talker.runtime, identity, who, segmenter=talker.segmenter)
    base = measured(frame(renderer, identity, np.zeros(3)), landmarker)
    for axis in range(3):
        for row, step in enumerate(_STEPS_DEG):
            turn = np.zeros(3)
            turn[axis] = step
            try:
                made[row, axis] = measured(frame(renderer, identity, turn), landmarker) - base
            except FaceError:
                continue
    return made


def frame(renderer: Renderer, identity: Identity, turn: np.ndarray) -> Picture:
    """Renders a picture with its own mouth and its head turned."""
    if isinstance(renderer, DepthRenderer):
        pose = own_row(identity) + np.append(turn, np.zeros(3))
    else:
        own = identity.codes.pose
        start = code_angles(own)
        pose = own.copy()
        pose[:9] += (rotation_from_angles((start + turn)[None]) - rotation_from_angles(start[None])).reshape(9)
    return renderer.frame(Controls(identity.codes.content, pose))


def measured(picture: Picture, landmarker: FaceLandmarker) -> np.ndarray:
    """Yaw, pitch and roll that the face tracker sees."""
    track = track_picture(picture, landmarker, "frame", TrackPolicy(smoothed=False))
    return angles_deg(head_pose(track.meshes).rotation.astype(np.float64))[0]


def check(talker: Talker, words: argparse.Namespace) -> None:
    """Makes the films and writes the figures."""
    judge, landmarker = SyncJudge(), FaceLandmarker()
    rows: list[dict[str, Any]] = []
    for path in words.pictures:
        for asked in _ASKED:
            try:
                rows.append(film_row(talker, words, (path, asked), (judge, landmarker)))
            except FaceError as error:
                print(f"lost: {path.name} {asked}: {error}", file=sys.stderr)
                continue
            print(json.dumps(rows[-1]), flush=True)
            words.out.write_text(json.dumps({"weights": talker.digest, "rows": rows, **summary(rows)}, indent=1))
    print(json.dumps(summary(rows), indent=1))


def follow(talker: Talker, words: argparse.Namespace) -> None:
    """Draws what a timeline asked for and what the film shows, and prints the largest steps of both."""
    film = talker.animate(words.pictures[0], words.audio, pose=words.pose, turn=words.turn)
    assert film.head_track is not None
    track = track_face(film.frames, FaceLandmarker(), "film", TrackPolicy(smoothed=True))
    made = angles_deg(head_pose(track.meshes).rotation.astype(np.float64))
    asked = film.head_track[:, :3]
    picture = draw_curves({"asked": asked, "made": made})
    cv2.imwrite(str(words.out), picture[:, :, ::-1])
    for name, curve in (("asked", asked), ("made", made)):
        print(name, "largest step a frame:", np.abs(np.diff(curve, axis=0)).max(axis=0).round(2))
    print("mean difference:", np.abs(made - asked).mean(axis=0).round(2), "first frame:", (made - asked)[0].round(2))
    print("correlation:", [round(float(np.corrcoef(asked[:, n], made[:, n])[0, 1]), 3) for n in range(3)])


def relative(talker: Talker, words: argparse.Namespace) -> None:
    """Writes how far the first frames of relative films are from their pictures' own poses."""
    landmarker = FaceLandmarker()
    rows: list[dict[str, Any]] = []
    for picture in words.pictures:
        for source in words.sources:
            film = talker.animate(picture, words.audio, pose=source, relative=True, end=0.2, turn=words.turn)
            own = measured(film.identity.picture, landmarker)
            off = measured(next(iter(film.frames)), landmarker) - own
            rows.append(
                {
                    "picture": picture.name,
                    "source": Path(source).name,
                    "own": own.round(1).tolist(),
                    "source_begins": begins(source),
                    "off": off.round(2).tolist(),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    off = np.abs([row["off"] for row in rows])
    told = {"mean": off.mean(axis=0).round(2).tolist(), "largest": off.max(axis=0).round(2).tolist()}
    words.out.write_text(json.dumps({"weights": talker.digest, "rows": rows, **told}, indent=1))
    print(json.dumps(told))


def begins(source: str) -> list[float] | None:
    """The pose with which a film begins; None where the source is none."""
    if not Path(source).is_file() or Path(source).suffix in (".json", ".npz"):
        return None
    track = measure_video(Path(source), (0.0, 0.2), FaceLandmarker(), TrackPolicy(), lambda *_: None).track
    return track[0, :3].round(1).tolist()


def film_row(
    talker: Talker,
    words: argparse.Namespace,
    what: tuple[Path, dict[str, float]],
    tools: tuple[SyncJudge, FaceLandmarker],
) -> dict[str, Any]:
    """Makes and measures one film."""
    path, asked = what
    pose = ",".join(f"{name}={value}" for name, value in asked.items())
    film = talker.animate(path, words.audio, pose=pose, end=words.seconds, turn=words.turn)
    frames = list(film.frames)
    track = track_face(frames, tools[1], path.name, TrackPolicy(smoothed=False))
    angles = angles_deg(head_pose(track.meshes).rotation.astype(np.float64)).mean(axis=0)
    score = tools[0].score(mouth_crops(frames, track.meshes), lips_shape(track.meshes), mel_windows(film.mel))
    wanted = np.array([asked.get(axis, 0.0) for axis in AXES])
    assert film.head_track is not None
    return {
        "picture": path.name,
        "asked": wanted.tolist(),
        "taken": film.head_track[0, :3].round(1).tolist(),
        "made": angles.round(1).tolist(),
        "likeness": round(score.cosine, 4),
        "confidence": round(score.confidence, 4),
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Mean errors along the axis that was asked, and how much the lips' likeness to the speech changes."""
    asked, made = (np.array([row[name] for row in rows]) for name in ("asked", "made"))
    turned = np.array([np.argmax(np.abs(row)) if np.abs(row).any() else -1 for row in asked])
    errors = {
        axis: round(float(np.abs(made - asked)[(turned == n) | (turned == -1), n].mean()), 2)
        for n, axis in enumerate(AXES)
        if ((turned == n) | (turned == -1)).any()
    }
    ahead = [row["likeness"] for row, axis in zip(rows, turned, strict=True) if axis < 0]
    away = [row["likeness"] for row, axis in zip(rows, turned, strict=True) if axis >= 0]
    by_step = {
        f"{AXES[axis]} {value:g}": round(float(made[(turned == axis) & (asked[:, axis] == value), axis].mean()), 1)
        for axis in range(3)
        for value in sorted(set(asked[turned == axis, axis].tolist()))
    }
    lips = {"ahead": round(float(np.mean(ahead)), 4), "turned": round(float(np.mean(away)), 4) if away else None}
    return {"mean_error_deg": errors, "made_deg": by_step, "sync_likeness": lips}


if __name__ == "__main__":
    main()
