"""Makes heads faster to render, without a visible difference in frames of 256 px; used by convert_avatars.py."""

from pathlib import Path
from typing import Final

import cv2
import meshoptimizer
import numpy as np

from pcavs.synth.avatars import load_avatar
from pcavs.synth.visibility import visible_triangles

TEXTURE_PX: Final = 1024
"""Largest side of a texture; a frame of 256 px shows the face at a third of this resolution."""

_TEXTURE_QUALITY: Final = 95
"""WebP quality of textures."""

_MAX_ERROR: Final = 0.01
"""Largest deviation of a simplified mesh, as a fraction of its size. Tuned by hand."""

_LOCK_BORDER: Final = 1
"""meshoptimizer's option that keeps the border of the surface."""


def simplify_mesh(positions: np.ndarray, indices: np.ndarray, share: float) -> np.ndarray:
    """Returns about a share of the triangles, without moving vertices; the border of the surface is kept.

    Args:
        positions: (vertices, 3), metres.
        indices: (triangles, 3).
        share: Fraction of the triangles to keep, 0 to 1.
    """
    target = np.zeros(indices.size, np.uint32)
    count = meshoptimizer.simplify(
        target,
        np.ascontiguousarray(indices.reshape(-1), np.uint32),
        np.ascontiguousarray(positions, np.float32),
        target_index_count=int(len(indices) * share) * 3,
        target_error=_MAX_ERROR,
        options=_LOCK_BORDER,
    )
    return target[:count].reshape(-1, 3).astype(np.int64)


def drop_hidden(arrays: dict[str, np.ndarray], stored: Path) -> dict[str, np.ndarray]:
    """Drops the triangles that no clip can show, and the vertices that no remaining triangle uses.

    Args:
        arrays: A converted head.
        stored: The same head as a file that `pcavs.synth` can load.
    """
    order = np.argsort(arrays["triangle_textures"], kind="stable")
    kept = np.sort(order[visible_triangles(load_avatar(stored))])
    used, triangles = np.unique(arrays["triangles"][kept], return_inverse=True)
    place = np.full(len(arrays["positions"]), -1, np.int64)
    place[used] = np.arange(len(used))
    vertices = place[arrays["morph_vertices"]]
    is_used = vertices >= 0
    by_vertex = {name: arrays[name][used] for name in ("positions", "normals", "uvs", "bones", "parts")}
    by_morph = {name: arrays[name][is_used] for name in ("morph_deltas", "morph_normals")}
    return (
        arrays
        | by_vertex
        | by_morph
        | {
            "triangles": triangles.reshape(-1, 3).astype(np.uint32),
            "triangle_textures": arrays["triangle_textures"][kept],
            "morph_starts": np.concatenate([[0], np.cumsum(is_used)])[arrays["morph_starts"]],
            "morph_vertices": vertices[is_used].astype(np.uint32),
        }
    )


def shrink_texture(picture: np.ndarray) -> np.ndarray:
    """Halves an encoded picture until its height is at most `TEXTURE_PX`; returns it as WebP."""
    pixels = cv2.imdecode(picture, cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise SystemExit("a texture cannot be decoded; save it as WebP, PNG or JPEG")
    while pixels.shape[0] > TEXTURE_PX:
        pixels = cv2.resize(pixels, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return cv2.imencode(".webp", pixels, (cv2.IMWRITE_WEBP_QUALITY, _TEXTURE_QUALITY))[1]
