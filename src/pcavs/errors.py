"""Errors that a user can act on. Their message is one line: what was found and what to do.

Anything else that is raised is a bug, and ends with a traceback.
"""

import difflib
from collections.abc import Iterable
from typing import Final

_MIN_SIMILARITY: Final = 0.5
"""`difflib` ratio from which a known name is suggested for an unknown one. Tuned by hand."""


class PcavsError(Exception):
    """Base of all errors that the command line prints as one line, without a traceback, with exit code 1."""


class InputError(PcavsError):
    """A file or value given by the user cannot be used."""


class FaceError(InputError):
    """A picture or video shows no usable face."""


class OutputError(PcavsError):
    """A result cannot be written to the place that the user gave."""


class WeightsError(PcavsError):
    """A weights file is missing or damaged, or does not fit its own spec."""


class DataError(PcavsError):
    """Training data are missing or damaged."""


def unknown_setting(name: str, known: Iterable[str], kind: str = "setting") -> str:
    """Returns a one-line message that a name does not exist, with the most similar known name as a suggestion.

    Args:
        name: What the user gave.
        known: All names that exist.
        kind: What the names are of.
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=_MIN_SIMILARITY)
    return f"no such {kind}: {name}" + (f"; did you mean {close[0]}?" if close else "")
