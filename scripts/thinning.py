"""Makes heads cheaper to draw without a difference that a portrait of 256 px shows; for convert_avatars.py."""

from pathlib import Path

import cv2
import meshoptimizer
import numpy as np

from pcavs.synth.avatars import load_avatar
from pcavs.synth.visibility import visible_triangles

TEXTURE_PX = 1024
"""A portrait of 256 px shows the face at a third of this sharpness; the files' 2048 px cost time a clip, unseen."""
_LOCK_BORDER = 1


def simplified(positions: np.ndarray, indices: np.ndarray, share: float) -> np.ndarray:
    """Joins neighbouring triangles until about a share of them is left; edges of the surface stay.

    Args:
        positions: (vertices, 3), metres.
        indices: (triangles, 3).
        share: 0 to 1.
    """
    target = np.zeros(indices.size, np.uint32)
    count = meshoptimizer.simplify(
        target,
        np.ascontiguousarray(indices.reshape(-1), np.uint32),
        np.ascontiguousarray(positions, np.float32),
        target_index_count=int(len(indices) * share) * 3,
        target_error=0.01,
        options=_LOCK_BORDER,
    )
    return target[:count].reshape(-1, 3).astype(np.int64)


def pruned(arrays: dict[str, np.ndarray], stored: Path) -> dict[str, np.ndarray]:
    """Drops the triangles that no film shows, and the vertices that are then left without any.

    Args:
        arrays: A converted head.
        stored: The same, as a file that `pcavs.synth` can load.
    """
    order = np.argsort(arrays["triangle_textures"], kind="stable")
    kept = np.sort(order[visible_triangles(load_avatar(stored))])
    used, triangles = np.unique(arrays["triangles"][kept], return_inverse=True)
    place = np.full(len(arrays["positions"]), -1, np.int64)
    place[used] = np.arange(len(used))
    moved = place[arrays["morph_vertices"]]
    left = moved >= 0
    by_vertex = {name: arrays[name][used] for name in ("positions", "normals", "uvs", "bones", "parts")}
    by_morph = {name: arrays[name][left] for name in ("morph_deltas", "morph_normals")}
    return (
        arrays
        | by_vertex
        | by_morph
        | {
            "triangles": triangles.reshape(-1, 3).astype(np.uint32),
            "triangle_textures": arrays["triangle_textures"][kept],
            "morph_starts": np.concatenate([[0], np.cumsum(left)])[arrays["morph_starts"]],
            "morph_vertices": moved[left].astype(np.uint32),
        }
    )


def smaller(picture: np.ndarray) -> np.ndarray:
    """Halves an encoded picture until it is no larger than a thinned head needs; returns it as WebP."""
    pixels = cv2.imdecode(picture, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise SystemExit("a colour picture does not decode; is it WebP, PNG or JPEG?")
    while pixels.shape[0] > TEXTURE_PX:
        pixels = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".webp", pixels, (cv2.IMWRITE_WEBP_QUALITY, 95))[1]
