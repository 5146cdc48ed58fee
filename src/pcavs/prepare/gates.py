"""Gates: named tests that a clip must pass, each with a limit that `--limits` can change.

Three more reasons for a rejection have no limit: `decodable` (the file can be read), `face` (it shows a face) and
`fault` (processing the file raised an unexpected error).
"""

import difflib
from collections.abc import Mapping
from typing import Final, NamedTuple

from pcavs.errors import InputError


class Gate(NamedTuple):
    """A test of one measure against a limit."""

    limit: float
    """Default limit, in the measure's unit."""
    message: str
    """Reason of a rejection, a format string with {value} and {limit}."""
    is_upper: bool = False
    """True where the limit is the largest accepted value, False where it is the smallest."""

    def passes(self, value: float, limit: float) -> bool:
        """Returns whether a clip with this value is kept."""
        return value <= limit if self.is_upper else value >= limit


GATES: Final[Mapping[str, Gate]] = {
    "length": Gate(10.0, "{value:.0f} frames; at least {limit:.0f} are needed"),
    "face-size": Gate(40.0, "{value:.0f} px from brow to chin; at least {limit:.0f} are needed"),
    "found": Gate(0.9, "the face was found in {value:.0%} of the frames; at least {limit:.0%} is needed"),
    "sharpness": Gate(4.0, "the sharpness of the face is {value:.1f}; at least {limit:.1f} is needed"),
    "sound": Gate(-60.0, "{value:.0f} dB of full scale; at least {limit:.0f} is needed"),
    "offset": Gate(
        2.0, "picture and sound are {value:.0f} frames apart; at most {limit:.0f} are allowed", is_upper=True
    ),
}
"""Gates in the order in which they are applied; docs/prepare.md explains the measures.

The default limits were tuned by hand. That of `offset` follows the sync judge's figures: of 67 GRID clips it rejects
none as filmed, and 66 with the sound moved by six frames.
"""

NO_SOUND_DB: Final = -200.0
"""Loudness recorded for a video without a sound track, below any loudness that sound can have."""


class Rejection(NamedTuple):
    """Why a clip or a file is not kept."""

    gate: str
    reason: str
    value: float | None = None
    limit: float | None = None


def resolve_limits(given: tuple[tuple[str, float], ...]) -> dict[str, float]:
    """Returns the limit of every gate: the given one, or else the default.

    Raises:
        InputError: No gate has that name.
    """
    limits = {name: gate.limit for name, gate in GATES.items()}
    for name, limit in given:
        if name not in GATES:
            close = difflib.get_close_matches(name, GATES, 1)
            hint = f"did you mean {close[0]}?" if close else f"the gates are {', '.join(GATES)}"
            raise InputError(f"no gate is named {name}; {hint}")
        limits[name] = float(limit)
    return limits


def apply_gates(measures: Mapping[str, float], limits: Mapping[str, float]) -> Rejection | None:
    """Returns the rejection by the first gate that fails, in the order of `GATES`; None where all pass.

    A gate whose measure is missing is skipped.
    """
    for name, gate in GATES.items():
        if name in measures and not gate.passes(measures[name], limits[name]):
            value, limit = measures[name], limits[name]
            text = "no sound" if value == NO_SOUND_DB else gate.message.format(value=value, limit=limit)
            return Rejection(name, f"{name}: {text}", value, limit)
    return None
