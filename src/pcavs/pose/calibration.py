"""The pose map: how far a talker's network turns a head for the rotation that its pose code asks for.

A network turns less than its code says, and leans while it turns. Both were measured with the weights
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
FILE: Final = "pose.json"
AXES: Final = ("yaw", "pitch", "roll")

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
    """Rotations of the face that a network makes of rotations of the pose code about one axis."""

    asked_deg: Float[np.ndarray, " steps"]
    """Rotations of the code, strictly rising, the same for every axis; 0 is among them."""
    made_deg: Float[np.ndarray, "steps 3 3"]
    """Median rotation of the face: step, axis of the code, axis of the face. It is 0 at 0, and never falls along the
    axis of the code."""
    error_deg: Float[np.ndarray, "steps 3"]
    """Mean absolute deviation of single faces from that median, along the axis of the code."""
    measured: str = ""
    """What the map was measured on, for people."""

    def reach(self) -> Float[np.ndarray, "2 3"]:
        """Returns the smallest and the largest rotation of the face about each axis alone."""
        return np.stack([np.diagonal(self.made_deg[0]), np.diagonal(self.made_deg[-1])])

    def code_turns(self, wanted: Turns) -> Turns:
        """Returns the rotations of the code for which the face rotates as wanted, as far as it can.

        The effects of the three axes are assumed to add up. The equations are solved by damped fixed-point iteration:
        each axis is inverted for what the other two leave.

        Args:
            wanted: Rotations of the face.
        """
        straight = self.made_deg[:, range(3), range(3)]
        turns = np.zeros(wanted.shape)
        for _ in range(_ITERATIONS):
            others = sum((self._made(axis, turns[:, axis]) for axis in range(3)), np.zeros(wanted.shape))
            for axis in range(3):
                others[:, axis] -= self._made(axis, turns[:, axis])[:, axis]
            goal = wanted - others
            columns = [_inverse(self.asked_deg, straight[:, axis], goal[:, axis]) for axis in range(3)]
            turns += _DAMPING * (np.stack(columns, axis=1) - turns)
        return turns

    def _made(self, axis: int, asked: Float[np.ndarray, " time"]) -> Turns:
        """Interpolates the rotations of the face for rotations of the code about one axis."""
        return np.stack([np.interp(asked, self.asked_deg, self.made_deg[:, axis, made]) for made in range(3)], axis=1)


def plain_map(reach_deg: float = _NOMINAL_DEG) -> PoseMap:
    """Returns the map of a network that does what its code says; it stands in for one that was not measured."""
    ends = np.array([-reach_deg, 0.0, reach_deg])
    return PoseMap(asked_deg=ends, made_deg=ends[:, None, None] * np.eye(3), error_deg=np.zeros((3, 3)))


def fit_map(
    asked_deg: Float[np.ndarray, " steps"], turns: Float[np.ndarray, "faces steps 3 3"], measured: str
) -> PoseMap:
    """Fits a map to measured rotations: their median over faces, made monotonic, and shifted to 0 at 0.

    Args:
        asked_deg: Rotations of the code, strictly rising.
        turns: Rotations of each face about each axis, for each step and axis of the code; NaN where unknown.
        measured: What was measured, for people.
    """
    made = np.nanmedian(turns, axis=0)
    zero = int(np.argmin(np.abs(asked_deg)))
    made -= made[zero]
    for axis in range(3):
        straight = made[:, axis, axis]
        # A rotation that shrinks again at the far end is a face that falls apart: the largest one before it counts.
        straight[: zero + 1] = np.minimum.accumulate(straight[: zero + 1][::-1])[::-1]
        straight[zero:] = np.maximum.accumulate(straight[zero:])
    error = np.nanmean(np.abs(turns - made), axis=0)[:, range(3), range(3)]
    return PoseMap(asked_deg=asked_deg, made_deg=made, error_deg=error, measured=measured)


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
            "made_deg": np.round(poses.made_deg[:, n], 2).tolist(),
            "error_deg": np.round(poses.error_deg[:, n], 2).tolist(),
        }
        for n, axis in enumerate(AXES)
    }
    facts = {"format": FORMAT, "digest": digest, "measured": poses.measured, "asked_deg": poses.asked_deg.tolist()}
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
        asked = np.array(fields["asked_deg"], np.float64)
        made, error = (
            np.stack([np.array(fields[axis][name], np.float64) for axis in AXES], axis=1)
            for name in ("made_deg", "error_deg")
        )
        found = PoseMap(asked_deg=asked, made_deg=made, error_deg=error, measured=str(fields["measured"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise WeightsError(f"{path} is damaged; measure the map again, or remove it") from error
    if (
        asked.ndim != 1
        or len(asked) < 2
        or made.shape != (len(asked), 3, 3)
        or not (np.isfinite(asked).all() and np.isfinite(made).all())
        or (np.diff(asked) <= 0).any()
        or (np.diff(made[:, range(3), range(3)], axis=0) < 0).any()
    ):
        raise WeightsError(f"{path} holds values that are not a rising map; measure the map again, or remove it")
    return found


def _inverse(
    asked: Float[np.ndarray, " steps"], made: Float[np.ndarray, " steps"], wanted: Float[np.ndarray, " time"]
) -> Float[np.ndarray, " time"]:
    """Inverts one axis of a map by linear interpolation; where it is flat, takes the smallest rotation of the code."""
    zero = int(np.argmin(np.abs(asked)))
    rising = np.concatenate([[True], np.diff(made) > _FLAT_DEG])
    falling = np.concatenate([np.diff(made) > _FLAT_DEG, [True]])
    kept = np.where(np.arange(len(asked)) < zero, falling, rising)
    kept[zero] = True
    return np.interp(wanted, made[kept], asked[kept])
