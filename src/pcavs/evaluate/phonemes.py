"""Reads the times of a clip's phonemes, from the JSON file beside its video, and picks those that show on the lips.

`pcavs synth` writes such files with its clips; `scripts/align_grid.py` writes them for recordings (docs/formats.md).
"""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from pcavs.errors import InputError
from pcavs.metrics.closure import Span
from pcavs.voices.phonemes import Phoneme

_BILABIALS: Final = "mbp"
"""IPA of the sounds for which the lips meet."""
_OPEN_VOWELS: Final = "aäɑɐʌæɛɔɒ"
"""IPA of the vowels for which they are well apart."""
_STRESS_MARKS: Final = "ˈˌ"


def read_phonemes(path: Path) -> tuple[Phoneme, ...]:
    """Reads `phonemes`, rows of [IPA, start, end] in seconds, from a JSON file.

    Returns nothing where the file or the key is missing.

    Raises:
        InputError: The file is not JSON, or the rows are not of this form.
    """
    if not path.is_file():
        return ()
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        rows = fields.get("phonemes", []) if isinstance(fields, dict) else []
        return tuple(_phoneme(*row) for row in rows)
    except (OSError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path} has unusable phonemes ({error}); give rows of [IPA, start, end]") from error


def _phoneme(ipa: Any, start_s: Any, end_s: Any) -> Phoneme:
    if not isinstance(ipa, str) or not 0 <= float(start_s) <= float(end_s) < math.inf:
        raise ValueError(f"{[ipa, start_s, end_s]} is not a phoneme with its times")
    return Phoneme(ipa=ipa, start_s=float(start_s), end_s=float(end_s))


def bilabials(phonemes: Iterable[Phoneme]) -> list[Span]:
    """Returns the times of m, b and p."""
    return _spans(phonemes, _BILABIALS)


def open_vowels(phonemes: Iterable[Phoneme]) -> list[Span]:
    """Returns the times of open vowels."""
    return _spans(phonemes, _OPEN_VOWELS)


def _spans(phonemes: Iterable[Phoneme], symbols: str) -> list[Span]:
    return [(each.start_s, each.end_s) for each in phonemes if each.ipa.lstrip(_STRESS_MARKS)[:1] in tuple(symbols)]
