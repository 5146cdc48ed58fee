"""Damages a pose film in seven ways, borrows its motion, and tells how much of the motion arrives.

    python benchmarks/measure_faults.py PICTURE --film HEAD --other OTHER_HEAD --audio SPEECH --out FOLDER

The ways: a fifth of the frames blank (with each policy), another person beside, a cut to another person, 12 and 59.94
frames a second, a changing rate, and stored sideways as a telephone does. Of each the report of `--report` and a strip
of moments are written; the head's turns are compared with those that the whole film gives.
"""

import argparse
import json
import logging
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from pcavs.animate.film import Film
from pcavs.animate.run import write_report
from pcavs.animate.talker import Talker, load_talker
from pcavs.errors import FaceError
from pcavs.face.landmarker import FaceLandmarker
from pcavs.face.pose import angles_deg, head_pose
from pcavs.face.track import TrackPolicy, track_face
from pcavs.media.video import read_frames
from pcavs.types import Picture

_SECONDS, _RATE, _SIDE_PX, _MOMENTS = 4.0, 25, 384, 8
_POLICIES = ("interpolate", "hold", "skip", "fail")

Shown = tuple[float, Picture]
"""A frame and its time in seconds."""


def main() -> None:
    """Makes the films and prints a line each."""
    logging.basicConfig(level=logging.ERROR)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--weights", type=Path)
    for name in ("film", "other", "audio", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    words = parser.parse_args()
    words.out.mkdir(parents=True, exist_ok=True)
    talker, landmarker = load_talker(words.weights, "auto"), FaceLandmarker()
    frames, others = (
        [fitted(frame) for frame in read_frames(path, 0.0, _SECONDS, 1280)] for path in (words.film, words.other)
    )
    whole = store(words.out / "whole.mp4", at(frames, _RATE))
    wanted, _ = followed(talker, words, whole, {}, landmarker)
    rows = []
    for name, path, choices in damaged(words.out, frames, others):
        try:
            turns, film = followed(talker, words, path, choices, landmarker)
        except FaceError as error:
            rows.append({"film": name, "refused": str(error)})
        else:
            write_report(film, words.out / f"{name}.json")
            count = min(len(turns), len(wanted))
            off = np.abs(turns[:count] - wanted[:count])
            report = film.faces[0].to_json()
            counts = {key: report[key] for key in ("frames", "found", "faces", "chosen", "cuts")}
            step = float(np.abs(np.diff(turns, axis=0)).max())
            rows.append({"film": name, "off": off.mean(axis=0).round(2).tolist(), "step": round(step, 2), **counts})
        print(json.dumps(rows[-1]), flush=True)
        (words.out / "faults.json").write_text(json.dumps(rows, indent=1))


def damaged(out: Path, frames: list[Picture], others: list[Picture]) -> Iterable[tuple[str, Path, dict[str, str]]]:
    """Writes the damaged films: name, place, and settings to animate with."""
    grey = np.full_like(frames[0], 90)
    blank = np.random.default_rng(0).permutation(len(frames))[: len(frames) // 5]
    holes = store(out / "blank.mp4", at([grey if t in blank else f for t, f in enumerate(frames)], _RATE))
    for policy in _POLICIES:
        yield f"blank-{policy}", holes, {"missing": policy}
    small = [cv2.resize(frame, None, fx=0.75, fy=0.75, interpolation=cv2.INTER_AREA) for frame in others]
    below = grey[: _SIDE_PX - len(small[0]), : small[0].shape[1]]
    beside = [np.hstack([frame, np.vstack([one, below])]) for frame, one in zip(frames, small, strict=False)]
    two = store(out / "two.mp4", at(beside, _RATE))
    yield "two-largest", two, {}
    yield "two-left", two, {"pose_face": "left"}
    half = len(frames) // 2
    yield "cut", store(out / "cut.mp4", at([*frames[:half], *others[half:]], _RATE)), {}
    yield "12-fps", store(out / "12.mp4", at(frames, 12)), {}
    yield "59.94-fps", store(out / "59.mp4", at(frames, 60000 / 1001)), {}
    steps = np.random.default_rng(1).choice([0.01, 0.04, 0.09], 200).cumsum()
    odd = [(time, frames[min(int(time * _RATE + 0.5), len(frames) - 1)]) for time in (0.0, *steps) if time < _SECONDS]
    yield "changing-rate", store(out / "odd.mp4", odd), {}
    tall = [np.vstack([frame, grey[:128]]) for frame in frames]
    sideways = [np.rot90(frame, -1) for frame in tall]
    yield "telephone", store(out / "telephone.mp4", at(sideways, _RATE), 90), {}


def followed(
    talker: Talker, words: argparse.Namespace, pose: Path, choices: dict[str, str], landmarker: FaceLandmarker
) -> tuple[np.ndarray, Film]:
    """Makes a film with that motion and a strip of it, and measures its head."""
    film = talker.animate(words.picture, words.audio, pose=pose, end=_SECONDS, **choices)
    frames = list(film.frames)
    moments = [frames[t] for t in np.linspace(0, len(frames) - 1, _MOMENTS).astype(int)]
    name = "-".join([pose.stem, *choices.values()])
    cv2.imwrite(str(words.out / f"{name}.png"), np.hstack(moments)[:, :, ::-1])
    track = track_face(frames, landmarker, name, TrackPolicy(smoothed=True))
    return angles_deg(head_pose(track.meshes).rotation.astype(np.float64)), film


def at(frames: list[Picture], rate: float) -> list[Shown]:
    """Shows frames that are 25 a second at another rate, nearest in time."""
    count = int(len(frames) / _RATE * rate)
    return [(t / rate, frames[min(int(t / rate * _RATE + 0.5), len(frames) - 1)]) for t in range(count)]


def fitted(frame: Picture) -> Picture:
    """Cuts the middle square and brings it to one size."""
    side = min(frame.shape[:2])
    top, left = ((length - side) // 2 for length in frame.shape[:2])
    square = frame[top : top + side, left : left + side]
    return np.asarray(cv2.resize(square, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)


def store(path: Path, shown: list[Shown], degrees: int = 0) -> Path:
    """Writes frames at their times, with a matrix that says how the film is to be turned."""
    clock = Fraction(1, 60_000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=60, options={"crf": "16"})
        stream.height, stream.width = shown[0][1].shape[:2]
        stream.pix_fmt, stream.time_base, stream.codec_context.time_base = "yuv420p", clock, clock
        stream.set_display_rotation(degrees)
        for time, picture in shown:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = round(time / clock), clock
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


if __name__ == "__main__":
    main()
