"""Renders one head offscreen with OpenGL (`pcavs.synth.egl`).

Lighting is computed in linear light; textures are read as sRGB and the result is written as sRGB.
"""

import dataclasses
import functools
import math
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Any, Final, TypeAlias

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int64, UInt8, UInt32

from pcavs.synth import shaders
from pcavs.synth.avatars import EYE_PART, HAIR_PART, MOUTH_PARTS, Avatar, apply_morphs
from pcavs.synth.egl import moderngl_module, open_context
from pcavs.types import Picture

Matrix: TypeAlias = Float[np.ndarray, "4 4"]
Vector: TypeAlias = tuple[float, float, float]
Colour: TypeAlias = tuple[float, float, float]
"""Linear red, green and blue, 0 and above."""

NECK_SHARE: Final = 0.4
"""Fraction of a head rotation at the neck joint; the head joint does the rest. Chosen by eye."""

_NEAR_M, _FAR_M = 0.1, 10.0
"""Distances of the near and the far clipping plane."""

SUPERSAMPLING: Final = 1.5
"""Frames are drawn this many times larger and averaged; on llvmpipe it takes half the time of 4-sample antialiasing."""

_SKIN_GLOSS, _EYE_GLOSS, _MOUTH_GLOSS, _HAIR_GLOSS = 0.35, 1.0, 0.6, 0.15
"""Strength and sharpness of highlights, 0 to 1. Chosen by eye."""

_MOUTH_DEPTH_M: Final = 0.05
"""Depth behind the front teeth at which the mouth is darkest."""

