"""Measures a person's own teeth in frames of a video that show them: how far they reach, their brightness and tint.

The teeth of `inside` are the same for everybody. With these figures, which `pcavs adapt` stores beside a person's
weights, they reach as far below and above the lips as the person's, in the person's brightness and colour. Pixels of
the frames themselves are not used: in most videos they are a blur, which looked worse than the drawing.
"""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float32

from pcavs.errors import WeightsError
from pcavs.face.pose import angles_deg, head_frame, head_pose
from pcavs.face.regions import INNER_LIPS
from pcavs.media.files import write_json
from pcavs.mouth.inside import TEETH_WHITENESS, OwnTeeth, admitted_light
from pcavs.mouth.palette import LUMA_WEIGHTS, MouthPalette
from pcavs.types import Mesh, Picture
from pcavs.weights.locate import BUNDLE_ENDING, Weights

FORMAT: Final = "pcavs-teeth-1"
FILE: Final = "teeth.json"

_MIDDLE: Final = (13, 14)
"""Landmarks of the inner lips' middles, upper and lower."""
_PX_PER_CM: Final = 20
"""Resolution at which the opening is searched."""
_HALF_WIDTH_CM: Final = 0.6
"""Half the width of the strip in the middle of the mouth that is searched: the incisors."""
_MIN_OPENING_CM: Final = 0.4
"""Smallest opening of a frame that is measured."""
_MAX_TURN_DEG: Final = 15.0
"""Largest yaw and pitch of such a frame."""
_BRIGHT: Final = 0.5
"""Luma, as a share of the eyes' whites in the light of the opening, from which a pixel counts as a tooth."""
_MAX_REDNESS: Final = 0.6
"""Redness, where teeth are 0 and lips 1, up to which it does. Both chosen by eye on five people."""
_LIP_REACH_CM: Final = 0.2
"""How far a row of teeth may begin from the lip that it is hidden under."""
_GAP_CM: Final = 0.1
"""Smallest gap at a row's biting edge: without one, the edge may be the other row's, or hidden."""
_MIN_ROW_CM: Final = 0.1
"""Smallest visible height of a row."""
_MIN_FRAMES: Final = 5
"""Fewest frames of a figure."""
_REST_PERCENTILE: Final = 10
"""Percentile of the opening whose frames show where the lips meet."""
_LIMITS: Final = {
    "upper_cm": (0.12, 0.45),
    "lower_cm": (0.05, 0.2),
    "whiteness": (0.7, 1.5),
    "lower_light": (0.4, 0.9),
    "tint": (0.85, 1.15),
}
"""Limits of the figures. What is measured beyond them is an error of the landmarks, or light that teeth do not have; a
talker's upper lip rises less than most people's, so that shorter upper teeth would never show, and longer lower ones
look like dentures."""


class _Row(NamedTuple):
    """A row of teeth in one frame."""

    height_cm: float
    """Distance of the biting edge from the upper lip's inner edge (upper row) or the lower lip's (lower row)."""
    brightness: float
    """Luma as a share of the eyes' whites, in full light."""
    tint: Float32[np.ndarray, "3"]
    """Its hue as a factor on that of the eyes' whites."""


def measure_teeth(frames: Iterable[tuple[Picture, Mesh]]) -> OwnTeeth:
    """Measures both rows of teeth over all frames that show them; takes about 1 ms a frame.

    Args:
        frames: Aligned crops of one person, RGB, each with its landmarks in pixels of the crop.
    """
    lips: list[tuple[float, float]] = []
    uppers: list[tuple[float, _Row]] = []
    lowers: list[_Row] = []
    for picture, mesh in frames:
        upper_lip, lower_lip = (float(y) for y in head_frame(mesh[None])[0, _MIDDLE, 1])
        lips.append((lower_lip - upper_lip, (lower_lip + upper_lip) / 2))
        if lower_lip - upper_lip < _MIN_OPENING_CM:
            continue
        upper, lower = _rows(picture, mesh, lower_lip - upper_lip)
        if upper is not None:
            uppers.append((upper_lip, upper))
        if lower is not None:
            lowers.append(lower)
    own: dict[str, Any] = {}
    if len(uppers) >= _MIN_FRAMES:
        openings, heights = np.array(lips).T
        # The upper teeth do not move against the head, so their edge is measured from where the lips meet at rest.
        rest = float(np.median(heights[openings <= np.percentile(openings, _REST_PERCENTILE)]))
        own["upper_cm"] = _median("upper_cm", [lip + row.height_cm - rest for lip, row in uppers])
        own["whiteness"] = _median("whiteness", [row.brightness for _, row in uppers])
        own["tint"] = tuple(_median("tint", [float(row.tint[c]) for _, row in uppers]) for c in range(3))
    if len(lowers) >= _MIN_FRAMES:
        own["lower_cm"] = _median("lower_cm", [row.height_cm for row in lowers])
        whiteness = own.get("whiteness", TEETH_WHITENESS)
        own["lower_light"] = _median("lower_light", [row.brightness / whiteness for row in lowers])
    return OwnTeeth(**own)


def _median(name: str, values: list[float]) -> float:
    return float(np.clip(np.median(values), *_LIMITS[name]))


