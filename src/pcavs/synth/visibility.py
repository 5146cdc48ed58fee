"""Finds the triangles of a head that a clip can show; the converter drops the others, which only cost time."""

import itertools
from collections.abc import Iterator
from typing import Final

import numpy as np
from jaxtyping import Bool, UInt32

from pcavs.synth.avatars import Avatar
from pcavs.synth.render import HeadRenderer, HeadState, Light, Scene

_EXPRESSIONS: Final = (
    {},
    {"AE_AA": 1.0, "t_AE_AA": 1.0, "OutMiddle_tg": 0.8},
    {"S": 1.0, "t_S": 1.0, "RsmileOpen": 0.6, "LsmileOpen": 0.6},
)
"""Morphs of the mouth: shut, wide open with the tongue out, and smiling with teeth shown."""

_OPEN_EXPRESSION: Final = 1
"""The expression that is drawn with shut eyes; the others have wide open eyes."""

_SHUT_EYES, _OPEN_EYES = {"ReyeClose": 1.0, "LeyeClose": 1.0}, {"ReyeOpen": 0.5, "LeyeOpen": 0.5}
"""Morphs of the eyelids."""

_YAWS_DEG: Final = (-65, 65, 7)
"""Least and greatest yaw, and number of steps; clips reach 60 degrees."""

_PITCHES_DEG: Final = (-32.0, 0.0, 32.0)
"""Pitches; clips reach 30 degrees."""

_NEAR_M, _FAR_M = 0.42, 2.2
"""Distances of the camera; clips use 0.45 to 2.2 m. From afar only the shut mouth is drawn."""

_EYE_SHARE: Final = 0.17
"""Framing of the views, a little wider than that of clips, so that all of the head is in the picture."""

_DARK: Final = Light(direction=(0.0, 0.0, 1.0), colour=(0.0, 0.0, 0.0))


def visible_triangles(avatar: Avatar, size_px: int = 640) -> Bool[np.ndarray, " triangles"]:
    """Marks the triangles that are seen in any of 84 views, and their neighbours, through all index lists.

    The views combine yaws from -65 to 65 degrees, pitches of -32, 0 and 32, three expressions seen from nearby, and a
    shut mouth seen from afar.

    Args:
        avatar: As converted.
        size_px: Side of the views; at 640 no triangle that a clip of 512 px shows falls between two pixels.
    """
    triangles = np.concatenate(avatar.triangles)
    is_visible = np.zeros(len(triangles), bool)
    with HeadRenderer(avatar, size_px) as renderer:
        for scene, state in _views():
            renderer.set_scene(scene)
            is_visible[renderer.visible_triangles(state)] = True
    return _with_neighbours(triangles, is_visible)


def _views() -> Iterator[tuple[Scene, HeadState]]:
    for distance_m in (_NEAR_M, _FAR_M):
        scene = Scene(
            background=np.zeros((4, 4, 3), np.uint8),
            lights=(_DARK, _DARK, _DARK),
            sky=(0.0, 0.0, 0.0),
            ground=(0.0, 0.0, 0.0),
            distance_m=distance_m,
            eye_share=_EYE_SHARE,
        )
        views = itertools.product(np.linspace(*_YAWS_DEG).tolist(), _PITCHES_DEG, range(len(_EXPRESSIONS)))
        for yaw, pitch, expression in views:
            if distance_m == _FAR_M and expression:
                continue
            eyes = _SHUT_EYES if expression == _OPEN_EXPRESSION else _OPEN_EYES
            yield scene, HeadState(yaw_deg=yaw, pitch_deg=pitch, morphs={**_EXPRESSIONS[expression], **eyes})


def _with_neighbours(
    triangles: UInt32[np.ndarray, "triangles 3"], is_visible: Bool[np.ndarray, " triangles"]
) -> Bool[np.ndarray, " triangles"]:
    """Adds triangles that share a vertex: poses between the views, and mixed heads, show a little more."""
    is_touched = np.zeros(int(triangles.max()) + 1, bool)
    is_touched[triangles[is_visible]] = True
    return np.asarray(is_touched[triangles].any(axis=1))
