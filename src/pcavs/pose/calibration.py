"""The pose map: how far a talker's network turns a head for a rotation of the pose code.

A network turns a head less than its code says, and rolls it a little, too. Both were measured with the weights
(`benchmarks/measure_pose.py fit`) and are stored beside them as `pose.json`; `code_turns` inverts them. Heads that are
turned by depth need no map.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float

from pcavs.errors import WeightsError
from pcavs.media.files import write_json
from pcavs.weights.locate import BUNDLE_ENDING, Weights

FORMAT: Final = "pcavs-pose-map-1"
"""Format name inside the file."""
FILE: Final = "pose.json"
"""Name of the file in a network folder; beside a bundle it comes after the bundle's name."""
AXES: Final = ("yaw", "pitch", "roll")
"""Names of the axes, in the order of all arrays."""

_ITERATIONS: Final = 20
"""Iterations of `PoseMap.code_turns`. Tuned by hand; not measured."""
_DAMPING: Final = 0.7
"""Share of the correction that each iteration applies. Tuned by hand; not measured."""
_FLAT_DEG: Final = 1e-6
"""Rise of the measured rotation between two steps below which the curve counts as flat."""
_NOMINAL_DEG: Final = 40.0
"""Reach that weights without a measured map are assumed to have. Tuned by hand; not measured."""

