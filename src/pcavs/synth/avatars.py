"""Reads converted heads of people who do not exist (`scripts/convert_avatars.py`), deforms them and mixes two of them.

Space is in metres, x towards the head's own left, y up, z towards the viewer; the head rests frontal.
"""

import dataclasses
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Final, TypeAlias

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8, UInt32

from pcavs.errors import InputError
from pcavs.media.archive import ARCHIVE_ERRORS

Points: TypeAlias = Float32[np.ndarray, "vertices 3"]
"""Metres, or unit normals."""
Texture: TypeAlias = UInt8[np.ndarray, "_ _ _"]
"""sRGB, with or without alpha."""

EYE_PART: Final = 1
GLAND_PART: Final = 2
MOUTH_PARTS: Final = (3, 4)
"""Lower teeth with the tongue, upper teeth."""
HAIR_PART: Final = 5

_UV_STEPS: Final = 65535
"""Steps to which texture coordinates are rounded in vertex ids."""

_FACE_CENTRE_OFFSET: Final = (0.0, 0.45, -0.2)
"""From the face's centre to the point between the eyes, in eye distances. Chosen by eye."""

_MIN_WEIGHT: Final = 1e-3
"""Smallest morph weight that is applied."""

_MIN_HEAD_WEIGHT, _MAX_MISSING = 0.5, 0.01
"""Bone weight from which on a vertex belongs to the head, and fraction of such vertices that a partner may lack."""

_HAIR_NEAR_M, _HAIR_FADE_M = 0.005, 0.02
"""Distance to the hair up to which the skull is not mixed, and distance over which mixing fades in. Chosen by eye: a
larger skull would show through the hair."""

_HAIR_STRIDE: Final = 2
"""Stride: every second vertex of the hair is used to measure distances, for speed."""

_DISTANCE_ROWS: Final = 1000
"""Vertices whose distances are computed at a time, to bound memory."""

_SKIN_DILATION_PX, _SKIN_BLUR_PX = 5, 6
"""Side of the square by which the mask of the mixed skin is dilated, and standard deviation of its blur. Chosen by
eye."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Avatar:
    """One head: geometry, morph targets and textures.

    The vertices that any morph moves come first, `num_moving` of them, so that only those are computed and uploaded
    for each frame.
    """

    name: str
    positions: Points
    normals: Points
    uvs: Float32[np.ndarray, "vertices 2"]
    bones: Float32[np.ndarray, "vertices 5"]
    """Weights of rest, neck, head, left eye, right eye; they sum to one."""
    parts: UInt8[np.ndarray, " vertices"]
    """0 is skin and clothes; the others are the constants above."""
    triangles: tuple[UInt32[np.ndarray, "_ 3"], ...]
    """One index list for each texture."""
    textures: tuple[Texture, ...]
    """The first holds skin, eyes, teeth and clothes; the others hold hair, with alpha where the head has any."""
    morph_rows: dict[str, int]
    """Row of each morph by its name."""
    morphs: Float32[np.ndarray, "morphs values"]
    """Deltas of position (3) and normal (3) of the moving vertices, flattened."""
    num_moving: int
    pivots: dict[str, Float32[np.ndarray, "3"]]
    """Places of the joints neck, head, left_eye and right_eye."""

    @property
    def eye_distance_m(self) -> float:
        """Distance between the centres of the eyes, the unit in which portraits are framed."""
        return float(np.linalg.norm(self.pivots["left_eye"] - self.pivots["right_eye"]))

    @property
    def vertex_ids(self) -> Int64[np.ndarray, " vertices"]:
        """Ids of the vertices that are equal in all heads, made of part and texture coordinates."""
        u, v = np.round(self.uvs.T * _UV_STEPS).astype(np.int64)
        return self.parts.astype(np.int64) << 40 | u << 20 | v

    @property
    def face_centre(self) -> Float32[np.ndarray, "3"]:
        """A point between the eyes and the mouth, the centre of a portrait."""
        eyes = (self.pivots["left_eye"] + self.pivots["right_eye"]) / 2
        return (eyes - np.array(_FACE_CENTRE_OFFSET) * self.eye_distance_m).astype(np.float32)


def load_avatar(path: Path) -> Avatar:
    """Reads one converted head.

    Raises:
        InputError: The file is missing or is not a converted head.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return _build(path.stem, arrays)
    except OSError as error:
        raise InputError(f"no avatar at {path}; convert the heads with scripts/convert_avatars.py first") from error
    except ARCHIVE_ERRORS as error:
        raise InputError(
            f"{path} is not a head written by scripts/convert_avatars.py ({error}); convert it again"
        ) from error


