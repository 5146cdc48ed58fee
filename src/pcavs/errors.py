"""Errors that a user can act on. Their message is one line: what was found and what to do.

Anything else that is raised is a bug, and ends with a traceback.
"""

import difflib
import errno
from collections.abc import Iterable, Iterator
from typing import Final

_MIN_SIMILARITY: Final = 0.5
"""`difflib` ratio from which a known name is suggested for an unknown one. Tuned by hand."""

_MEMORY_ERRNOS: Final = (errno.ENOMEM, errno.EAGAIN)
"""Errors of the system without memory; EAGAIN is that of a new thread, whose stack has no place."""
_MEMORY_TEXTS: Final = (
    "std::bad_alloc",  # C++
    "can't alloc",  # oneDNN
    "cannot allocate memory",  # ENOMEM
    "insufficient memory",  # OpenCV
    "resource temporarily unavailable",  # EAGAIN
    "can't start new thread",  # Python
    "failed to map segment",  # a library that is loaded
)
"""What libraries say without memory, in lower case; they have no type of error for it."""


class PcavsError(Exception):
    """Base of all errors that the command line prints as one line, without a traceback, with exit code 1."""


class InputError(PcavsError):
    """A file or value given by the user cannot be used."""


class FaceError(InputError):
    """A picture or video shows no usable face."""


class OutputError(PcavsError):
    """A result cannot be written to the place that the user gave."""


class SessionError(PcavsError):
    """A live session was called in a state in which that is not possible, such as a push after its end."""


class WeightsError(PcavsError):
    """A weights file is missing or damaged, or does not fit its own spec."""


class DataError(PcavsError):
    """Training data are missing or damaged."""


class OutOfMemoryError(PcavsError):
    """The process got no more memory."""


def raise_if_out_of_memory(error: BaseException) -> None:
    """Raises an error of one line if a library failed for want of memory; otherwise does nothing.

    Args:
        error: What the library raised; what caused it counts as well.

    Raises:
        OutOfMemoryError: It failed for want of memory.
    """
    if any(_is_out_of_memory(each) for each in _chain(error)):
        raise OutOfMemoryError(f"out of memory{_limit()}; free some, or give smaller files") from error


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    if isinstance(error, OSError) and error.errno in _MEMORY_ERRNOS:
        return True
    text = str(error).lower()
    return any(each in text for each in _MEMORY_TEXTS)


def _limit() -> str:
    """Returns the limit of this process's address space in words; nothing if there is none."""
    try:
        import resource
    except ImportError:  # Windows
        return ""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return "" if limit == resource.RLIM_INFINITY else f" (ulimit -v allows {limit / 1e9:.1f} GB)"


def install_hint(extra: str) -> str:
    """Returns the commands that install an extra of this package: from the package index, and in a checkout.

    Args:
        extra: Name of the extra, such as `train`.
    """
    return f'pip install "pcavs[{extra}]", or in a checkout pip install ".[{extra}]"'


def unknown_word(text: str, words: Iterable[str], files: str, kind: str) -> str:
    """Returns a one-line message that a word is neither a file nor one of the words that a setting takes.

    Args:
        text: What the user gave.
        words: All words that the setting takes.
        files: What it takes besides, such as "a film".
        kind: What the words are.
    """
    known = list(words)
    close = difflib.get_close_matches(text, known, n=1, cutoff=_MIN_SIMILARITY)
    others = ", ".join([*(word for word in known if word not in close), files])
    hint = f"did you mean {close[0]}? Otherwise give {others}" if close else f"give {others}"
    return f"there is no {kind} named {text}; {hint}"


def unknown_setting(name: str, known: Iterable[str], kind: str = "setting") -> str:
    """Returns a one-line message that a name does not exist, with the most similar known name as a suggestion.

    Args:
        name: What the user gave.
        known: All names that exist.
        kind: What the names are of.
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=_MIN_SIMILARITY)
    return f"no such {kind}: {name}" + (f"; did you mean {close[0]}?" if close else "")
