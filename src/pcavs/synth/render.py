"""Draws one head into one picture, offscreen: OpenGL through EGL, on the CPU (llvmpipe) or a GPU.

Light is linear inside the shader; textures are read as sRGB and the result is written as sRGB.
"""

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, TypeAlias

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int64, UInt8, UInt32

from pcavs.synth import shaders
from pcavs.synth.avatars import EYE_PART, HAIR_PART, MOUTH_PARTS, Avatar, deformed
from pcavs.synth.device import moderngl_module, open_context
from pcavs.types import Picture

Matrix: TypeAlias = Float[np.ndarray, "4 4"]
Colour: TypeAlias = tuple[float, float, float]

NECK_SHARE = 0.4
"""Part of a head turn that the neck joint takes; the head joint takes the rest."""
_NEAR_M, _FAR_M = 0.1, 10.0
SUPERSAMPLING = 1.5
"""Pictures are drawn this many times larger and averaged: on llvmpipe half the price of 4-sample antialiasing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Light:
    """A distant light."""

    direction: Colour
    """Unit vector from the head towards the light."""
    colour: Colour
    """Linear radiance; (1, 1, 1) shows a white surface facing it as white."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """What stays the same through one clip."""

    background: Picture
    """Stretched over the whole frame, sRGB."""
    lights: tuple[Light, Light, Light]
    """Key, fill and rim."""
    sky: Colour
    ground: Colour
    """Ambient light from above and from below, linear."""
    balance: Colour = (1.0, 1.0, 1.0)
    """Exposure and white balance: a factor on each linear channel."""
    distance_m: float = 1.0
    """Camera to face; near means strong perspective."""
    eye_share: float = 0.24
    """Eye distance as a share of the picture's width when the face is frontal."""
    aim: Colour = (0.0, 0.0, 0.0)
    """Where the camera looks, metres beside the resting face's centre."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadState:
    """What changes from frame to frame."""

    yaw_deg: float = 0.0
    """Positive faces the picture's right. The angles are those of `pcavs.face.pose`: rolled first, then pitched, then
    turned."""
    pitch_deg: float = 0.0
    """Positive looks up."""
    roll_deg: float = 0.0
    """Positive leans clockwise in the picture."""
    shift_m: Colour = (0.0, 0.0, 0.0)
    gaze_deg: tuple[float, float] = (0.0, 0.0)
    """FaceReader' own yaw and pitch beside the head's."""
    morphs: Mapping[str, float] = dataclasses.field(default_factory=dict)


def rotation(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Float[np.ndarray, "3 3"]:
    """Builds Ry(yaw) Rx(-pitch) Rz(-roll) in a space with y up: rolled first, then pitched, then turned."""
    yaw, pitch, roll = (math.radians(angle) for angle in (yaw_deg, -pitch_deg, -roll_deg))
    cy, sy, cp, sp, cr, sr = *_cos_sin(yaw), *_cos_sin(pitch), *_cos_sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


class HeadRenderer:
    """Keeps one head on the device and draws it as often as wanted; use as a context manager.

    Cost: docs/measurements.md; four fifths of it are pixels, one fifth triangles, for a thinned head.
    """

    def __init__(self, avatar: Avatar, size_px: int = 256) -> None:
        self.avatar = avatar
        self.size_px = size_px
        self._context = open_context()
        has_alpha = [picture.shape[2] == 4 for picture in avatar.textures]
        sources = {False: shaders.OPAQUE_FRAGMENT, True: shaders.CUT_FRAGMENT}
        self._programs = {
            cut: self._context.program(vertex_shader=shaders.VERTEX, fragment_shader=sources[cut])
            for cut in sorted(set(has_alpha))
        }
        self._program_of = [self._programs[cut] for cut in has_alpha]
        self._backdrop = self._context.program(
            vertex_shader=shaders.BACKDROP_VERTEX, fragment_shader=shaders.BACKDROP_FRAGMENT
        )
        self._upload()
        self._view: bytes | None = None

    def __enter__(self) -> "HeadRenderer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Frees the device's memory."""
        self._context.release()

    def set_scene(self, scene: Scene) -> None:
        """Uploads lights and background."""
        view, eye = _camera(self.avatar, scene)
        self._view = np.ascontiguousarray(view.T, "f4").tobytes()
        for program in self._programs.values():
            program["light_directions"].write(np.array([light.direction for light in scene.lights], "f4").tobytes())
            program["light_colours"].write(np.array([light.colour for light in scene.lights], "f4").tobytes())
            for name in ("sky", "ground", "balance"):
                program[name].value = getattr(scene, name)
            program["eye"].value = tuple(float(value) for value in eye)
        height, width = scene.background.shape[:2]
        self._background_texture = self._context.texture((width, height), 3, np.ascontiguousarray(scene.background))

    def render(self, state: HeadState) -> Picture:
        """Draws one frame of the current scene."""
        self._pose(self._programs.values(), state)
        # Hair first: what it hides need not be shaded.
        for slot, array in reversed([*enumerate(self._arrays)]):
            self._draw(slot, array)
        self._background_texture.use(0)
        self._backdrop_array.render(moderngl_module().TRIANGLE_STRIP)
        small = cv2.resize(self._read(), (self.size_px, self.size_px), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(small[::-1])

    def seen_triangles(self, state: HeadState) -> Int64[np.ndarray, " seen"]:
        """Lists the triangles that at least one pixel shows, counted through all of the avatar's index lists."""
        program, arrays = self._numbering
        self._pose([program], state)
        first = 0
        for slot, array in enumerate(arrays):
            program["first"].value = first
            self._draw(slot, array)
            first += len(self.avatar.triangles[slot])
        low, middle, high = np.moveaxis(self._read().astype(np.int64), 2, 0)
        seen = np.zeros(first + 1, bool)
        seen[low | middle << 8 | high << 16] = True
        return np.flatnonzero(seen[1:])

    @functools.cached_property
    def _numbering(self) -> tuple[Any, list[Any]]:
        program = self._context.program(vertex_shader=shaders.VERTEX, fragment_shader=shaders.NUMBER_FRAGMENT)
        return program, [self._array(program, triangles) for triangles in self.avatar.triangles]

    def _pose(self, programs: Iterable[Any], state: HeadState) -> None:
        if self._view is None:
            raise ValueError("set_scene comes before drawing")
        moving = np.ascontiguousarray(deformed(self.avatar, state.morphs), np.float32)
        self._shape.write(moving.tobytes())
        bones = np.stack([matrix.T for matrix in bone_matrices(self.avatar, state)])
        for program in programs:
            program["bones"].write(bones.astype("f4").tobytes())
            program["camera"].write(self._view)
        self._frame.use()
        self._frame.clear(depth=1.0)

    def _draw(self, slot: int, array: Any) -> None:
        # The skin is closed, so its far side need not be drawn; locks of hair are open sheets.
        hidden = moderngl_module().CULL_FACE if slot == 0 else 0
        self._context.enable_only(moderngl_module().DEPTH_TEST | hidden)
        self._textures[slot].use(0)
        array.render()

    def _read(self) -> UInt8[np.ndarray, "side side 3"]:
        side = int(self.size_px * SUPERSAMPLING)
        return np.frombuffer(self._frame.read(components=3, alignment=1), np.uint8).reshape(side, side, 3)

    def _upload(self) -> None:
        context, avatar = self._context, self.avatar
        size = (int(self.size_px * SUPERSAMPLING), int(self.size_px * SUPERSAMPLING))
        shape = np.concatenate([avatar.positions, avatar.normals], axis=1).astype("f4")
        self._shape = context.buffer(shape.tobytes(), dynamic=True)
        fixed = np.concatenate([avatar.uvs, avatar.bones[:, 1:], _surface(avatar)], axis=1).astype("f4")
        self._fixed = context.buffer(fixed.tobytes())
        pairs = zip(self._program_of, avatar.triangles, strict=True)
        self._arrays = [self._array(program, triangles) for program, triangles in pairs]
        self._textures = []
        for picture in avatar.textures:
            height, width, channels = picture.shape
            texture = context.texture((width, height), channels, np.ascontiguousarray(picture))
            texture.build_mipmaps()
            texture.filter = (moderngl_module().LINEAR_MIPMAP_NEAREST, moderngl_module().LINEAR)
            self._textures.append(texture)
        corners = context.buffer(np.array([-1, -1, 1, -1, -1, 1, 1, 1], "f4").tobytes())
        self._backdrop_array = context.vertex_array(self._backdrop, [(corners, "2f", "corner")])
        self._frame = context.framebuffer(context.renderbuffer(size, 3), context.depth_renderbuffer(size))

    def _array(self, program: Any, triangles: UInt32[np.ndarray, "_ 3"]) -> Any:
        def layout(buffer: Any, attributes: dict[str, int]) -> tuple[Any, ...]:
            # A program takes no attribute that it does not use.
            formats = [f"{width}f" if name in program else f"{4 * width}x" for name, width in attributes.items()]
            return buffer, " ".join(formats), *(name for name in attributes if name in program)

        buffers = [
            layout(self._shape, {"position": 3, "normal": 3}),
            layout(self._fixed, {"uv": 2, "weights": 4, "surface": 3}),
        ]
        indices = self._context.buffer(np.ascontiguousarray(triangles).tobytes())
        return self._context.vertex_array(program, buffers, indices)


def bone_matrices(avatar: Avatar, state: HeadState) -> tuple[Matrix, Matrix, Matrix, Matrix, Matrix]:
    """Matrices of rest, neck, head, left eye and right eye for one state."""
    angles = np.array([state.yaw_deg, state.pitch_deg, state.roll_deg])
    body = np.eye(4)
    body[:3, 3] = state.shift_m
    neck_turn = rotation(*(NECK_SHARE * angles))
    neck = body @ _about(avatar.pivots["neck"], neck_turn)
    # The rest of the turn is what the neck leaves, so that the head's total is exactly the angles asked for.
    head = neck @ _about(avatar.pivots["head"], neck_turn.T @ rotation(*angles))
    gaze = rotation(state.gaze_deg[0], state.gaze_deg[1], 0.0)
    left = head @ _about(avatar.pivots["left_eye"], gaze)
    right = head @ _about(avatar.pivots["right_eye"], gaze)
    return body, neck, head, left, right


def _camera(avatar: Avatar, scene: Scene) -> tuple[Matrix, Float[np.ndarray, "3"]]:
    centre = avatar.face_centre + np.asarray(scene.aim)
    eye = centre + np.array([0.0, 0.0, scene.distance_m])
    # The eyes sit nearly in the plane of the face's centre, where this zoom makes them eye_share of the width apart.
    zoom = 2 * scene.eye_share * scene.distance_m / avatar.eye_distance_m
    view = np.eye(4)
    view[:3, 3] = -eye
    depth = _NEAR_M - _FAR_M
    projection = np.zeros((4, 4))
    projection[0, 0] = projection[1, 1] = zoom
    projection[2, 2:] = (_FAR_M + _NEAR_M) / depth, 2 * _FAR_M * _NEAR_M / depth
    projection[3, 2] = -1
    return projection @ view, eye


def _about(pivot: Float32[np.ndarray, "3"], turn: Float[np.ndarray, "3 3"]) -> Matrix:
    matrix = np.eye(4)
    matrix[:3, :3] = turn
    matrix[:3, 3] = pivot - turn @ pivot
    return matrix


def _cos_sin(angle: float) -> tuple[float, float]:
    return math.cos(angle), math.sin(angle)


def _surface(avatar: Avatar) -> Float32[np.ndarray, "vertices 3"]:
    """Gloss, softness (light scattered under skin) and openness to ambient light of each vertex."""
    gloss = np.full(len(avatar.parts), 0.35, np.float32)
    gloss[avatar.parts == EYE_PART] = 1.0
    gloss[np.isin(avatar.parts, MOUTH_PARTS)] = 0.6
    gloss[avatar.parts == HAIR_PART] = 0.15
    soft = np.where((avatar.parts == HAIR_PART) | (avatar.parts == EYE_PART), 0.0, 1.0)
    return np.stack([gloss, soft, _openness(avatar)], axis=1).astype(np.float32)


def _openness(avatar: Avatar) -> Float32[np.ndarray, " vertices"]:
    """Darkens the mouth's inside with its depth behind the front teeth; there are no shadows to do it."""
    inside = np.isin(avatar.parts, MOUTH_PARTS)
    front = avatar.positions[inside, 2].max() if inside.any() else 0.0
    depth = np.clip((front - avatar.positions[:, 2]) / 0.05, 0, 1)
    return np.where(inside, 0.8 - 0.72 * depth**0.7, 1.0)
