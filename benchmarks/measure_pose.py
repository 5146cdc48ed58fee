"""Measures how far heads turn for the degrees that are requested, and fits the map that corrects the difference.

    python benchmarks/measure_pose.py fit PICTURE... --out pose.json
    python benchmarks/measure_pose.py check PICTURE... --audio SPEECH --out check.json
    python benchmarks/measure_pose.py follow PICTURE --pose POSE --audio SPEECH --out curves.png
    python benchmarks/measure_pose.py relative PICTURE... --sources VIDEO... --audio SPEECH --out relative.json

`fit` renders each picture with its mouth unchanged and its head turned about one axis at a time, measures every frame
with the face tracker, and writes a pose map. With `--turn network`, the map belongs beside the weights as pose.json
(docs/formats.md); with `--turn depth`, it shows what `ROTATION_GAIN` of head/warp.py has to be.

`check` makes a film of one second for each picture and pose, as `pcavs animate --pose yaw=..,pitch=..,roll=..` does,
and writes requested and measured degrees and the sync judge's scores.

`follow` makes a film of a pose source and draws requested and measured degrees over time.

`relative` makes a film of 0.2 seconds for each picture and pose source with `--relative`, and compares the pose of its
first frame with the picture's: they should be equal.
"""

import argparse
import json
import logging
import sys
from pathlib import Path
from typing import Any, Final, get_args

import cv2
import numpy as np

from pcavs.animate.controls import Controls
from pcavs.animate.head_motion import own_row
from pcavs.animate.identity import Identity, read_identity
from pcavs.animate.load import load_talker
from pcavs.animate.options import FilmOptions, Turn
from pcavs.animate.renderer import DepthRenderer, Renderer, make_renderer
from pcavs.animate.talker import Talker
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

_STEPS_DEG: Final = np.array([-50.0, -40, -30, -20, -10, 0, 10, 20, 30, 40, 50])
"""Turns about each axis that `fit` measures."""
_RELATIVE_S: Final = 0.2
"""Length of the films of `relative`: only the first frame is measured."""
_POSES: Final[tuple[dict[str, float], ...]] = (
    *({"yaw": yaw} for yaw in (0, -30, -20, -10, 10, 20, 30)),
    *({"pitch": pitch} for pitch in (-15, 15)),
    *({"roll": roll} for roll in (-15, 15)),
)
"""Poses in degrees that `check` requests."""


def main() -> None:
    """Runs the command line."""
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
    args = parser.parse_args()
    talker = load_talker(args.weights, "auto")
    if args.what == "fit":
        fit(talker, args.pictures, args.out, args.turn)
    elif args.what == "follow":
        follow(talker, args)
    elif args.what == "relative":
        relative(talker, args)
    else:
        check(talker, args)


def fit(talker: Talker, pictures: list[Path], out: Path, turn: Turn) -> None:
    """Fits and saves the pose map, and prints it."""
    turns = []
    for path in pictures:
        try:
            turns.append(turned(talker, path, turn))
        except FaceError as error:
            print(f"skipped: {error}", file=sys.stderr)
            continue
        reached = (f"{AXES[n]} {turns[-1][0, n, n]:.0f}..{turns[-1][-1, n, n]:.0f}" for n in range(3))
        print(path.name, *reached, flush=True)
    poses = fit_map(_STEPS_DEG, np.stack(turns), f"{len(turns)} pictures, their own mouths, one axis at a time")
    save_map(poses, talker.digest, out)
    print("requested; yaw, pitch, roll measured when yaw turns; when pitch turns; when roll turns; error")
    print(np.column_stack([poses.code_deg, poses.face_deg.reshape(-1, 9), poses.error_deg]).round(1))


def turned(talker: Talker, path: Path, turn: Turn) -> np.ndarray:
    """Returns the measured turns of one picture in degrees.

    Returns:
        (steps, requested axis, measured axis); NaN where no face is found.
    """
    options = FilmOptions(identity=path, audio=path)
    identity = read_identity(path, talker.runtime.spec.sizes.picture_px, talker.face_reader(options))
    landmarker = FaceLandmarker()
    degrees = np.full((len(_STEPS_DEG), 3, 3), np.nan)
    renderer = make_renderer(talker.runtime, identity, turn, segmenter=talker.segmenter)
    base = measured(frame(renderer, identity, np.zeros(3)), landmarker)
    for axis in range(3):
        for row, step in enumerate(_STEPS_DEG):
            angles = np.zeros(3)
            angles[axis] = step
            try:
                degrees[row, axis] = measured(frame(renderer, identity, angles), landmarker) - base
            except FaceError:
                continue
    return degrees


def frame(renderer: Renderer, identity: Identity, angles: np.ndarray) -> Picture:
    """Renders a picture with its mouth unchanged and its head turned by yaw, pitch and roll in degrees."""
    if isinstance(renderer, DepthRenderer):
        pose = own_row(identity) + np.append(angles, np.zeros(3))
    else:
        own = identity.codes.pose
        start = code_angles(own)
        pose = own.copy()
        pose[:9] += (rotation_from_angles((start + angles)[None]) - rotation_from_angles(start[None])).reshape(9)
    return renderer.frame(Controls(identity.codes.content, pose))


def measured(picture: Picture, landmarker: FaceLandmarker) -> np.ndarray:
    """Returns yaw, pitch and roll in degrees, measured with the face tracker."""
    track = track_picture(picture, landmarker, "frame", TrackPolicy(smoothed=False))
    return angles_deg(head_pose(track.meshes).rotation.astype(np.float64))[0]


