"""Measures how well `animate` follows a pose video that has been damaged in one of seven ways.

    python benchmarks/measure_faults.py PICTURE --film HEAD --other OTHER_HEAD --audio SPEECH --out FOLDER

The damages: a fifth of the frames blank (with each `--missing` policy), a second person beside the first, a cut to
another person, 12 and 59.94 frames a second, a variable frame rate, and frames stored sideways with a rotation tag, as
telephones do. FOLDER gets the `--report` and a strip of frames of each, and faults.json: the head angles of the film
compared with those of a film that follows the undamaged video.
"""

import argparse
import json
import logging
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import cv2
import numpy as np

from pcavs.animate.film import Film
from pcavs.animate.load import load_talker
from pcavs.animate.run import write_report
from pcavs.animate.talker import Talker
from pcavs.errors import FaceError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import angles_deg, head_pose
from pcavs.face.track import TrackPolicy, track_face
from pcavs.media.video import read_frames
from pcavs.types import Picture

_LENGTH_S: Final = 4.0
"""Part of the pose video that is used."""
_RATE_HZ: Final = 25
_SIDE_PX: Final = 384
"""Side of the damaged videos."""
_MAX_SIDE_PX: Final = 1280
"""Larger input videos are reduced to this when they are read."""
_NUM_TILES: Final = 8
"""Frames of a film in its strip."""
_POLICIES: Final = ("interpolate", "hold", "skip", "fail")
_BLANK_GREY: Final = 90
_BLANK_SHARE: Final = 5
"""One frame in five is blank."""
_SECOND_PERSON_SCALE: Final = 0.75
"""Size of the second person beside the first, who must stay the largest face."""
_STEPS_S: Final = (0.01, 0.04, 0.09)
"""Times between frames of the video with a variable frame rate; drawn at random."""
_PADDING_PX: Final = 128
"""Rows below the picture that make the sideways video higher than wide."""
_CLOCK: Final = Fraction(1, 60_000)
"""Time base of the videos: fine enough for 59.94 frames a second."""

TimedFrame = tuple[float, Picture]
"""A frame and its time in seconds."""


