"""Which triangles of a head a film can ever show: the rest costs time and is dropped when heads are converted."""

import itertools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, UInt32

from pcavs.synth.avatars import Avatar
from pcavs.synth.render import HeadRenderer, HeadState, Light, Scene

_MOUTHS = (
    {},
    {"AE_AA": 1.0, "t_AE_AA": 1.0, "OutMiddle_tg": 0.8},
    {"S": 1.0, "t_S": 1.0, "RsmileOpen": 0.6, "LsmileOpen": 0.6},
)
_DARK = Light(direction=(0.0, 0.0, 1.0), colour=(0.0, 0.0, 0.0))


def visible_triangles(avatar: Avatar, size_px: int = 640) -> Bool[np.ndarray, " triangles"]:
    """Marks what is seen in any of 84 views, and the neighbours of that, counted through all index lists.

    The views: yaw -65 to 65 degrees, pitch -32, 0 and 32, mouth shut, wide open and smiling, eyes open and shut, a near
    and a far camera.

    Args:
        avatar: As converted.
        size_px: Fineness of the views; 640 misses no triangle of a portrait of 512 px between two pixels.
    """
    every = np.concatenate(avatar.triangles)
    seen = np.zeros(len(every), bool)
    with HeadRenderer(avatar, size_px) as renderer:
        for scene, state in _views():
            renderer.set_scene(scene)
            seen[renderer.seen_triangles(state)] = True
    return _with_neighbours(every, seen)


def _views() -> Iterator[tuple[Scene, HeadState]]:
    for distance_m in (0.42, 2.2):
        scene = Scene(
            background=np.zeros((4, 4, 3), np.uint8),
            lights=(_DARK, _DARK, _DARK),
            sky=(0.0, 0.0, 0.0),
            ground=(0.0, 0.0, 0.0),
            distance_m=distance_m,
            eye_share=0.17,
        )
        turns = itertools.product(np.linspace(-65, 65, 7).tolist(), (-32.0, 0.0, 32.0), range(len(_MOUTHS)))
        for yaw, pitch, mouth in turns:
            if distance_m > 1 and mouth:
                continue
            lids = {"ReyeClose": 1.0, "LeyeClose": 1.0} if mouth == 1 else {"ReyeOpen": 0.5, "LeyeOpen": 0.5}
            yield scene, HeadState(yaw_deg=yaw, pitch_deg=pitch, morphs={**_MOUTHS[mouth], **lids})


def _with_neighbours(
    triangles: UInt32[np.ndarray, "triangles 3"], seen: Bool[np.ndarray, " triangles"]
) -> Bool[np.ndarray, " triangles"]:
    """Adds what shares a corner: views in between, and mixed heads, show a little more."""
    touched = np.zeros(int(triangles.max()) + 1, bool)
    touched[triangles[seen]] = True
    return np.asarray(touched[triangles].any(axis=1))