def apply_morphs(avatar: Avatar, weights: Mapping[str, float]) -> Float32[np.ndarray, "moving 6"]:
    """Returns position and normal of the moving vertices under the given morph weights.

    Morphs that the head lacks are ignored, so that one animation fits every head. The normals are not normalised; the
    shader does that.
    """
    rest = np.concatenate([avatar.positions, avatar.normals], axis=1)[: avatar.num_moving]
    active = [(avatar.morph_rows[name], weight) for name, weight in weights.items() if name in avatar.morph_rows]
    active = [(row, weight) for row, weight in active if abs(weight) > _MIN_WEIGHT]
    if not active:
        return rest
    rows, factors = zip(*active, strict=True)
    moved = np.asarray(factors, np.float32) @ avatar.morphs[list(rows)]
    return rest + moved.reshape(-1, 6)


def blend_avatars(first: Avatar, second: Avatar, share: float) -> Avatar:
    """Mixes two heads into a third person with the first one's hair, body and clothes.

    Args:
        first: Simplified or full.
        second: Converted with `--full`, because a simplified head lacks vertices of the first.
        share: Fraction of the second head, 0 to 1.

    Raises:
        InputError: The second head lacks many vertices of the first.
    """
    rows = _matching_rows(first.vertex_ids, second.vertex_ids)
    is_head = (first.bones[:, 2] > _MIN_HEAD_WEIGHT) & (first.parts != HAIR_PART)
    if (rows[is_head] < 0).mean() > _MAX_MISSING:
        raise InputError(f"{second.name} lacks vertices of {first.name}; convert it with --full to blend it in")
    amount = share * first.bones[:, 2:].sum(axis=1, keepdims=True) * (rows >= 0)[:, None]
    amount[first.parts == HAIR_PART] = 0
    textures = (_blended_skin(first, second, amount[:, 0]), *first.textures[1:])
    amount *= _distance_weight(first)[:, None]
    offset = first.pivots["head"] - second.pivots["head"]
    moved = first.positions + amount * (second.positions[rows] + offset - first.positions)
    turned = first.normals + amount * (second.normals[rows] - first.normals)
    return dataclasses.replace(
        first,
        name=f"{first.name}+{second.name}",
        positions=moved.astype(np.float32),
        normals=turned.astype(np.float32),
        morphs=_blended_morphs(first, second, rows, amount),
        textures=textures,
        pivots={
            name: ((1 - share) * place + share * (second.pivots[name] + offset)).astype(np.float32)
            for name, place in first.pivots.items()
        },
    )


def _distance_weight(avatar: Avatar) -> Float32[np.ndarray, " vertices"]:
    """Returns 0 for vertices at the hair, rising to 1 with their distance from it."""
    hair = avatar.positions[avatar.parts == HAIR_PART][::_HAIR_STRIDE]
    weights = np.ones(len(avatar.positions), np.float32)
    if not len(hair):
        return weights
    for start in range(0, len(weights), _DISTANCE_ROWS):
        rows = avatar.positions[start : start + _DISTANCE_ROWS]
        # |a - b|^2 = |a|^2 + |b|^2 - 2ab, without an array of all differences.
        squares = (rows**2).sum(1)[:, None] + (hair**2).sum(1) - 2 * rows @ hair.T
        nearest_m = np.sqrt(np.maximum(squares.min(axis=1), 0))
        weights[start : start + _DISTANCE_ROWS] = np.clip((nearest_m - _HAIR_NEAR_M) / _HAIR_FADE_M, 0, 1)
    return weights


def _matching_rows(
    wanted: Int64[np.ndarray, " first"], offered: Int64[np.ndarray, " second"]
) -> Int64[np.ndarray, " first"]:
    """Returns the index of each wanted id among the offered ones, -1 where there is none."""
    order = np.argsort(offered)
    found = order[np.minimum(np.searchsorted(offered[order], wanted), len(order) - 1)]
    return np.where(offered[found] == wanted, found, -1)