def main() -> None:
    """Makes the videos and films, and prints a line of JSON for each."""
    logging.basicConfig(level=logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--weights", type=Path)
    for name in ("film", "other", "audio", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    talker, landmarker = load_talker(args.weights, "auto"), FaceLandmarker()
    frames, others = (
        [square(frame) for frame in read_frames(path, 0.0, _LENGTH_S, _MAX_SIDE_PX)] for path in (args.film, args.other)
    )
    whole = write_video(args.out / "whole.mp4", at_rate(frames, _RATE_HZ))
    expected, _ = followed(talker, args, whole, {}, landmarker)
    rows = []
    for name, path, settings in damaged(args.out, frames, others):
        try:
            angles, film = followed(talker, args, path, settings, landmarker)
        except FaceError as error:
            rows.append({"film": name, "refused": str(error)})
        else:
            write_report(film, args.out / f"{name}.json")
            count = min(len(angles), len(expected))
            error = np.abs(angles[:count] - expected[:count])
            report = film.faces[0].to_json()
            counts = {key: report[key] for key in ("frames", "found", "faces", "chosen", "cuts")}
            step = float(np.abs(np.diff(angles, axis=0)).max())
            error_deg = error.mean(axis=0).round(2).tolist()
            rows.append({"film": name, "error_deg": error_deg, "largest_step_deg": round(step, 2), **counts})
        print(json.dumps(rows[-1]), flush=True)
        (args.out / "faults.json").write_text(json.dumps(rows, indent=1))


def damaged(out: Path, frames: list[Picture], others: list[Picture]) -> Iterable[tuple[str, Path, dict[str, Any]]]:
    """Writes the damaged videos; yields name, path, and settings for `animate`."""
    grey = np.full_like(frames[0], _BLANK_GREY)
    blank = np.random.default_rng(0).permutation(len(frames))[: len(frames) // _BLANK_SHARE]
    gaps = [grey if t in blank else frame for t, frame in enumerate(frames)]
    with_gaps = write_video(out / "blank.mp4", at_rate(gaps, _RATE_HZ))
    for policy in _POLICIES:
        yield f"blank-{policy}", with_gaps, {"missing": policy}
    scale = _SECOND_PERSON_SCALE
    small = [cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) for frame in others]
    below = grey[: _SIDE_PX - len(small[0]), : small[0].shape[1]]
    beside = [np.hstack([frame, np.vstack([one, below])]) for frame, one in zip(frames, small, strict=False)]
    two = write_video(out / "two.mp4", at_rate(beside, _RATE_HZ))
    yield "two-largest", two, {}
    yield "two-left", two, {"pose_face": "left"}
    half = len(frames) // 2
    yield "cut", write_video(out / "cut.mp4", at_rate([*frames[:half], *others[half:]], _RATE_HZ)), {}
    yield "12-fps", write_video(out / "12.mp4", at_rate(frames, 12)), {}
    yield "59.94-fps", write_video(out / "59.mp4", at_rate(frames, 60000 / 1001)), {}
    steps = np.random.default_rng(1).choice(_STEPS_S, 200).cumsum()
    times = [time for time in (0.0, *steps) if time < _LENGTH_S]
    variable = [(time, frames[min(int(time * _RATE_HZ + 0.5), len(frames) - 1)]) for time in times]
    yield "variable-rate", write_video(out / "variable.mp4", variable), {}
    tall = [np.vstack([frame, grey[:_PADDING_PX]]) for frame in frames]
    sideways = [np.rot90(frame, -1) for frame in tall]
    yield "sideways", write_video(out / "sideways.mp4", at_rate(sideways, _RATE_HZ), 90), {}


def followed(
    talker: Talker, args: argparse.Namespace, pose: Path, settings: dict[str, Any], landmarker: FaceLandmarker
) -> tuple[np.ndarray, Film]:
    """Makes a film that follows a video, writes a strip of it, and returns its head angles and the film."""
    film = talker.animate(args.picture, args.audio, pose=pose, end=_LENGTH_S, **settings)
    frames = list(film.frames)
    tiles = [frames[t] for t in np.linspace(0, len(frames) - 1, _NUM_TILES).astype(int)]
    name = "-".join([pose.stem, *settings.values()])
    cv2.imwrite(str(args.out / f"{name}.png"), np.hstack(tiles)[:, :, ::-1])
    track = track_face(frames, landmarker, name, TrackPolicy(smoothed=True))
    return angles_deg(head_pose(track.meshes).rotation.astype(np.float64)), film


def at_rate(frames: list[Picture], rate_hz: float) -> list[TimedFrame]:
    """Resamples frames from 25 a second to another rate, each the nearest in time."""
    count = int(len(frames) / _RATE_HZ * rate_hz)
    return [(t / rate_hz, frames[min(int(t / rate_hz * _RATE_HZ + 0.5), len(frames) - 1)]) for t in range(count)]


def square(frame: Picture) -> Picture:
    """Crops the middle square and resizes it to `_SIDE_PX`."""
    side = min(frame.shape[:2])
    top, left = ((length - side) // 2 for length in frame.shape[:2])
    middle = frame[top : top + side, left : left + side]
    return np.asarray(cv2.resize(middle, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)


def write_video(path: Path, frames: list[TimedFrame], rotation_deg: int = 0) -> Path:
    """Writes frames at their times, with a display rotation that players apply."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=60, options={"crf": "16"})
        stream.height, stream.width = frames[0][1].shape[:2]
        stream.pix_fmt, stream.time_base, stream.codec_context.time_base = "yuv420p", _CLOCK, _CLOCK
        stream.set_display_rotation(rotation_deg)
        for time, picture in frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = round(time / _CLOCK), _CLOCK
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    main()
