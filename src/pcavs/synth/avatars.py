"""Rendered people who never existed: heads as written by `tools/convert_avatars.py`, and their deformation.

Space is metres, y up, z towards the viewer, x towards the head's own left; the head rests frontal.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from jaxtyping import Float32, Int64, UInt8, UInt32

from pcavs.errors import InputError
from pcavs.types import Picture

Points: TypeAlias = Float32[np.ndarray, "vertices 3"]
"""Metres, or unit normals."""

EYE_PART = 1
GLAND_PART = 2
MOUTH_PARTS = (3, 4)
"""Lower teeth with the tongue, upper teeth."""
HAIR_PART = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Avatar:
    """One head: geometry, morph targets and pictures.

    The vertices that any morph moves come first, `num_moving` of them, so that a frame computes and uploads
    only those.
    """

    name: str
    positions: Points
    normals: Points
    uvs: Float32[np.ndarray, "vertices 2"]
    bones: Float32[np.ndarray, "vertices 5"]
    """Weights of rest, neck, head, left eye, right eye; they sum to one."""
    parts: UInt8[np.ndarray, " vertices"]
    triangles: tuple[UInt32[np.ndarray, "_ 3"], ...]
    """One index list a texture."""
    textures: tuple[Picture, ...]
    morph_rows: dict[str, int]
    morphs: Float32[np.ndarray, "morphs values"]
    """Deltas of position (3) and normal (3) of the moving vertices, flattened."""
    num_moving: int
    pivots: dict[str, Float32[np.ndarray, "3"]]
    """Joint places: neck, head, left_eye, right_eye."""

    @property
    def eye_distance_m(self) -> float:
        """Distance between the eyes' centres, the natural unit of a portrait's framing."""
        return float(np.linalg.norm(self.pivots["left_eye"] - self.pivots["right_eye"]))

    @property
    def face_centre(self) -> Float32[np.ndarray, "3"]:
        """A point between the eyes and the mouth: the middle of a portrait."""
        eyes = (self.pivots["left_eye"] + self.pivots["right_eye"]) / 2
        return (eyes - np.array([0.0, 0.45, -0.2]) * self.eye_distance_m).astype(np.float32)


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
        raise InputError(f"no avatar at {path}; convert the heads with tools/convert_avatars.py first") from error
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} is not a head written by tools/convert_avatars.py: {error}") from error


def deformed(avatar: Avatar, weights: Mapping[str, float]) -> Float32[np.ndarray, "moving 6"]:
    """Applies morph weights; returns position and normal of the moving vertices.

    Names the head lacks are ignored, so that one animation drives every head. Normals are left unnormalised: the
    shader normalises them anyway.
    """
    rest = np.concatenate([avatar.positions, avatar.normals], axis=1)[: avatar.num_moving]
    active = [(avatar.morph_rows[name], weight) for name, weight in weights.items() if name in avatar.morph_rows]
    active = [(row, weight) for row, weight in active if abs(weight) > 1e-3]
    if not active:
        return rest
    rows, factors = zip(*active, strict=True)
    moved = np.asarray(factors, np.float32) @ avatar.morphs[list(rows)]
    return rest + moved.reshape(-1, 6)


def blended(first: Avatar, second: Avatar, share: float) -> Avatar:
    """Mixes two heads of equal topology into a third person; hair and clothes stay the first's.

    Args:
        share: How much of the second head, 0 to 1.

    Raises:
        InputError: The two meshes do not correspond vertex by vertex.
    """
    same = first.positions.shape == second.positions.shape and np.array_equal(first.parts, second.parts)
    if not same or first.morph_rows != second.morph_rows or first.num_moving != second.num_moving:
        raise InputError(f"{first.name} and {second.name} have different meshes and cannot be blended")

    def mix(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return ((1 - share) * a + share * b).astype(np.float32)

    skin = cv2.addWeighted(first.textures[0], 1 - share, second.textures[0], share, 0)
    return dataclasses.replace(
        first,
        name=f"{first.name}+{second.name}",
        positions=mix(first.positions, second.positions),
        normals=mix(first.normals, second.normals),
        morphs=mix(first.morphs, second.morphs),
        textures=(skin, *first.textures[1:]),
        pivots={name: mix(place, second.pivots[name]) for name, place in first.pivots.items()},
    )


def _build(name: str, arrays: dict[str, np.ndarray]) -> Avatar:
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
    starts = arrays["morph_starts"]
    dense = np.zeros((len(starts) - 1, num_moving, 6), np.float32)
    for row, (start, stop) in enumerate(zip(starts[:-1], starts[1:], strict=True)):
        where = place[arrays["morph_vertices"][start:stop]]
        dense[row, where, :3] = arrays["morph_deltas"][start:stop]
        dense[row, where, 3:] = arrays["morph_normals"][start:stop]
    return dense.reshape(len(dense), -1)


def _decoded(data: UInt8[np.ndarray, " bytes"]) -> Picture:
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR)
    if picture is None:
        raise ValueError("a texture does not decode")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
