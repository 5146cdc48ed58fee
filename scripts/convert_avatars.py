"""Converts glTF heads (meshopt, WebP, quantised, skinned) to the npz files that `pcavs synth` renders.

    python scripts/convert_avatars.py AVATARS HEADS

Needs the extra `synth`, and libegl1 and libgl1-mesa-dri on Debian. A head takes about ten seconds.

A result holds the head from the shoulders up with its arms lowered: one vertex list in metres with five bone weights,
every morph target as deltas of the vertices it moves, and the textures. By default it is simplified for frames of
256 px: still surfaces have fewer triangles, hidden triangles are dropped, and textures have 1024 px. With `--full` all
triangles and the original textures are kept, for frames of 512 px and more and for mixing heads.

All heads must have one skeleton (joints Neck, Head, LeftEye, RightEye), one mesh for each part, named after it, and the
same morph names (docs/synth.md). Heads of another kind need the tables at the top of this script changed. The results
contain the heads' meshes and textures: follow their licence, and keep them out of the repository.
"""

import argparse
import dataclasses
import logging
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

from glb import Glb
from simplification import drop_hidden, shrink_texture, simplify_mesh

logger = logging.getLogger("convert_avatars")

BONES: Final = ("rest", "neck", "head", "left_eye", "right_eye")
"""The five bones of a converted head; every joint of the file's skeleton belongs to one of them."""

BONE_OF_JOINT: Final = {
    **{"Neck": 1, "Head": 2, "HeadEnd": 2, "HeadEnd_end": 2},
    **{"LeftEye": 3, "LeftEye_end": 3, "RightEye": 4, "RightEye_end": 4},
}
"""Bone of each joint; the joints that are not named belong to `rest`."""

PARTS: Final = ("skin", "eye", "gland", "teeth_down", "teeth_up", "hair")
"""Parts of a head; their numbers are those of `pcavs.synth.avatars`."""

_PART_MARKS: Final = (("dds",), ("eye",), ("gland",), ("teethdown",), ("teethup",))
"""Texts by which the meshes of the parts are recognised, in the order of `PARTS`; any other mesh is hair."""

KEPT_BELOW_NECK_M: Final = 0.30
"""Height below the neck joint down to which triangles are kept: more than a portrait shows."""

ARM_ANGLE_DEG: Final = 68.0
"""Angle by which the spread arms are lowered, so that the shoulders look natural. Chosen by eye."""

MOVING_M: Final = 0.003
"""Largest motion of a vertex under the morphs up to which its surface may be simplified. Tuned by hand."""

_SKIN_SHARE, _TEETH_SHARE, _HAIR_SHARE = 0.4, 0.2, 0.5
"""Shares of the triangles that are kept of still skin, of teeth with gums, and of dense hair. Chosen by eye at
256 px."""

_DENSE_HAIR_TRIANGLES: Final = 4000
"""Number of triangles above which hair is simplified."""

_MIN_DELTA_M: Final = 1e-6
"""Motion below which a vertex does not belong to a morph."""

_BYTE_MAX: Final = 255.0
"""Full weight where bone weights are stored as bytes."""

_MIN_WEIGHT_SUM: Final = 1e-9
"""Keeps vertices without bone weights from dividing by zero."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One mesh of a head in the resting pose, in metres, before the parts are joined."""

    positions: np.ndarray
    normals: np.ndarray
    uvs: np.ndarray
    indices: np.ndarray
    bones: np.ndarray
    morphs: dict[str, tuple[np.ndarray, np.ndarray]]
    """Deltas of positions and normals by name."""
    part: int
    """Index in `PARTS`."""
    texture: int
    """Index of the image in the file."""