def check(talker: Talker, args: argparse.Namespace) -> None:
    """Makes a film of every picture and pose, and writes requested and measured degrees."""
    judge, landmarker = SyncJudge(), FaceLandmarker()
    rows: list[dict[str, Any]] = []
    for path in args.pictures:
        for pose in _POSES:
            try:
                rows.append(film_row(talker, args, (path, pose), (judge, landmarker)))
            except FaceError as error:
                print(f"skipped: {path.name} {pose}: {error}", file=sys.stderr)
                continue
            print(json.dumps(rows[-1]), flush=True)
            args.out.write_text(json.dumps({"weights": talker.digest, "rows": rows, **summary(rows)}, indent=1))
    print(json.dumps(summary(rows), indent=1))


def follow(talker: Talker, args: argparse.Namespace) -> None:
    """Draws requested and measured degrees over a film, and prints their largest steps and their agreement."""
    film = talker.animate(args.pictures[0], args.audio, pose=args.pose, turn=args.turn)
    assert film.head_track is not None
    track = track_face(film.frames, FaceLandmarker(), "film", TrackPolicy(smoothed=True))
    shown = angles_deg(head_pose(track.meshes).rotation.astype(np.float64))
    requested = film.head_track[:, :3]
    curves = {"requested": requested, "measured": shown}
    cv2.imwrite(str(args.out), draw_curves(curves)[:, :, ::-1])
    for name, curve in curves.items():
        print(name, "largest step between frames:", np.abs(np.diff(curve, axis=0)).max(axis=0).round(2))
    error = shown - requested
    print("mean difference:", np.abs(error).mean(axis=0).round(2), "first frame:", error[0].round(2))
    print("correlation:", [round(float(np.corrcoef(requested[:, n], shown[:, n])[0, 1]), 3) for n in range(3)])


def relative(talker: Talker, args: argparse.Namespace) -> None:
    """Writes the difference between the first frame's pose and the picture's, for every picture and pose source."""
    landmarker = FaceLandmarker()
    rows: list[dict[str, Any]] = []
    for picture in args.pictures:
        for source in args.sources:
            film = talker.animate(picture, args.audio, pose=source, relative=True, end=_RELATIVE_S, turn=args.turn)
            own = measured(film.identity.picture, landmarker)
            error = measured(next(iter(film.frames)), landmarker) - own
            rows.append(
                {
                    "picture": picture.name,
                    "source": Path(source).name,
                    "own": own.round(1).tolist(),
                    "source_begins": first_pose(source),
                    "error_deg": error.round(2).tolist(),
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    error = np.abs([row["error_deg"] for row in rows])
    totals = {"mean": error.mean(axis=0).round(2).tolist(), "largest": error.max(axis=0).round(2).tolist()}
    args.out.write_text(json.dumps({"weights": talker.digest, "rows": rows, **totals}, indent=1))
    print(json.dumps(totals))


def first_pose(source: str) -> list[float] | None:
    """Returns yaw, pitch and roll at the start of a pose video; None for a pose source that is not a video."""
    if not Path(source).is_file() or Path(source).suffix in (".json", ".npz"):
        return None
    track = measure_video(Path(source), (0.0, _RELATIVE_S), FaceLandmarker(), TrackPolicy(), lambda *_: None).track
    return track[0, :3].round(1).tolist()


def film_row(
    talker: Talker,
    args: argparse.Namespace,
    case: tuple[Path, dict[str, float]],
    tools: tuple[SyncJudge, FaceLandmarker],
) -> dict[str, Any]:
    """Makes and measures the film of one picture and pose."""
    path, pose = case
    text = ",".join(f"{name}={value}" for name, value in pose.items())
    film = talker.animate(path, args.audio, pose=text, end=args.seconds, turn=args.turn)
    frames = list(film.frames)
    track = track_face(frames, tools[1], path.name, TrackPolicy(smoothed=False))
    angles = angles_deg(head_pose(track.meshes).rotation.astype(np.float64)).mean(axis=0)
    score = tools[0].score(mouth_crops(frames, track.meshes), lips_shape(track.meshes), mel_windows(film.scene.mel))
    requested = np.array([pose.get(axis, 0.0) for axis in AXES])
    assert film.head_track is not None
    return {
        "picture": path.name,
        "requested": requested.tolist(),
        "limited": film.head_track[0, :3].round(1).tolist(),
        "measured": angles.round(1).tolist(),
        "cosine": round(score.cosine, 4),
        "confidence": round(score.confidence, 4),
    }


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns mean errors along the requested axis, mean measured degrees, and the sync judge's cosine."""
    requested, shown = (np.array([row[name] for row in rows]) for name in ("requested", "measured"))
    axis_of = np.array([np.argmax(np.abs(row)) if np.abs(row).any() else -1 for row in requested])  # -1: frontal
    errors = {
        axis: round(float(np.abs(shown - requested)[(axis_of == n) | (axis_of == -1), n].mean()), 2)
        for n, axis in enumerate(AXES)
        if ((axis_of == n) | (axis_of == -1)).any()
    }
    frontal = [row["cosine"] for row, axis in zip(rows, axis_of, strict=True) if axis < 0]
    turned = [row["cosine"] for row, axis in zip(rows, axis_of, strict=True) if axis >= 0]
    by_step = {
        f"{AXES[n]} {value:g}": round(float(shown[(axis_of == n) & (requested[:, n] == value), n].mean()), 1)
        for n in range(3)
        for value in sorted(set(requested[axis_of == n, n].tolist()))
    }
    cosine = {
        "frontal": round(float(np.mean(frontal)), 4),
        "turned": round(float(np.mean(turned)), 4) if turned else None,
    }
    return {"mean_error_deg": errors, "measured_deg": by_step, "sync_cosine": cosine}


if __name__ == "__main__":
    main()