Turns = Float[np.ndarray, "time 3"]
"""Yaw, pitch and roll in degrees, less those of the photograph."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoseMap:
    """Measured rotations of the face for rotations of the pose code about one axis."""

    code_deg: Float[np.ndarray, " steps"]
    """Rotations of the code, strictly rising, the same for every axis; 0 is among them."""
    face_deg: Float[np.ndarray, "steps 3 3"]
    """Median rotation of the face: step, axis of the code, axis of the face. It is 0 at 0, and never falls along the
    axis of the code."""
    error_deg: Float[np.ndarray, "steps 3"]
    """Mean absolute deviation of single faces from that median, along the axis of the code."""
    measured: str = ""
    """What the map was measured on, for people."""

    def reach(self) -> Float[np.ndarray, "2 3"]:
        """Returns the smallest and the largest rotation of the face about each axis alone."""
        return np.stack([np.diagonal(self.face_deg[0]), np.diagonal(self.face_deg[-1])])

    def code_turns(self, requested: Turns) -> Turns:
        """Returns the rotations of the code for which the face rotates as requested, as far as it can.

        The effects of the three axes are assumed to add up. The equations are solved by damped fixed-point iteration:
        each axis is inverted for the requested rotation minus the effects of the other two.

        Args:
            requested: Rotations of the face.
        """
        straight = self.face_deg[:, range(3), range(3)]
        turns = np.zeros(requested.shape)
        for _ in range(_ITERATIONS):
            others = sum((self._face_turns(axis, turns[:, axis]) for axis in range(3)), np.zeros(requested.shape))
            for axis in range(3):
                others[:, axis] -= self._face_turns(axis, turns[:, axis])[:, axis]
            goal = requested - others
            columns = [_inverse(self.code_deg, straight[:, axis], goal[:, axis]) for axis in range(3)]
            turns += _DAMPING * (np.stack(columns, axis=1) - turns)
        return turns

    def _face_turns(self, axis: int, code: Float[np.ndarray, " time"]) -> Turns:
        """Interpolates the rotations of the face for rotations of the code about one axis."""
        return np.stack([np.interp(code, self.code_deg, self.face_deg[:, axis, face]) for face in range(3)], axis=1)


def plain_map(reach_deg: float = _NOMINAL_DEG) -> PoseMap:
    """Returns a map in which the face rotates as the code does; used for weights that were not measured."""
    ends = np.array([-reach_deg, 0.0, reach_deg])
    return PoseMap(code_deg=ends, face_deg=ends[:, None, None] * np.eye(3), error_deg=np.zeros((3, 3)))


def fit_map(
    code_deg: Float[np.ndarray, " steps"], turns: Float[np.ndarray, "faces steps 3 3"], measured: str
) -> PoseMap:
    """Fits a map to measured rotations: their median over faces, made monotonic, and shifted to 0 at 0.

    Args:
        code_deg: Rotations of the code, strictly rising.
        turns: Rotations of each face about each axis, for each step and axis of the code; NaN where unknown.
        measured: What was measured, for people.
    """
    face = np.nanmedian(turns, axis=0)
    zero = int(np.argmin(np.abs(code_deg)))
    face -= face[zero]
    for axis in range(3):
        straight = face[:, axis, axis]
        # Where the rotation of the face falls again towards the ends, the rendered face is distorted: the largest
        # rotation before that is kept.
        straight[: zero + 1] = np.minimum.accumulate(straight[: zero + 1][::-1])[::-1]
        straight[zero:] = np.maximum.accumulate(straight[zero:])
    error = np.nanmean(np.abs(turns - face), axis=0)[:, range(3), range(3)]
    return PoseMap(code_deg=code_deg, face_deg=face, error_deg=error, measured=measured)


def save_map(poses: PoseMap, digest: str, path: Path) -> None:
    """Writes a map (docs/formats.md).

    Args:
        poses: The map.
        digest: SHA-256 of the weights that it was measured with.
        path: The file to write.

    Raises:
        OutputError: It cannot be written.
    """
    axes = {
        axis: {
            "made_deg": np.round(poses.face_deg[:, n], 2).tolist(),
            "error_deg": np.round(poses.error_deg[:, n], 2).tolist(),
        }
        for n, axis in enumerate(AXES)
    }
    facts = {"format": FORMAT, "digest": digest, "measured": poses.measured, "asked_deg": poses.code_deg.tolist()}
    write_json(path, facts | axes)


def find_map(weights: Weights) -> PoseMap | None:
    """Finds the map of these weights: `pose.json` in the network folder, or beside the bundle; None if there is none.

    Maps of other weights are ignored.

    Raises:
        WeightsError: There is a map, and it is damaged.
    """
    places = [weights.networks / FILE] if weights.networks else []
    if weights.bundle:
        places.append(weights.bundle.with_name(weights.bundle.name.removesuffix(BUNDLE_ENDING) + f".{FILE}"))
    for place in places:
        if place.is_file():
            found = _read_map(place, weights.digest)
            if found is not None:
                return found
    return None


def _read_map(path: Path, digest: str) -> PoseMap | None:
    """Reads and checks a map; None if it belongs to other weights."""
    try:
        fields: Any = json.loads(path.read_text())
        if fields["format"] != FORMAT:
            raise WeightsError(f"{path} does not have the format {FORMAT}; measure the map again")
        if fields["digest"] != digest:
            return None
        code = np.array(fields["asked_deg"], np.float64)
        face, error = (
            np.stack([np.array(fields[axis][name], np.float64) for axis in AXES], axis=1)
            for name in ("made_deg", "error_deg")
        )
        found = PoseMap(code_deg=code, face_deg=face, error_deg=error, measured=str(fields["measured"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged; measure the map again, or remove it") from error
    if (
        code.ndim != 1
        or len(code) < 2
        or face.shape != (len(code), 3, 3)
        or not (np.isfinite(code).all() and np.isfinite(face).all())
        or (np.diff(code) <= 0).any()
        or (np.diff(face[:, range(3), range(3)], axis=0) < 0).any()
    ):
        raise WeightsError(f"{path} holds values that are not a rising map; measure the map again, or remove it")
    return found


def _inverse(
    code: Float[np.ndarray, " steps"], face: Float[np.ndarray, " steps"], requested: Float[np.ndarray, " time"]
) -> Float[np.ndarray, " time"]:
    """Inverts one axis of a map by linear interpolation; where it is flat, takes the smallest rotation of the code."""
    zero = int(np.argmin(np.abs(code)))
    rising = np.concatenate([[True], np.diff(face) > _FLAT_DEG])
    falling = np.concatenate([np.diff(face) > _FLAT_DEG, [True]])
    kept = np.where(np.arange(len(code)) < zero, falling, rising)
    kept[zero] = True
    return np.interp(requested, face[kept], code[kept])