def _local_matrix(node: dict[str, Any]) -> np.ndarray:
    """Returns a node's matrix from its quaternion, scale and translation."""
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    matrix = np.eye(4)
    matrix[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrix[:3, :3] *= np.asarray(node.get("scale", (1, 1, 1)))
    matrix[:3, 3] = node.get("translation", (0, 0, 0))
    return matrix


def _world_matrices(nodes: list[dict[str, Any]]) -> list[np.ndarray]:
    """Returns the world matrix of each node at rest, with lowered arms."""
    parents = {child: index for index, node in enumerate(nodes) for child in node.get("children", ())}
    worlds: dict[int, np.ndarray] = {}

    def world(index: int) -> np.ndarray:
        if index not in worlds:
            parent = world(parents[index]) if index in parents else np.eye(4)
            matrix = parent @ _local_matrix(nodes[index])
            side = {"LeftArm": -1.0, "RightArm": 1.0}.get(nodes[index].get("name", ""))
            worlds[index] = matrix if side is None else _rotated_about_origin(matrix, side * ARM_ANGLE_DEG)
        return worlds[index]

    return [world(index) for index in range(len(nodes))]


def _rotated_about_origin(matrix: np.ndarray, degrees: float) -> np.ndarray:
    """Rotates a node about its own origin in the x-y plane."""
    angle = np.deg2rad(degrees)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    from_origin = np.eye(4)
    from_origin[:3, 3] = matrix[:3, 3]
    to_origin = np.eye(4)
    to_origin[:3, 3] = -matrix[:3, 3]
    return from_origin @ rotation @ to_origin @ matrix


def _part_of(name: str) -> int:
    """Returns the part of a mesh by its name."""
    for part, marks in enumerate(_PART_MARKS):
        if any(mark in name.lower() for mark in marks):
            return part
    return PARTS.index("hair")


def _read_part(glb: Glb, node: dict[str, Any], worlds: list[np.ndarray]) -> Part:
    """Reads a node's mesh and brings it into the resting pose by its skin."""
    mesh = glb.tree["meshes"][node["mesh"]]
    (primitive,) = mesh["primitives"]
    attributes = {name: glb.accessor(index) for name, index in primitive["attributes"].items()}
    skin = glb.tree["skins"][node["skin"]]
    inverse = glb.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    joints = np.stack([worlds[joint] for joint in skin["joints"]]) @ inverse
    weights = attributes["WEIGHTS_0"].astype(np.float64)
    if not np.issubdtype(glb.accessor(primitive["attributes"]["WEIGHTS_0"]).dtype, np.floating):
        weights = weights / _BYTE_MAX
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), _MIN_WEIGHT_SUM)
    matrices = np.einsum("vk,vkij->vij", weights, joints[attributes["JOINTS_0"].astype(int)])
    bones = np.zeros((len(weights), len(BONES)), np.float32)
    bone_of = np.array([BONE_OF_JOINT.get(glb.tree["nodes"][joint]["name"], 0) for joint in skin["joints"]])
    np.add.at(bones, (np.arange(len(weights))[:, None], bone_of[attributes["JOINTS_0"].astype(int)]), weights)
    linear = matrices[:, :3, :3]
    lengths = np.linalg.norm(linear[0], axis=0)

    def rotate(vectors: np.ndarray) -> np.ndarray:
        return np.einsum("vij,vj->vi", linear / lengths, vectors)

    morphs = {}
    for name, target in zip(mesh.get("extras", {}).get("targetNames", ()), primitive.get("targets", ()), strict=True):
        moved = np.einsum("vij,vj->vi", linear, glb.accessor(target["POSITION"]))
        morphs[name.removesuffix("_h").split(".")[-1]] = (moved, rotate(glb.accessor(target["NORMAL"])))
    material = glb.tree["materials"][primitive["material"]]
    texture = glb.tree["textures"][material["pbrMetallicRoughness"]["baseColorTexture"]["index"]]
    return Part(
        positions=np.einsum("vij,vj->vi", linear, attributes["POSITION"]) + matrices[:, :3, 3],
        normals=rotate(attributes["NORMAL"]),
        uvs=attributes["TEXCOORD_0"] * _uv_scale(material) + _uv_offset(material),
        indices=glb.accessor(primitive["indices"]).reshape(-1, 3).astype(np.int64),
        bones=bones,
        morphs=morphs,
        part=_part_of(node["name"]),
        texture=texture["extensions"]["EXT_texture_webp"]["source"],
    )


def _uv_transform(material: dict[str, Any]) -> dict[str, Any]:
    info = material["pbrMetallicRoughness"]["baseColorTexture"]
    return info.get("extensions", {}).get("KHR_texture_transform", {})


def _uv_scale(material: dict[str, Any]) -> np.ndarray:
    return np.asarray(_uv_transform(material).get("scale", (1, 1)), np.float32)


def _uv_offset(material: dict[str, Any]) -> np.ndarray:
    return np.asarray(_uv_transform(material).get("offset", (0, 0)), np.float32)


def _cropped(part: Part, lowest_m: float) -> Part | None:
    """Drops the triangles below a height; None where nothing is left."""
    keep = (part.positions[part.indices][:, :, 1] > lowest_m).all(axis=1)
    return _only(part, part.indices[keep]) if keep.any() else None


def _only(part: Part, triangles: np.ndarray) -> Part:
    """Keeps the given triangles and the vertices they use."""
    used, indices = np.unique(triangles, return_inverse=True)
    return dataclasses.replace(
        part,
        positions=part.positions[used],
        normals=part.normals[used],
        uvs=part.uvs[used],
        indices=indices.reshape(-1, 3),
        bones=part.bones[used],
        morphs={name: (delta[used], normal[used]) for name, (delta, normal) in part.morphs.items()},
    )


def _simplified(part: Part) -> Part:
    """Simplifies skin that hardly moves, teeth and dense hair; on a CPU most of a frame's time goes into triangles.

    Skin that speech or blinks move by more than `MOVING_M` stays as it is, because it is flat only at rest.
    """
    travel = np.zeros(len(part.positions))
    for moved, _ in part.morphs.values():
        travel = np.maximum(travel, np.linalg.norm(moved, axis=1))
    is_moving = travel[part.indices].max(axis=1) > MOVING_M
    match PARTS[part.part]:
        case "skin":
            still = simplify_mesh(part.positions, part.indices[~is_moving], _SKIN_SHARE)
            indices = np.concatenate([part.indices[is_moving], still])
        case "teeth_up" | "teeth_down":
            indices = simplify_mesh(part.positions, part.indices, _TEETH_SHARE)
        case "hair" if len(part.indices) > _DENSE_HAIR_TRIANGLES:
            indices = simplify_mesh(part.positions, part.indices, _HAIR_SHARE)
        case _:
            return part
    return _only(part, indices)


