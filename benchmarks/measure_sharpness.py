"""Measures the sharpness of turned faces, as a fraction of the photograph's sharpness.

    python benchmarks/measure_sharpness.py PICTURE... [--size 512] [--weights FOLDER] [--sheet sheet.png]

Each picture is turned to both sides with its mouth unchanged, in three ways: by depth (the default), by the network,
and by the network at its own size, enlarged afterwards with bicubic upsampling. Sharpness is the standard deviation of
the Laplacian inside the face's outline without the lips and their surroundings, in crops of the same size; landmarks
are detected in each frame. Prints means over the pictures.
"""

import argparse
import logging
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from pcavs.animate.controls import Controls
from pcavs.animate.head_motion import depth_motion, network_motion
from pcavs.animate.identity import Identity, read_identity
from pcavs.animate.options import FilmOptions
from pcavs.animate.renderer import make_renderer
from pcavs.animate.talker import Talker, load_talker
from pcavs.errors import FaceError
from pcavs.face.regions import FACE_OVAL, OUTER_LIPS
from pcavs.face.track import TrackPolicy, track_picture
from pcavs.metrics.image import laplacian_std
from pcavs.pose.calibration import plain_map
from pcavs.types import Mesh, Picture

logger = logging.getLogger("measure_sharpness")

_YAWS_DEG: Final = (-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0)
_WAYS: Final = ("depth", "network", "enlarged")
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
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    talker = load_talker(args.weights, "auto")
    shares, rows = [], []
    for path in args.pictures:
        frames = {way: turned(talker, path, args.size, way) for way in _WAYS}
        own = sharpness(talker, read(talker, path, args.size).picture)
        shares.append([[sharpness(talker, frame) / own for frame in frames[way]] for way in _WAYS])
        rows += [np.hstack([_tile(frame) for frame in frames[way]]) for way in _WAYS]
        logger.info("%s: own sharpness %.2f, %s", path.name, own, np.round(shares[-1], 2).tolist())
    means = np.nanmean(np.array(shares), axis=0)
    logger.info("sharpness at %d px as a fraction of the photograph's, %d pictures", args.size, len(shares))
    logger.info("yaw       %s", "  ".join(f"{yaw:5.0f}" for yaw in _YAWS_DEG))
    for way, row in zip(_WAYS, means, strict=True):
        logger.info("%-9s %s", way, "  ".join(f"{share:5.2f}" for share in row))
    if args.sheet:
        cv2.imwrite(str(args.sheet), np.vstack(rows)[:, :, ::-1])


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


def sharpness(talker: Talker, frame: Picture) -> float:
    """Returns the standard deviation of the Laplacian on the face without its mouth; NaN where no face is found."""
    landmarker = talker.face_reader(FilmOptions(identity=Path())).landmarker
    try:
        track = track_picture(frame, landmarker, "a frame", TrackPolicy())
    except FaceError:
        return float("nan")
    return laplacian_std(frame, skin(track.meshes[0], frame.shape[0]))


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