def _blended_morphs(
    first: Avatar, second: Avatar, rows: Int64[np.ndarray, " vertices"], amount: Float32[np.ndarray, "vertices 1"]
) -> Float32[np.ndarray, "morphs values"]:
    """Mixes the morph deltas of matching vertices; `amount` is the fraction of the second head at each vertex."""
    own = first.morphs.reshape(len(first.morphs), first.num_moving, 6)
    # A last row of zeros stands for all vertices that the second head does not move.
    other = np.pad(second.morphs.reshape(len(second.morphs), second.num_moving, 6), ((0, 0), (0, 1), (0, 0)))
    places = rows[: first.num_moving]
    places = np.where((places >= 0) & (places < second.num_moving), places, second.num_moving)
    order = [second.morph_rows[name] for name in first.morph_rows]
    mixed = own + amount[: first.num_moving] * (other[order][:, places] - own)
    return mixed.reshape(len(own), -1).astype(np.float32)


def _blended_skin(first: Avatar, second: Avatar, amount: Float32[np.ndarray, " vertices"]) -> Texture:
    """Mixes the skin textures in the area of the mixed triangles; clothes lie elsewhere and stay as they are."""
    height, width = first.textures[0].shape[:2]
    mask = np.zeros((height, width), np.float32)
    corners = np.round(first.uvs * (width, height)).astype(np.int32)
    for triangle, level in zip(first.triangles[0], amount[first.triangles[0]].mean(axis=1), strict=True):
        cv2.fillConvexPoly(mask, corners[triangle], float(level))
    mask = cv2.dilate(mask, np.ones((_SKIN_DILATION_PX, _SKIN_DILATION_PX)))
    mask = cv2.GaussianBlur(mask, (0, 0), _SKIN_BLUR_PX)[..., None]
    other = cv2.resize(second.textures[0], (width, height), interpolation=cv2.INTER_AREA)
    return np.round(first.textures[0] * (1 - mask) + other * mask).astype(np.uint8)


def _build(name: str, arrays: dict[str, np.ndarray]) -> Avatar:
    """Builds an avatar from the converter's arrays, with the moving vertices first."""
    num_vertices = len(arrays["positions"])
    moves = np.zeros(num_vertices, bool)
    moves[arrays["morph_vertices"]] = True
    order = np.argsort(~moves, kind="stable")
    place = np.empty(num_vertices, np.int64)
    place[order] = np.arange(num_vertices)
    num_moving = int(moves.sum())
    triangles = place[arrays["triangles"]].astype(np.uint32)
    slots = arrays["triangle_textures"]
    names = [str(morph) for morph in arrays["morph_names"]]
    pictures = sorted(key for key in arrays if key.startswith("texture_"))
    return Avatar(
        name=name,
        positions=arrays["positions"][order],
        normals=arrays["normals"][order],
        uvs=arrays["uvs"][order],
        bones=arrays["bones"][order],
        parts=arrays["parts"][order],
        triangles=tuple(triangles[slots == slot] for slot in range(len(pictures))),
        textures=tuple(_decoded(arrays[key]) for key in pictures),
        morph_rows={morph: row for row, morph in enumerate(names)},
        morphs=_dense_morphs(arrays, place, num_moving),
        num_moving=num_moving,
        pivots={bone: arrays[f"pivot_{bone}"] for bone in ("neck", "head", "left_eye", "right_eye")},
    )


def _dense_morphs(
    arrays: dict[str, np.ndarray], place: Int64[np.ndarray, " vertices"], num_moving: int
) -> Float32[np.ndarray, "morphs values"]:
    """Expands the sparse morphs of the file; `place` is each vertex's new index."""
    starts = arrays["morph_starts"]
    dense = np.zeros((len(starts) - 1, num_moving, 6), np.float32)
    for row, (start, stop) in enumerate(itertools.pairwise(starts)):
        where = place[arrays["morph_vertices"][start:stop]]
        dense[row, where, :3] = arrays["morph_deltas"][start:stop]
        dense[row, where, 3:] = arrays["morph_normals"][start:stop]
    return dense.reshape(len(dense), -1)


def _decoded(data: UInt8[np.ndarray, " bytes"]) -> Texture:
    picture = cv2.imdecode(data, cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise ValueError("a texture cannot be decoded")
    if picture.ndim == 2:
        picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
    swapped = cv2.COLOR_BGRA2RGBA if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return cv2.cvtColor(picture, swapped)
