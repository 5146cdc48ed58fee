"""Compares turned heads: how far they turn, how like the photograph's person they look, and how sharp they are.

    python benchmarks/measure_turns.py PICTURE... [--size 512] [--weights FOLDER] [--judges J] [--sheets FOLDER]

Each picture is turned to both sides with its mouth unchanged, in three ways: by depth (the default), by the network,
and by the network at its own size, enlarged afterwards with bicubic upsampling. Prints means over the pictures of

- the yaw in degrees that the face tracker measures (0 is frontal),
- the cosine of the identity network's embedding (JUDGES/faceres-deep, where it is present) with the photograph's, and
- sharpness as a fraction of the photograph's: the standard deviation of the Laplacian inside the face's outline,
  without the lips and their surroundings, in crops of the same size.

SHEETS gets a contact sheet of each picture, and `pairs.png` with each picture at 20 degrees by depth and by the
network, left and right at random, as answers.json says.
"""

import argparse
import logging
import math
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np

from pcavs.animate.controls import Controls
from pcavs.animate.head_motion import depth_motion, network_motion
from pcavs.animate.identity import Identity, read_identity
from pcavs.animate.load import load_talker
from pcavs.animate.options import FilmOptions
from pcavs.animate.renderer import make_renderer
from pcavs.animate.talker import Talker
from pcavs.errors import FaceError
from pcavs.evaluate.observe import identity_embeddings, observe_landmarks
from pcavs.face.regions import FACE_OVAL, OUTER_LIPS
from pcavs.face.track import TrackPolicy, track_picture
from pcavs.media.files import write_json
from pcavs.metrics.identity import Embedding, FaceEmbedder, find_embedders, mean_cosine
from pcavs.metrics.image import laplacian_std
from pcavs.pose.calibration import plain_map
from pcavs.types import Mesh, Picture

logger = logging.getLogger("measure_turns")

_YAWS_DEG: Final = (-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0)
_WAYS: Final = ("depth", "network", "enlarged")
_SCORES: Final = ("yaw", "cosine", "sharpness")
_PAIR_YAW_DEG: Final = 20.0
"""Yaw of the pairs for a blind comparison, to a random side."""
_EVEN: Final = 0.5
_RIM_PART: Final = 64
"""The measured area ends this part of the side (1 / 64) inside the face's outline."""
_MOUTH_PART: Final = 32
"""The measured area keeps this part of the side (1 / 32) away from the lips."""
_TILE_PX: Final = 300
"""Side of a frame in the sheet."""


