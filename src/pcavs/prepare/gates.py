"""The gates: named rules that a clip must pass, each with a limit that an option can move.

Two more gates have no limit: `decodable` (the file can be read) and `face` (it shows one).
"""

import difflib
from collections.abc import Mapping
from typing import Final, NamedTuple

from pcavs.errors import InputError


class Gate(NamedTuple):
    """A measure must be at least `limit`, or at most."""

    limit: float
    says: str
    """The reason of a rejection, with {value} and {limit}."""
    at_most: bool = False

    def passes(self, value: float, limit: float) -> bool:
        """Whether a clip of that measure is kept."""
        return value <= limit if self.at_most else value >= limit


GATES: Final[Mapping[str, Gate]] = {
    "length": Gate(10.0, "{value:.0f} frames, {limit:.0f} are needed"),
    "face-size": Gate(40.0, "{value:.0f} px from brow to chin, {limit:.0f} are needed"),
    "found": Gate(0.9, "the face was seen in {value:.0%} of the frames, {limit:.0%} are needed"),
    "sharpness": Gate(4.0, "{value:.1f}, {limit:.1f} is needed"),
    "sound": Gate(-60.0, "{value:.0f} dB of full scale, {limit:.0f} are needed"),
    "offset": Gate(2.0, "picture and sound are {value:.0f} frames apart, at most {limit:.0f} may be", at_most=True),
}

NO_SOUND_DB: Final = -200.0
"""What a film without any sound counts as."""


class Rejection(NamedTuple):
    """Why a clip or a file is not kept."""

    gate: str
    reason: str
    value: float | None = None
    limit: float | None = None


def limits_of(given: tuple[tuple[str, float], ...]) -> dict[str, float]:
    """Puts given limits over the default ones.

    Raises:
        InputError: There is no such gate.
    """
    limits = {name: gate.limit for name, gate in GATES.items()}
    for name, limit in given:
        if name not in GATES:
            close = difflib.get_close_matches(name, GATES, 1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(GATES)}"
            raise InputError(f"no gate is named {name}; {hint}")
        limits[name] = float(limit)
    return limits


def judge(measures: Mapping[str, float], limits: Mapping[str, float]) -> Rejection | None:
    """Gives the first gate that a clip fails, in the order of `GATES`; gates that were not measured do not apply."""
    for name, gate in GATES.items():
        if name in measures and not gate.passes(measures[name], limits[name]):
            value, limit = measures[name], limits[name]
            text = "no sound" if value == NO_SOUND_DB else gate.says.format(value=value, limit=limit)
            return Rejection(name, f"{name}: {text}", value, limit)
    return None
