"""How far a head really turns for the turn that the pose code asks for: measured, and kept with the weights."""

import dataclasses
import json
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float

from pcavs.errors import WeightsError
from pcavs.weights.shelf import BUNDLE_ENDING, Weights

FORMAT: Final = "pcavs-pose-map-1"
FILE: Final = "pose.json"
AXES: Final = ("yaw", "pitch", "roll")

Turns = Float[np.ndarray, "time 3"]
"""Yaw, pitch and roll in degrees, against the identity picture's own."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoseMap:
    """For each axis, turns of the code and the turns of the face that came of them."""

    asked_deg: Float[np.ndarray, " steps"]
    """Turns of the code, rising, the same for every axis; 0 is among them."""
    made_deg: Float[np.ndarray, "steps 3"]
    """Median turn of the made face; never falling, 0 at 0."""
    error_deg: Float[np.ndarray, "steps 3"]
    """Mean distance of single faces from that median."""
    measured: str = ""
    """On what."""

    def reach(self) -> Float[np.ndarray, "2 3"]:
        """The farthest turns that can be made."""
        return np.stack([self.made_deg[0], self.made_deg[-1]])

    def code_turns(self, wanted: Turns) -> Turns:
        """Gives the turns of the code for which the face turns as wanted, as far as it can."""
        columns = [_inverse(self.asked_deg, self.made_deg[:, axis], wanted[:, axis]) for axis in range(3)]
        return np.stack(columns, axis=1)


def plain_map(farthest_deg: float = 40.0) -> PoseMap:
    """What weights without a measured map are taken to do: what the code says."""
    ends = np.array([-farthest_deg, 0.0, farthest_deg])
    made = np.repeat(ends[:, None], 3, axis=1)
    return PoseMap(asked_deg=ends, made_deg=made, error_deg=np.zeros_like(made))


def fit_map(
    asked_deg: Float[np.ndarray, " steps"], turns: Float[np.ndarray, "faces steps 3"], measured: str
) -> PoseMap:
    """Fits a map to measured turns: the median over faces, made to rise, and to be 0 at 0.

    Args:
        asked_deg: Turns of the code, rising.
        turns: Of each face, for each step, how far it turned along the axis that was asked; NaN where unknown.
        measured: On what.
    """
    median = np.nanmedian(turns, axis=0)
    zero = int(np.argmin(np.abs(asked_deg)))
    median -= median[zero]
    # What turns back at the far end is a face that falls apart: the farthest turn before it counts.
    made = np.concatenate(
        [
            np.minimum.accumulate(median[: zero + 1][::-1], axis=0)[::-1],
            np.maximum.accumulate(median[zero:], axis=0)[1:],
        ]
    )
    return PoseMap(
        asked_deg=asked_deg, made_deg=made, error_deg=np.nanmean(np.abs(turns - made), axis=0), measured=measured
    )


def save_map(poses: PoseMap, digest: str, path: Path) -> None:
    """Writes a map for the weights of a digest."""
    axes = {
        axis: {
            "made_deg": np.round(poses.made_deg[:, n], 2).tolist(),
            "error_deg": np.round(poses.error_deg[:, n], 2).tolist(),
        }
        for n, axis in enumerate(AXES)
    }
    fields = {
        "format": FORMAT,
        "digest": digest,
        "measured": poses.measured,
        "asked_deg": poses.asked_deg.tolist(),
        **axes,
    }
    path.write_text(json.dumps(fields, indent=1) + "\n")


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
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(f"{path} is damaged; measure the map again, or remove it") from error
    if (
        len(asked) < 2
        or made.shape != (len(asked), 3)
        or (np.diff(asked) <= 0).any()
        or (np.diff(made, axis=0) < 0).any()
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
