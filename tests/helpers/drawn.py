"""Draws talking faces with exactly known landmarks, and writes clips and training packs of them."""

import functools
from pathlib import Path

import cv2
import numpy as np

from pcavs.data.pack import STATE_MARGIN_FRAMES, PackedClip, write_packs
from pcavs.face.pose import canonical_face, pose_code, rotation_from_angles
from pcavs.face.regions import INNER_LIPS, OUTER_LIPS, lips_shape
from pcavs.spec import MEL_BINS_PER_FRAME, MEL_WINDOW_BINS, STATES_PER_FRAME, FeatureSpec

DRAWN_PX = 192
"""Side of the drawing; packs hold it reduced by area averaging."""

_MAX_LIP_DROP_CM = 1.2
"""How far the lower lip moves down when the mouth is fully open."""


def head_meshes(angles_deg: np.ndarray, opening: np.ndarray, shift: np.ndarray, side_px: int) -> np.ndarray:
    """Poses the canonical head.

    Args:
        angles_deg: Yaw, pitch and roll, (time, 3).
        opening: Mouth opening, (time,), 0 shut to 1 open.
        shift: Place of the head, (time, 2), as a fraction of the side.
        side_px: Side of the picture.

    Returns:
        Landmarks in pixels, (time, 478, 3).
    """
    points = np.concatenate([canonical_face().vertices_cm, np.zeros((10, 3), np.float32)]).astype(np.float64)
    heights = points[list(INNER_LIPS + OUTER_LIPS), 1]
    below = np.exp(-((points[:, 1] - heights.max()) ** 2) / 4) * np.exp(-(points[:, 0] ** 2) / 6)
    below *= points[:, 1] > (heights.min() + heights.max()) / 2
    opened = points + below[None, :, None] * opening[:, None, None] * np.array([0, _MAX_LIP_DROP_CM, 0])
    turned = opened @ rotation_from_angles(angles_deg.astype(np.float64)).transpose(0, 2, 1)
    scale = side_px / 21
    place = np.column_stack([side_px * (0.5 + shift[:, 0]), side_px * (0.45 + shift[:, 1]), np.zeros(len(shift))])
    return (scale * turned + place[:, None]).astype(np.float32)


@functools.cache
def _look(person: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the triangles' colours and the background of an invented person."""
    rng = np.random.default_rng(person)
    canonical = canonical_face()
    middles = canonical.vertices_cm[canonical.triangles].mean(axis=1)
    waves = rng.normal(0, 0.8, (3, 6))
    texture = np.sin(middles @ waves + rng.uniform(0, 6, 6)) @ rng.normal(0, 18, (6, 3))
    skin = rng.uniform(110, 200, 3) + texture + rng.normal(0, 8, (len(middles), 1))
    small = rng.uniform(0, 255, (6, 6, 3)).astype(np.float32)
    background = cv2.resize(small, (DRAWN_PX, DRAWN_PX), interpolation=cv2.INTER_CUBIC)
    return skin.clip(0, 255), background.clip(0, 255).astype(np.uint8)


def draw_head(mesh: np.ndarray, person: int) -> np.ndarray:
    """Draws a mesh on a square of `DRAWN_PX`: triangles from far to near, then the lips and the open mouth."""
    skin, background = _look(person)
    picture = background.copy()
    triangles = canonical_face().triangles
    points = np.round(mesh[:, :2] * 16).astype(np.int32)
    order = np.argsort(-mesh[triangles, 2].mean(axis=1))
    for corners, colour in zip(points[triangles[order]], skin[order].tolist(), strict=True):
        cv2.fillConvexPoly(picture, corners, colour, cv2.LINE_8, 4)
    cv2.fillPoly(picture, [points[list(OUTER_LIPS)]], (170, 60, 70), cv2.LINE_AA, 4)
    cv2.fillPoly(picture, [points[list(INNER_LIPS)]], (40, 10, 15), cv2.LINE_AA, 4)
    return picture


def speech_mel(opening: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns a mel that is loud in low channels while the mouth is open; frame i is at the centre of window i."""
    times = (np.arange(len(opening) * MEL_BINS_PER_FRAME + MEL_WINDOW_BINS - MEL_BINS_PER_FRAME) - 9.5) / 4
    loud = np.interp(times, np.arange(len(opening)), opening)
    channels = np.linspace(1, 0, 80)[:, None]
    mel = 0.1 + 0.7 * loud * channels + 0.3 * (1 - loud) * (1 - channels) + rng.normal(0, 0.02, (80, len(times)))
    return mel.clip(0, 1).astype(np.float16)


def speech_states(opening: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns states whose first half rises and second half falls with the opening, two for each frame."""
    count = (len(opening) + 2 * STATE_MARGIN_FRAMES) * STATES_PER_FRAME
    times = np.arange(count) / STATES_PER_FRAME - STATE_MARGIN_FRAMES
    loud = np.interp(times, np.arange(len(opening)), opening)[:, None]
    sign = np.where(np.arange(FeatureSpec().dim) % 2, 1.0, -1.0)
    return (loud * sign + rng.normal(0, 0.1, (count, len(sign)))).astype(np.float16)


def drawn_clip(key: str, *, frames: int = 12, side_px: int = 64, heard: bool = True, **facts: str) -> PackedClip:
    """Makes a clip of a drawn head that turns, nods and speaks; its key seeds everything."""
    rng = np.random.default_rng(list(key.encode()))
    person = int(rng.integers(1 << 30))
    time = np.arange(frames)[:, None]
    waves = np.sin(time * rng.uniform(0.15, 0.5, (1, 5)) + rng.uniform(0, 6, (1, 5)))
    opening = (0.5 + 0.5 * np.sin(time[:, 0] * rng.uniform(0.8, 1.6) + rng.uniform(0, 6))) * heard
    meshes = head_meshes(waves[:, :3] * [16, 10, 8], opening, waves[:, 3:] * 0.04, DRAWN_PX)
    jpegs = [_jpeg(draw_head(mesh, person), side_px) for mesh in meshes]
    share = meshes.copy()
    share[:, :, :2] = (share[:, :, :2] + 0.5) / DRAWN_PX
    share[:, :, 2] /= DRAWN_PX
    return PackedClip(
        key=key,
        speaker=facts.get("speaker", key),
        source=facts.get("source", "drawn"),
        split=facts.get("split", "train"),
        jpegs=jpegs,
        mesh=share.astype(np.float16),
        lips=lips_shape(meshes).astype(np.float16),
        pose=pose_code(meshes, DRAWN_PX),
        mel=speech_mel(opening, rng) if heard else None,
        states=speech_states(opening, rng) if heard else None,
    )


def _jpeg(picture: np.ndarray, side_px: int) -> bytes:
    small = cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_AREA)
    return cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def write_drawn_packs(folder: Path, *, side_px: int = 64, frames: int = 12) -> Path:
    """Writes packs of eight clips: five with speech, one without, two for validation."""
    clips = [drawn_clip(f"said-{n}", side_px=side_px, frames=frames) for n in range(5)]
    clips += [drawn_clip("still", side_px=side_px, frames=4, heard=False, source="stills")]
    clips += [drawn_clip(f"kept-{n}", side_px=side_px, frames=frames, split="val") for n in range(2)]
    write_packs(clips, folder, frame_px=side_px, features=FeatureSpec())
    return folder
