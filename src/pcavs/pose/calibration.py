"""How far a head really turns for the turn that the pose code asks for: measured, and kept with the weights."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float

from pcavs.errors import WeightsError
from pcavs.weights.locate import BUNDLE_ENDING, Weights

FORMAT: Final = "pcavs-pose-map-1"
FILE: Final = "pose.json"
AXES: Final = ("yaw", "pitch", "roll")

_ROUNDS: Final = 20
_DAMPING: Final = 0.7

Turns = Float[np.ndarray, "time 3"]
"""Yaw, pitch and roll in degrees, against the identity picture's own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoseMap:
    """For turns of the code about one axis, the turns of the face that came of them, about that axis and the others."""

    asked_deg: Float[np.ndarray, " steps"]
    """Turns of the code, rising, the same for every axis; 0 is among them."""
    made_deg: Float[np.ndarray, "steps 3 3"]
    """Median turn of the made face: step, axis asked, axis made. What was asked for never falls, and all is 0 at 0."""
    error_deg: Float[np.ndarray, "steps 3"]
    """Mean distance of single faces from that median, along the axis asked."""
    measured: str = ""
    """On what."""

    def reach(self) -> Float[np.ndarray, "2 3"]:
        """The farthest turns that can be made about one axis alone."""
        return np.stack([np.diagonal(self.made_deg[0]), np.diagonal(self.made_deg[-1])])

    def code_turns(self, wanted: Turns) -> Turns:
        """Gives the turns of the code for which the face turns as wanted, as far as it can.

        The three axes are taken to add up. A face that leans while it turns is told to lean the other way.
        """
        straight = self.made_deg[:, range(3), range(3)]
        turns = np.zeros(wanted.shape)
        for _ in range(_ROUNDS):
            aside = sum((self._made(axis, turns[:, axis]) for axis in range(3)), np.zeros(wanted.shape))
            for axis in range(3):
                aside[:, axis] -= self._made(axis, turns[:, axis])[:, axis]
            goal = wanted - aside
            columns = [_inverse(self.asked_deg, straight[:, axis], goal[:, axis]) for axis in range(3)]
            turns += _DAMPING * (np.stack(columns, axis=1) - turns)
        return turns

    def _made(self, axis: int, asked: Float[np.ndarray, " time"]) -> Turns:
        return np.stack([np.interp(asked, self.asked_deg, self.made_deg[:, axis, made]) for made in range(3)], axis=1)


def plain_map(farthest_deg: float = 40.0) -> PoseMap:
    """What weights without a measured map are taken to do: what the code says."""
    ends = np.array([-farthest_deg, 0.0, farthest_deg])
    return PoseMap(asked_deg=ends, made_deg=ends[:, None, None] * np.eye(3), error_deg=np.zeros((3, 3)))


def fit_map(
    asked_deg: Float[np.ndarray, " steps"], turns: Float[np.ndarray, "faces steps 3 3"], measured: str
) -> PoseMap:
    """Fits a map to measured turns: the median over faces, made to rise along the axis asked, and to be 0 at 0.

    Args:
        asked_deg: Turns of the code, rising.
        turns: Of each face, for each step and axis asked, how far it turned about each axis; NaN where unknown.
        measured: On what.
    """
    made = np.nanmedian(turns, axis=0)
    zero = int(np.argmin(np.abs(asked_deg)))
    made -= made[zero]
    for axis in range(3):
        straight = made[:, axis, axis]
        # What turns back at the far end is a face that falls apart: the farthest turn before it counts.
        straight[: zero + 1] = np.minimum.accumulate(straight[: zero + 1][::-1])[::-1]
        straight[zero:] = np.maximum.accumulate(straight[zero:])
    error = np.nanmean(np.abs(turns - made), axis=0)[:, range(3), range(3)]
    return PoseMap(asked_deg=asked_deg, made_deg=made, error_deg=error, measured=measured)


def save_map(poses: PoseMap, digest: str, path: Path) -> None:
    """Writes a map for the weights of a digest."""
    axes = {
        axis: {
            "made_deg": np.round(poses.made_deg[:, n], 2).tolist(),
            "error_deg": np.round(poses.error_deg[:, n], 2).tolist(),
        }
        for n, axis in enumerate(AXES)
    }
    facts = {"format": FORMAT, "digest": digest, "measured": poses.measured, "asked_deg": poses.asked_deg.tolist()}
    path.write_text(json.dumps(facts | axes, indent=1) + "\n")


def find_map(weights: Weights) -> PoseMap | None:
    """Finds the map that was measured with these weights: `pose.json` in the network folder, or beside the bundle.

    Raises:
        WeightsError: There is one, and it is damaged.
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
    try:
        fields: Any = json.loads(path.read_text())
        if fields["format"] != FORMAT:
            raise WeightsError(f"{path} is of another format than {FORMAT}; measure the map again")
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
        raise WeightsError(f"{path} does not rise; measure the map again, or remove it")
    return found


def _inverse(
    asked: Float[np.ndarray, " steps"], made: Float[np.ndarray, " steps"], wanted: Float[np.ndarray, " time"]
) -> Float[np.ndarray, " time"]:
    """Straight between the steps; where made stands still, the smallest turn of the code does."""
    zero = int(np.argmin(np.abs(asked)))
    rising = np.concatenate([[True], np.diff(made) > 1e-6])
    falling = np.concatenate([np.diff(made) > 1e-6, [True]])
    kept = np.where(np.arange(len(asked)) < zero, falling, rising)
    kept[zero] = True
    return np.interp(wanted, made[kept], asked[kept])