def _joined(parts: list[Part], images: list[int]) -> dict[str, np.ndarray]:
    """Joins the parts into one vertex list; morphs are stored as sparse rows.

    Args:
        parts: Of one head.
        images: Index in the file of each texture's image.
    """
    offsets = np.cumsum([0] + [len(part.positions) for part in parts])
    names, starts, vertices, deltas, normals = [], [0], [], [], []
    for part, offset in zip(parts, offsets[:-1], strict=True):
        for name, (delta, normal) in part.morphs.items():
            rows = np.flatnonzero(np.abs(delta).max(axis=1) > _MIN_DELTA_M)
            names.append(name)
            starts.append(starts[-1] + len(rows))
            vertices.append(rows + offset)
            deltas.append(delta[rows])
            normals.append(normal[rows])
    triangles = [part.indices + offset for part, offset in zip(parts, offsets[:-1], strict=True)]
    textures = [np.full(len(part.indices), images.index(part.texture), np.uint8) for part in parts]
    return {
        "positions": np.concatenate([part.positions for part in parts]).astype(np.float32),
        "normals": np.concatenate([part.normals for part in parts]).astype(np.float32),
        "uvs": np.concatenate([part.uvs for part in parts]).astype(np.float32),
        "bones": np.concatenate([part.bones for part in parts]).astype(np.float32),
        "parts": np.concatenate([np.full(len(part.positions), part.part, np.uint8) for part in parts]),
        "triangles": np.concatenate(triangles).astype(np.uint32),
        "triangle_textures": np.concatenate(textures),
        "morph_names": np.array(names),
        "morph_starts": np.array(starts, np.int64),
        "morph_vertices": np.concatenate(vertices).astype(np.uint32),
        "morph_deltas": np.concatenate(deltas).astype(np.float32),
        "morph_normals": np.concatenate(normals).astype(np.float16),
    }


def convert(source: Path, target: Path, simplify: bool) -> None:
    """Converts one head; the target appears complete or not at all.

    Args:
        source: The `.glb`.
        target: The `.npz`.
        simplify: Keeps about 11,000 triangles instead of 40,000, and textures of at most 1024 px.
    """
    glb = Glb(source)
    nodes = glb.tree["nodes"]
    worlds = _world_matrices(nodes)
    joints = {node.get("name"): worlds[index][:3, 3] for index, node in enumerate(nodes)}
    lowest_m = joints["Neck"][1] - KEPT_BELOW_NECK_M
    read = [_cropped(_read_part(glb, node, worlds), lowest_m) for node in nodes if "mesh" in node]
    parts = [_simplified(part) if simplify else part for part in read if part is not None]
    images = sorted({part.texture for part in parts}, key=lambda index: index != parts[0].texture)
    arrays = _joined(parts, images)
    for slot, image in enumerate(images):
        picture = np.frombuffer(glb.view(glb.tree["images"][image]["bufferView"]), np.uint8)
        arrays[f"texture_{slot}"] = shrink_texture(picture) if simplify else picture
    for bone, joint in (("neck", "Neck"), ("head", "Head"), ("left_eye", "LeftEye"), ("right_eye", "RightEye")):
        arrays[f"pivot_{bone}"] = joints[joint].astype(np.float32)
    part_file = target.with_suffix(".part.npz")
    np.savez(part_file, **arrays)
    if simplify:
        np.savez(part_file, **drop_hidden(arrays, part_file))
    part_file.rename(target)
    kept = np.load(target)
    logger.info("%s: %d vertices, %d triangles", target.name, len(kept["positions"]), len(kept["triangles"]))


def main() -> None:
    """Reads the command line and converts the heads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of heads (.glb)")
    parser.add_argument("target", type=Path, help="folder for the converted heads (.npz), outside the repository")
    parser.add_argument(
        "--full", action="store_true", help="keep all triangles and textures, for large frames and for mixing heads"
    )
    parser.add_argument("--first", type=int, default=0, help="index of the first head to convert, in sorted order")
    parser.add_argument(
        "--step",
        type=int,
        default=1,
        help="convert every STEP-th head from there on, so that several processes can share the work",
    )
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    sources = sorted(arguments.source.glob("*.glb"))[arguments.first :: arguments.step]
    if not sources:
        raise SystemExit(f"no .glb heads in {arguments.source}")
    arguments.target.mkdir(parents=True, exist_ok=True)
    for source in sources:
        try:
            convert(source, arguments.target / f"{source.stem}.npz", not arguments.full)
        except (KeyError, StopIteration) as error:
            raise SystemExit(
                f"{source.name} is a head of another kind: it has no {error}; see --help for what is needed"
            ) from error


if __name__ == "__main__":
    main()