def main() -> None:
    """Runs the command line."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--judges", type=Path, default=Path("~/.cache/pcavs/judges"))
    parser.add_argument("--sheets", type=Path)
    args = parser.parse_args()
    talker = load_talker(args.weights, "auto")
    embedders = find_embedders(args.judges.expanduser())
    random = np.random.default_rng(0)
    scores: dict[str, list[np.ndarray]] = {way: [] for way in _WAYS}
    pairs, answers = [], {}
    for path in args.pictures:
        frames = {way: turned(talker, path, args.size, way) for way in _WAYS}
        own = measure(talker, read(talker, path, args.size).picture, embedders)
        if own is None:
            logger.warning("%s: no face found", path.name)
            continue
        for way in _WAYS:
            scores[way].append(np.array([compare(measure(talker, frame, embedders), own) for frame in frames[way]]))
        if args.sheets:
            args.sheets.mkdir(parents=True, exist_ok=True)
            sheet = np.vstack([np.hstack([_tile(frame) for frame in frames[way]]) for way in _WAYS])
            cv2.imwrite(str(args.sheets / f"{path.stem}.png"), sheet[:, :, ::-1])
            ways = ["depth", "network"] if random.random() < _EVEN else ["network", "depth"]
            at = _YAWS_DEG.index(float(random.choice([-_PAIR_YAW_DEG, _PAIR_YAW_DEG])))
            answers[path.stem] = ways
            pairs.append(np.hstack([_tile(frames[way][at]) for way in ways]))
    if args.sheets:
        cv2.imwrite(str(args.sheets / "pairs.png"), np.vstack(pairs)[:, :, ::-1])
        write_json(args.sheets / "answers.json", answers)
    logger.info("%d pictures at %d px", len(scores["depth"]), args.size)
    logger.info("yaw asked            %s", "  ".join(f"{yaw:6.0f}" for yaw in _YAWS_DEG))
    for number, name in enumerate(_SCORES):
        for way, rows in scores.items():
            means = np.nanmean(np.array(rows)[:, :, number], axis=0)
            logger.info("%-10s %-9s %s", name, way, "  ".join(f"{mean:6.2f}" for mean in means))


class Measured(NamedTuple):
    """What is measured of one frame."""

    yaw_deg: float
    embedding: Embedding | None
    sharpness: float


def read(talker: Talker, path: Path, size: int) -> Identity:
    """Reads a picture as `animate` does for a film of this size."""
    return read_identity(path, size, talker.face_reader(FilmOptions(identity=path)))


def turned(talker: Talker, path: Path, size: int, way: str) -> list[Picture]:
    """Renders a picture at every yaw with its mouth unchanged."""
    rendered_px = talker.runtime.spec.sizes.frame_px if way == "enlarged" else size
    identity = read(talker, path, rendered_px)
    track = np.zeros((len(_YAWS_DEG), 6))
    track[:, 0] = _YAWS_DEG
    motion = depth_motion(track, identity) if way == "depth" else network_motion(track, identity, plain_map())
    renderer = make_renderer(
        talker.runtime, identity, "depth" if way == "depth" else "network", segmenter=talker.segmenter
    )
    frames = [renderer.frame(Controls(identity.codes.content, pose)) for pose in motion.poses]
    if rendered_px >= size:
        return frames
    return [np.asarray(cv2.resize(frame, (size, size), interpolation=cv2.INTER_CUBIC), np.uint8) for frame in frames]


def measure(talker: Talker, frame: Picture, embedders: list[FaceEmbedder]) -> Measured | None:
    """Measures a frame; None where no face is found."""
    landmarker = talker.face_reader(FilmOptions(identity=Path())).landmarker
    try:
        mesh = track_picture(frame, landmarker, "a frame", TrackPolicy(smoothed=False)).meshes
    except FaceError:
        return None
    observation = observe_landmarks([frame], mesh)
    embedding = identity_embeddings(observation, embedders[0], [0])[0] if embedders else None
    return Measured(float(observation.angles_deg[0, 0]), embedding, laplacian_std(frame, skin(mesh[0], frame.shape[0])))


def compare(frame: Measured | None, own: Measured) -> tuple[float, float, float]:
    """Compares a turned frame with the photograph, in the order of `_SCORES`; NaN where there is nothing to compare."""
    if frame is None:
        return math.nan, math.nan, math.nan
    alike = math.nan
    if frame.embedding is not None and own.embedding is not None:
        alike = mean_cosine([frame.embedding], own.embedding)
    return frame.yaw_deg, alike, frame.sharpness / own.sharpness


def skin(mesh: Mesh, size: int) -> np.ndarray:
    """Returns the mask of the face without its rim and without the mouth and its surroundings."""
    mask, mouth = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.rint(mesh[list(FACE_OVAL), :2]).astype(np.int32)], 1)
    cv2.fillPoly(mouth, [np.rint(mesh[list(OUTER_LIPS), :2]).astype(np.int32)], 1)
    rim, near = (np.ones((2 * (size // share) + 1,) * 2, np.uint8) for share in (_RIM_PART, _MOUTH_PART))
    return (cv2.erode(mask, rim) > 0) & (cv2.dilate(mouth, near) == 0)


def _tile(frame: Picture) -> Picture:
    return np.asarray(cv2.resize(frame, (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_AREA), np.uint8)


if __name__ == "__main__":
    main()