_MOUTH_LIGHT, _MOUTH_DARKENING, _MOUTH_POWER = 0.8, 0.72, 0.7
"""Factor on light at the front teeth, its loss at the darkest depth, and exponent in between. Chosen by eye."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Light:
    """A directional light."""

    direction: Vector
    """Unit vector from the head towards the light."""
    colour: Colour
    """Linear; (1, 1, 1) shows a white surface that faces the light as white."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """Background, light and camera, constant through a clip."""

    background: Picture
    """sRGB, stretched over the whole frame."""
    lights: tuple[Light, Light, Light]
    """Key, fill and rim light."""
    sky: Colour
    """Ambient light from above."""
    ground: Colour
    """Ambient light from below."""
    balance: Colour = (1.0, 1.0, 1.0)
    """Exposure and white balance: a factor on each linear channel."""
    distance_m: float = 1.0
    """From the camera to the face; the focal length follows from `eye_share`."""
    eye_share: float = 0.24
    """Eye distance as a fraction of the picture's width when the face is frontal."""
    aim: Vector = (0.0, 0.0, 0.0)
    """Point at which the camera looks, in metres from the centre of the resting face."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeadState:
    """Pose and expression of the head in one frame."""

    yaw_deg: float = 0.0
    """Positive faces the picture's right. The angles are those of `pcavs.face.pose`: roll is applied first, then pitch,
    then yaw."""
    pitch_deg: float = 0.0
    """Positive looks up."""
    roll_deg: float = 0.0
    """Positive leans clockwise in the picture."""
    shift_m: Vector = (0.0, 0.0, 0.0)
    """To the picture's right, up, and towards the camera, in metres."""
    gaze_deg: tuple[float, float] = (0.0, 0.0)
    """Yaw and pitch of the eyes relative to the head."""
    morphs: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Weights by name; morphs that the head lacks are ignored."""


def rotation_matrix(yaw_deg: float, pitch_deg: float, roll_deg: float) -> Float[np.ndarray, "3 3"]:
    """Returns Ry(yaw) Rx(-pitch) Rz(-roll) for y up: roll is applied first, then pitch, then yaw."""
    yaw, pitch, roll = (math.radians(angle) for angle in (yaw_deg, -pitch_deg, -roll_deg))
    cy, sy, cp, sp, cr, sr = *_cos_sin(yaw), *_cos_sin(pitch), *_cos_sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


class HeadRenderer:
    """Holds one head on the graphics device and renders frames of it; a context manager.

    Args:
        avatar: The head.
        size_px: Side of the frames.
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
        """Frees the memory on the device."""
        self._context.release()

    def set_scene(self, scene: Scene) -> None:
        """Uploads lights, camera and background; needed once before frames are rendered."""
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
        """Renders one frame of the current scene."""
        self._pose(self._programs.values(), state)
        # Hair first, so that the skin it hides is not shaded.
        for slot, array in reversed([*enumerate(self._arrays)]):
            self._draw(slot, array)
        self._background_texture.use(0)
        self._backdrop_array.render(moderngl_module().TRIANGLE_STRIP)
        small = cv2.resize(self._read(), (self.size_px, self.size_px), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(small[::-1])

    def visible_triangles(self, state: HeadState) -> Int64[np.ndarray, " visible"]:
        """Returns the triangles that at least one pixel shows, numbered through all of the avatar's index lists."""
        program, arrays = self._numbering
        self._pose([program], state)
        first = 0
        for slot, array in enumerate(arrays):
            program["first"].value = first
            self._draw(slot, array)
            first += len(self.avatar.triangles[slot])
        low, middle, high = np.moveaxis(self._read().astype(np.int64), 2, 0)
        is_visible = np.zeros(first + 1, bool)
        is_visible[low | middle << 8 | high << 16] = True
        return np.flatnonzero(is_visible[1:])  # 0 is the background

    @functools.cached_property
    def _numbering(self) -> tuple[Any, list[Any]]:
        """A program that draws each triangle in the colour of its number, and the vertex arrays for it."""
        program = self._context.program(vertex_shader=shaders.VERTEX, fragment_shader=shaders.NUMBER_FRAGMENT)
        return program, [self._array(program, triangles) for triangles in self.avatar.triangles]

    def _pose(self, programs: Iterable[Any], state: HeadState) -> None:
        """Uploads the vertices and bones of a state, and clears the depth of the frame."""
        if self._view is None:
            raise ValueError("call set_scene before rendering")
        moving = np.ascontiguousarray(apply_morphs(self.avatar, state.morphs), np.float32)
        self._shape.write(moving.tobytes())
        bones = np.stack([matrix.T for matrix in bone_matrices(self.avatar, state)])
        for program in programs:
            program["bones"].write(bones.astype("f4").tobytes())
            program["camera"].write(self._view)
        self._frame.use()
        self._frame.clear(depth=1.0)

    def _draw(self, slot: int, array: Any) -> None:
        """Draws one index list with its texture."""
        # The skin is a closed surface, so its back faces are never seen; locks of hair are open sheets.
        hidden = moderngl_module().CULL_FACE if slot == 0 else 0
        self._context.enable_only(moderngl_module().DEPTH_TEST | hidden)
        self._textures[slot].use(0)
        array.render()

    def _read(self) -> UInt8[np.ndarray, "side side 3"]:
        side = int(self.size_px * SUPERSAMPLING)
        return np.frombuffer(self._frame.read(components=3, alignment=1), np.uint8).reshape(side, side, 3)

    def _upload(self) -> None:
        """Creates buffers, textures and the frame on the device."""
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
        """Creates the vertex array of one index list for a program."""

        def layout(buffer: Any, attributes: dict[str, int]) -> tuple[Any, ...]:
            # OpenGL drops attributes that a program does not use; their bytes are skipped.
            formats = [f"{width}f" if name in program else f"{4 * width}x" for name, width in attributes.items()]
            return buffer, " ".join(formats), *(name for name in attributes if name in program)

        buffers = [
            layout(self._shape, {"position": 3, "normal": 3}),
            layout(self._fixed, {"uv": 2, "weights": 4, "surface": 3}),
        ]
        indices = self._context.buffer(np.ascontiguousarray(triangles).tobytes())
        return self._context.vertex_array(program, buffers, indices)


def bone_matrices(avatar: Avatar, state: HeadState) -> tuple[Matrix, Matrix, Matrix, Matrix, Matrix]:
    """Returns the matrices of the bones rest, neck, head, left eye and right eye."""
    angles = np.array([state.yaw_deg, state.pitch_deg, state.roll_deg])
    body = np.eye(4)
    body[:3, 3] = state.shift_m
    neck_rotation = rotation_matrix(*(NECK_SHARE * angles))
    neck = body @ _rotation_about(avatar.pivots["neck"], neck_rotation)
    # The head joint does what the neck leaves, so that the head's rotation is exactly that of the given angles.
    head = neck @ _rotation_about(avatar.pivots["head"], neck_rotation.T @ rotation_matrix(*angles))
    gaze = rotation_matrix(state.gaze_deg[0], state.gaze_deg[1], 0.0)
    left = head @ _rotation_about(avatar.pivots["left_eye"], gaze)
    right = head @ _rotation_about(avatar.pivots["right_eye"], gaze)
    return body, neck, head, left, right


def _camera(avatar: Avatar, scene: Scene) -> tuple[Matrix, Float[np.ndarray, "3"]]:
    """Returns the matrix from space to clip coordinates, and the place of the camera."""
    centre = avatar.face_centre + np.asarray(scene.aim)
    eye = centre + np.array([0.0, 0.0, scene.distance_m])
    # In the plane of the face's centre, in which the eyes nearly lie, this zoom makes their distance eye_share.
    zoom = 2 * scene.eye_share * scene.distance_m / avatar.eye_distance_m
    view = np.eye(4)
    view[:3, 3] = -eye
    depth = _NEAR_M - _FAR_M
    projection = np.zeros((4, 4))
    projection[0, 0] = projection[1, 1] = zoom
    projection[2, 2:] = (_FAR_M + _NEAR_M) / depth, 2 * _FAR_M * _NEAR_M / depth
    projection[3, 2] = -1
    return projection @ view, eye


def _rotation_about(pivot: Float32[np.ndarray, "3"], rotation: Float[np.ndarray, "3 3"]) -> Matrix:
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = pivot - rotation @ pivot
    return matrix


def _cos_sin(angle: float) -> tuple[float, float]:
    return math.cos(angle), math.sin(angle)


def _surface(avatar: Avatar) -> Float32[np.ndarray, "vertices 3"]:
    """Returns gloss, subsurface scattering (0 or 1) and received light (0 to 1) of each vertex."""
    gloss = np.full(len(avatar.parts), _SKIN_GLOSS, np.float32)
    gloss[avatar.parts == EYE_PART] = _EYE_GLOSS
    gloss[np.isin(avatar.parts, MOUTH_PARTS)] = _MOUTH_GLOSS
    gloss[avatar.parts == HAIR_PART] = _HAIR_GLOSS
    scattering = np.where((avatar.parts == HAIR_PART) | (avatar.parts == EYE_PART), 0.0, 1.0)
    return np.stack([gloss, scattering, _received_light(avatar)], axis=1).astype(np.float32)


def _received_light(avatar: Avatar) -> Float32[np.ndarray, " vertices"]:
    """Darkens the inside of the mouth with its depth behind the front teeth, because no shadows are rendered."""
    inside = np.isin(avatar.parts, MOUTH_PARTS)
    front = avatar.positions[inside, 2].max() if inside.any() else 0.0
    depth = np.clip((front - avatar.positions[:, 2]) / _MOUTH_DEPTH_M, 0, 1)
    return np.where(inside, _MOUTH_LIGHT - _MOUTH_DARKENING * depth**_MOUTH_POWER, 1.0)
