"""Errors a user can act on: one line, what was found and what to do."""

import difflib
from collections.abc import Iterable


class PcavsError(Exception):
    """Base of every error that the command line prints as one line, without a trace, with exit code 1."""


class InputError(PcavsError):
    """A file or value that the user gave cannot be used as it is."""


class FaceError(InputError):
    """A picture or film has no usable face."""


class OutputError(PcavsError):
    """A result cannot be written where the user asked for it."""


class WeightsError(PcavsError):
    """A weights file is missing, damaged, or does not fit its own spec."""


class DataError(PcavsError):
    """Training data is missing or damaged."""


def unknown_setting(name: str, known: Iterable[str]) -> str:
    """Says in one line that there is no such setting, and which one may have been meant."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"no such setting: {name}" + (f"; did you mean {close[0]}?" if close else "")