def _rows(picture: Picture, mesh: Mesh, opening_cm: float) -> tuple[_Row | None, _Row | None]:
    """Measures the upper and the lower row in a frame; None where it does not show one with a gap at its edge."""
    pose = head_pose(mesh[None])
    if np.abs(angles_deg(pose.rotation.astype(np.float64))[0, :2]).max() > _MAX_TURN_DEG:
        return None, None
    palette = MouthPalette(mesh, picture)
    colours, inside = _strip(picture, mesh, opening_cm)
    light = admitted_light(opening_cm)
    luma = colours @ LUMA_WEIGHTS / np.float32(palette.white * light)
    tooth = (luma > _BRIGHT) & (palette.redness(colours) < _MAX_REDNESS) & inside
    is_tooth = tooth.sum(axis=1) > 0.5 * np.maximum(inside.sum(axis=1), 1)
    upper = _row(is_tooth, inside, luma, tooth, colours, palette)
    return upper, _row(is_tooth[::-1], inside[::-1], luma[::-1], tooth[::-1], colours[::-1], palette)


def _row(
    is_tooth: Bool[np.ndarray, " rows"],
    inside: Bool[np.ndarray, "rows columns"],
    luma: Float32[np.ndarray, "rows columns"],
    tooth: Bool[np.ndarray, "rows columns"],
    colours: Float32[np.ndarray, "rows columns 3"],
    palette: MouthPalette,
) -> _Row | None:
    """Measures the row of teeth next to the lip at row 0."""
    rows = np.flatnonzero(inside.mean(axis=1) > 0.5)
    shown = np.flatnonzero(is_tooth)
    if not len(rows) or not len(shown) or shown[0] - rows[0] > _LIP_REACH_CM * _PX_PER_CM:
        return None
    dark = np.flatnonzero(~is_tooth[shown[0] :])
    edge = shown[0] + (int(dark[0]) if len(dark) else len(is_tooth))
    gap = is_tooth[edge : edge + round(_GAP_CM * _PX_PER_CM)]
    if edge - shown[0] < _MIN_ROW_CM * _PX_PER_CM or gap.any() or edge + len(gap) > rows[-1] + 1:
        return None
    span = np.s_[shown[0] : edge]
    pixels = colours[span][tooth[span]]
    colour = np.median(pixels, axis=0)
    hue = colour / max(float(colour @ LUMA_WEIGHTS), 1.0)
    bright = float(np.percentile(luma[span][tooth[span]], 75))
    return _Row((edge - rows[0]) / _PX_PER_CM, bright, (hue / palette.white_hue).astype(np.float32))


def _strip(
    picture: Picture, mesh: Mesh, opening_cm: float
) -> tuple[Float32[np.ndarray, "rows columns 3"], Bool[np.ndarray, "rows columns"]]:
    """Samples the middle of the mouth, level with the head, from lip to lip; and tells what is between the lips."""
    pose = head_pose(mesh[None])
    columns = (np.arange(round(2 * _HALF_WIDTH_CM * _PX_PER_CM)) + 0.5) / _PX_PER_CM - _HALF_WIDTH_CM
    rows = (np.arange(round((opening_cm + 2 * _LIP_REACH_CM) * _PX_PER_CM)) + 0.5) / _PX_PER_CM - _LIP_REACH_CM
    to_px = pose.rotation[0, :2, :2] * pose.scale_px_per_cm[0]
    places = (np.stack(np.meshgrid(columns, rows), axis=-1) @ to_px.T + mesh[_MIDDLE[0], :2]).astype(np.float32)
    between = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillPoly(between, [np.rint(mesh[list(INNER_LIPS), :2]).astype(np.int32)], (255,))
    x, y = (np.ascontiguousarray(places[..., axis]) for axis in range(2))
    colours = cv2.remap(picture.astype(np.float32), x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return colours, cv2.remap(between, x, y, cv2.INTER_NEAREST) > 0


def save_teeth(teeth: OwnTeeth, digest: str, path: Path) -> None:
    """Writes a person's figures (docs/formats.md).

    Args:
        teeth: The figures.
        digest: SHA-256 of the bundle of the person's weights.
        path: The file to write (`teeth_path`).

    Raises:
        OutputError: It cannot be written.
    """
    write_json(path, {"format": FORMAT, "digest": digest} | dataclasses.asdict(teeth))


def teeth_path(bundle: Path) -> Path:
    """Returns where the figures of a bundle's person are stored: `NAME.teeth.json` beside `NAME.safetensors`."""
    return bundle.with_name(f"{bundle.name.removesuffix(BUNDLE_ENDING)}.{FILE}")


def find_teeth(weights: Weights) -> OwnTeeth | None:
    """Finds the figures beside the bundle or the network folder; None if there are none, or those of other weights.

    Raises:
        WeightsError: The file is damaged.
    """
    for place in filter(None, (weights.bundle, weights.networks)):
        path = teeth_path(place)
        if path.is_file():
            return _read(path, weights.digest)
    return None


def _read(path: Path, digest: str) -> OwnTeeth | None:
    try:
        fields: Any = json.loads(path.read_text())
        if fields.pop("format") != FORMAT:
            raise ValueError("another format")
        if fields.pop("digest") != digest:
            return None
        if fields["tint"] is not None:
            red, green, blue = map(float, fields["tint"])
            fields["tint"] = red, green, blue
        fields |= {name: float(fields[name]) for name in _LIMITS if name != "tint"}
        for name, (low, high) in _LIMITS.items():
            for value in fields[name] or () if name == "tint" else (fields[name],):
                if not low <= value <= high:
                    raise ValueError(f"{name} {value}")
        teeth = OwnTeeth(**fields)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged ({error}); run `pcavs adapt` again, or remove it") from error
    return teeth
