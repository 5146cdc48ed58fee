"""Turns glTF heads (meshopt, WebP, quantised, skinned) into the small npz files that `pcavs.synth` renders.

    python scripts/convert_avatars.py PATH/avatars RENDER_CACHE/avatars

Needs the extra `synth` (meshoptimizer among it) and Debian's libegl1 and libgl1-mesa-dri. One head takes about ten
seconds. What is kept: the triangles from the shoulders up that a film can show, arms lowered to the sides, one vertex
list in metres with five bone weights, every morph target as deltas of the vertices it moves, and the colour pictures
at 1024 px. With `--full`: every triangle from the shoulders up, and the pictures as they are in the file; such heads
are for pictures of 512 px and more, and to be mixed into others. The results hold the heads' meshes and textures:
keep them out of the repository and out of anything that is shipped.

The heads must be of one family, as those of docs/synth.md are: one skeleton with joints Neck, Head, LeftEye and
RightEye, meshes named after their part, the same morph names. Another family needs the tables at the top changed.
"""

import argparse
import dataclasses
import logging
import sys
from pathlib import Path
from typing import Any

import numpy as np

from glb import Glb
from thinning import pruned, simplified, smaller

logger = logging.getLogger("convert_avatars")

BONES = ("rest", "neck", "head", "left_eye", "right_eye")
"""The five things that move on their own; every joint of the body's skeleton belongs to one of them."""
BONE_OF_JOINT = {"Neck": 1, "Head": 2, "HeadEnd": 2, "HeadEnd_end": 2}
BONE_OF_JOINT |= {"LeftEye": 3, "LeftEye_end": 3, "RightEye": 4, "RightEye_end": 4}
PARTS = ("skin", "eye", "gland", "teeth_down", "teeth_up", "hair")
KEEP_BELOW_NECK_M = 0.30
"""Depth below the neck joint that a portrait can show."""
ARM_DROP_DEG = 68.0
"""The heads stand with arms spread; lowered arms give a portrait natural shoulders."""
LIVELY_M = 0.003


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One mesh of the head in the resting pose, metres, before parts are joined."""

    positions: np.ndarray
    normals: np.ndarray
    uvs: np.ndarray
    indices: np.ndarray
    bones: np.ndarray
    morphs: dict[str, tuple[np.ndarray, np.ndarray]]
    part: int
    texture: int


def _local_matrix(node: dict[str, Any]) -> np.ndarray:
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
    """World matrix of each node at rest, arms lowered."""
    parents = {child: index for index, node in enumerate(nodes) for child in node.get("children", ())}
    worlds: dict[int, np.ndarray] = {}

    def world(index: int) -> np.ndarray:
        if index not in worlds:
            parent = world(parents[index]) if index in parents else np.eye(4)
            matrix = parent @ _local_matrix(nodes[index])
            side = {"LeftArm": -1.0, "RightArm": 1.0}.get(nodes[index].get("name", ""))
            worlds[index] = matrix if side is None else _turned_about_itself(matrix, side * ARM_DROP_DEG)
        return worlds[index]

    return [world(index) for index in range(len(nodes))]


def _turned_about_itself(matrix: np.ndarray, degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    place = np.eye(4)
    place[:3, 3] = matrix[:3, 3]
    back = np.eye(4)
    back[:3, 3] = -matrix[:3, 3]
    return place @ turn @ back @ matrix


def _part_of(name: str) -> int:
    lowered = name.lower()
    for part, marks in enumerate((("dds",), ("eye",), ("gland",), ("teethdown",), ("teethup",))):
        if any(mark in lowered for mark in marks):
            return part
    return PARTS.index("hair")


def _read_part(glb: Glb, node: dict[str, Any], worlds: list[np.ndarray]) -> Part:
    mesh = glb.tree["meshes"][node["mesh"]]
    (primitive,) = mesh["primitives"]
    attributes = {name: glb.accessor(index) for name, index in primitive["attributes"].items()}
    skin = glb.tree["skins"][node["skin"]]
    inverse = glb.accessor(skin["inverseBindMatrices"]).reshape(-1, 4, 4).transpose(0, 2, 1)
    joints = np.stack([worlds[joint] for joint in skin["joints"]]) @ inverse
    weights = attributes["WEIGHTS_0"].astype(np.float64)
    if not np.issubdtype(glb.accessor(primitive["attributes"]["WEIGHTS_0"]).dtype, np.floating):
        weights = weights / 255.0
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-9)
    matrices = np.einsum("vk,vkij->vij", weights, joints[attributes["JOINTS_0"].astype(int)])
    bones = np.zeros((len(weights), len(BONES)), np.float32)
    bone_of = np.array([BONE_OF_JOINT.get(glb.tree["nodes"][joint]["name"], 0) for joint in skin["joints"]])
    np.add.at(bones, (np.arange(len(weights))[:, None], bone_of[attributes["JOINTS_0"].astype(int)]), weights)
    linear = matrices[:, :3, :3]
    lengths = np.linalg.norm(linear[0], axis=0)

    def turn(vectors: np.ndarray) -> np.ndarray:
        return np.einsum("vij,vj->vi", linear / lengths, vectors)

    morphs = {}
    for name, target in zip(mesh.get("extras", {}).get("targetNames", ()), primitive.get("targets", ()), strict=True):
        moved = np.einsum("vij,vj->vi", linear, glb.accessor(target["POSITION"]))
        morphs[name.removesuffix("_h").split(".")[-1]] = (moved, turn(glb.accessor(target["NORMAL"])))
    material = glb.tree["materials"][primitive["material"]]
    texture = glb.tree["textures"][material["pbrMetallicRoughness"]["baseColorTexture"]["index"]]
    return Part(
        positions=np.einsum("vij,vj->vi", linear, attributes["POSITION"]) + matrices[:, :3, 3],
        normals=turn(attributes["NORMAL"]),
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
    """Drops the triangles below `lowest_m`."""
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
        morphs={name: (moved[used], turned[used]) for name, (moved, turned) in part.morphs.items()},
    )


def _thinned(part: Part) -> Part:
    """Spends triangles where a portrait shows them; on a CPU they are most of a frame's price.

    Teeth and gums keep a fifth, skin that hardly moves two fifths, hair a half where it has more than 4,000; what
    speech and blinks move by more than 3 mm stays as it is, since it is flat only at rest.
    """
    travel = np.zeros(len(part.positions))
    for moved, _ in part.morphs.values():
        travel = np.maximum(travel, np.linalg.norm(moved, axis=1))
    lively = travel[part.indices].max(axis=1) > LIVELY_M
    match PARTS[part.part]:
        case "skin":
            indices = np.concatenate([part.indices[lively], simplified(part.positions, part.indices[~lively], 0.4)])
        case "teeth_up" | "teeth_down":
            indices = simplified(part.positions, part.indices, 0.2)
        case "hair" if len(part.indices) > 4000:
            indices = simplified(part.positions, part.indices, 0.5)
        case _:
            return part
    return _only(part, indices)


def _joined(parts: list[Part], images: list[int]) -> dict[str, np.ndarray]:
    """Joins the parts into one vertex list, triangles sorted by texture, morphs as sparse rows."""
    offsets = np.cumsum([0] + [len(part.positions) for part in parts])
    names, starts, vertices, moved, turned = [], [0], [], [], []
    for part, offset in zip(parts, offsets[:-1], strict=True):
        for name, (delta, normal) in part.morphs.items():
            rows = np.flatnonzero(np.abs(delta).max(axis=1) > 1e-6)
            names.append(name)
            starts.append(starts[-1] + len(rows))
            vertices.append(rows + offset)
            moved.append(delta[rows])
            turned.append(normal[rows])
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
        "morph_deltas": np.concatenate(moved).astype(np.float32),
        "morph_normals": np.concatenate(turned).astype(np.float16),
    }


def convert(source: Path, target: Path, thin: bool) -> None:
    """Converts one head; the result is written beside its name and renamed when complete.

    Args:
        source: The `.glb`.
        target: The `.npz`.
        thin: Keep about 11,000 triangles instead of 40,000, and small pictures.
    """
    glb = Glb(source)
    nodes = glb.tree["nodes"]
    worlds = _world_matrices(nodes)
    joints = {node.get("name"): worlds[index][:3, 3] for index, node in enumerate(nodes)}
    lowest_m = joints["Neck"][1] - KEEP_BELOW_NECK_M
    read = [_cropped(_read_part(glb, node, worlds), lowest_m) for node in nodes if "mesh" in node]
    parts = [_thinned(part) if thin else part for part in read if part is not None]
    images = sorted({part.texture for part in parts}, key=lambda index: index != parts[0].texture)
    arrays = _joined(parts, images)
    for slot, image in enumerate(images):
        picture = np.frombuffer(glb.view(glb.tree["images"][image]["bufferView"]), np.uint8)
        arrays[f"texture_{slot}"] = smaller(picture) if thin else picture
    for bone, joint in (("neck", "Neck"), ("head", "Head"), ("left_eye", "LeftEye"), ("right_eye", "RightEye")):
        arrays[f"pivot_{bone}"] = joints[joint].astype(np.float32)
    part_file = target.with_suffix(".part.npz")
    np.savez(part_file, **arrays)
    if thin:
        np.savez(part_file, **pruned(arrays, part_file))
    part_file.rename(target)
    kept = np.load(target)
    logger.info("%s: %d vertices, %d triangles", target.name, len(kept["positions"]), len(kept["triangles"]))


def main() -> None:
    """Converts every `.glb` of a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of .glb heads")
    parser.add_argument("target", type=Path, help="folder for the .npz files, outside the repository")
    parser.add_argument("--full", action="store_true", help="keep everything: for large pictures and for mixing")
    parser.add_argument("--first", type=int, default=0, help="of the sorted heads, the first to convert")
    parser.add_argument("--step", type=int, default=1, help="then each so many; two processes share the work so")
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
                f"{source.name} is of another family of heads: it has no {error}; see the docstring"
            ) from error


if __name__ == "__main__":
    main()
