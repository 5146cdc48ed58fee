"""Measures how sharp a turned face stays, as a share of the photograph's own sharpness.

    python benchmarks/measure_sharpness.py PICTURE... [--size 512] [--weights FOLDER] [--sheet sheet.png]

Each picture is turned to both sides, its mouth as it is, three ways: as a solid (the default), by the talker alone,
and by the talker at its own size, enlarged afterwards (plain upsampling). Sharpness is the spread of the Laplacian
inside of the face's outline, the lips and what is near to them left out, in crops of one size; landmarks are found anew
in each frame. Prints means over the pictures.
"""

import argparse
import logging
from pathlib import Path

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

_YAWS = (-30.0, -20.0, -10.0, 0.0, 10.0, 20.0, 30.0)
_WAYS = ("depth", "network", "enlarged")
_TILE_PX = 300


def main() -> None:
    """Reads the command line, measures, prints."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--sheet", type=Path)
    words = parser.parse_args()
    talker = load_talker(words.weights, "auto")
    shares, rows = [], []
    for path in words.pictures:
        frames = {way: turned(talker, path, words.size, way) for way in _WAYS}
        own = sharpness(talker, read(talker, path, words.size).picture)
        shares.append([[sharpness(talker, frame) / own for frame in frames[way]] for way in _WAYS])
        rows += [np.hstack([_tile(frame) for frame in frames[way]]) for way in _WAYS]
        logger.info("%s: own sharpness %.2f, %s", path.name, own, np.round(shares[-1], 2).tolist())
    means = np.nanmean(np.array(shares), axis=0)
    logger.info("share of the photograph's own sharpness at %d px, %d pictures", words.size, len(shares))
    logger.info("yaw       %s", "  ".join(f"{yaw:5.0f}" for yaw in _YAWS))
    for way, row in zip(_WAYS, means, strict=True):
        logger.info("%-9s %s", way, "  ".join(f"{share:5.2f}" for share in row))
    if words.sheet:
        cv2.imwrite(str(words.sheet), np.vstack(rows)[:, :, ::-1])


def read(talker: Talker, path: Path, size: int) -> Identity:
    """Reads a picture as a film of that size would."""
    return read_identity(path, size, talker.face_reader(FilmOptions(identity=path)))


def turned(talker: Talker, path: Path, size: int, way: str) -> list[Picture]:
    """Turns a picture to every yaw; its own content keeps the mouth as it is."""
    made = talker.runtime.spec.sizes.frame_px if way == "enlarged" else size
    identity = read(talker, path, made)
    track = np.zeros((len(_YAWS), 6))
    track[:, 0] = _YAWS
    motion = depth_motion(track, identity) if way == "depth" else network_motion(track, identity, plain_map())
    renderer = make_renderer(
        talker.runtime, identity, "depth" if way == "depth" else "network", segmenter=talker.segmenter
    )
    frames = [renderer.frame(Controls(identity.codes.content, pose)) for pose in motion.poses]
    return [
        cv2.resize(frame, (size, size), interpolation=cv2.INTER_CUBIC) if made < size else frame for frame in frames
    ]


def sharpness(talker: Talker, frame: Picture) -> float:
    """Spread of the Laplacian on the face without its mouth; NaN where no face is found."""
    try:
        track = track_picture(
            frame, talker.face_reader(FilmOptions(identity=Path())).landmarker, "a frame", TrackPolicy()
        )
    except FaceError:
        return float("nan")
    return laplacian_std(frame, skin(track.meshes[0], frame.shape[0]))


def skin(mesh: Mesh, size: int) -> np.ndarray:
    """Inside of the face's outline, but for its rim and the mouth's surroundings."""
    mask, mouth = np.zeros((size, size), np.uint8), np.zeros((size, size), np.uint8)
    cv2.fillPoly(mask, [np.rint(mesh[list(FACE_OVAL), :2]).astype(np.int32)], 1)
    cv2.fillPoly(mouth, [np.rint(mesh[list(OUTER_LIPS), :2]).astype(np.int32)], 1)
    rim, near = (np.ones((2 * (size // share) + 1,) * 2, np.uint8) for share in (64, 32))
    return (cv2.erode(mask, rim) > 0) & (cv2.dilate(mouth, near) == 0)


def _tile(frame: Picture) -> Picture:
    return cv2.resize(frame, (_TILE_PX, _TILE_PX), interpolation=cv2.INTER_AREA)


if __name__ == "__main__":
    main()
