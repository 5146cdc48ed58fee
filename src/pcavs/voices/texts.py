"""Prepares texts for being spoken: pauses, sentences, clauses, abbreviations and amounts of money.

eSpeak NG reads numbers, dates and units in each language by itself. What it reads badly is written out here first:
abbreviations, whose full stop it takes for the end of a sentence, and amounts such as $5.99.
"""

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from pcavs.errors import InputError

_PAUSE: Final = re.compile(r"<break\b([^<>]*)>|\[pause\b([^\[\]]*)\]", re.IGNORECASE)
"""A pause: SSML's <break time="500ms"/>, or [pause 0.5]."""
_SSML_TIME: Final = re.compile(r"""\s*(?:(time|strength)\s*=\s*["']([\w.-]+)["'])?\s*/?\s*""")
"""What follows `<break`."""
_SECONDS: Final = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(ms|s)?\s*")
_STRENGTHS_S: Final = {"none": 0.0, "x-weak": 0.1, "weak": 0.25, "medium": 0.5, "strong": 0.75, "x-strong": 1.0}
"""Lengths of SSML's named pauses; SSML leaves them to the reader. Chosen by ear."""
_DEFAULT_PAUSE: Final = "medium"
_LONGEST_PAUSE_S: Final = 10.0
_LONGEST_PAUSES_S: Final = 60.0
"""Longest pause, and longest sum of the pauses of a text, so that a short text cannot order a film of hours."""

_PARAGRAPH: Final = re.compile(r"\s*\n\s*\n\s*")
_LIST_ITEM: Final = re.compile(r"(?<![.,;:!?])\s*\n\s*(?=(?:[0-9]{1,3}[.)]|[-*•–])\s)")
"""A line break before the next item of a list."""
_BULLET: Final = re.compile(r"^\s*[-*•–]\s+", re.MULTILINE)
_MARK: Final = re.compile(r"\s+([–—])\s+|([,;:]|[.!?]+|…)(?=[\"'”’»)\]]*(?:\s|$))|([。！？।，；：、])")
"""The end of a clause. Between digits, as in 3.5 or 10:30, nothing ends, as no space follows."""
_FULL_WIDTH: Final = {"。": ".", "！": "!", "？": "?", "।": ".", "，": ",", "；": ";", "：": ":", "、": ","}
_ENDS: Final = ".!?…"
"""Marks that end a sentence."""
_INITIAL: Final = re.compile(r"(?:^|[\s(\-])((?:[^\W\d_]\.\s?)*[^\W\d_])$")
"""Ends with a letter that stands alone, as in J. Smith or U.S."""
_ORDINAL: Final = re.compile(r"(?:^|\s)[0-9]{1,2}$")
_ORDINAL_LANGUAGES: Final = frozenset(
    ["bs", "cs", "da", "de", "et", "fi", "hr", "hu", "is", "lb", "lt", "lv", "nb", "nn", "pl", "sk", "sl", "sr", "tr"]
)
"""Languages that write the third as "3."."""

_ABBREVIATIONS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "Dr.": "Doctor", "Mr.": "Mister", "Mrs.": "Missus", "Ms.": "Miz", "Prof.": "Professor", "Jr.": "Junior",
        "Sr.": "Senior", "St.": "Saint", "Mt.": "Mount", "e.g.": "for example", "i.e.": "that is", "vs.": "versus",
        "approx.": "approximately", "No.": "number", "Fig.": "figure", "Eq.": "equation", "dept.": "department",
        "Inc.": "Incorporated", "Ltd.": "Limited", "Co.": "Company", "etc.": "et cetera", "a.m.": "a m",
        "p.m.": "p m", "cf.": "compare", "Gen.": "General", "Capt.": "Captain",
    },
    "de": {
        "Dr.": "Doktor", "Prof.": "Professor", "Hr.": "Herr", "Fr.": "Frau", "z.B.": "zum Beispiel",
        "z. B.": "zum Beispiel", "d.h.": "das heißt", "d. h.": "das heißt", "u.a.": "unter anderem",
        "u. a.": "unter anderem", "usw.": "und so weiter", "bzw.": "beziehungsweise", "ca.": "zirka",
        "Nr.": "Nummer", "St.": "Sankt", "Str.": "Straße", "evtl.": "eventuell", "vgl.": "vergleiche",
        "z.T.": "zum Teil", "Mio.": "Millionen", "Mrd.": "Milliarden",
    },
    "fr": {
        "M.": "monsieur", "MM.": "messieurs", "Dr.": "docteur", "p. ex.": "par exemple", "p.ex.": "par exemple",
        "c.-à-d.": "c'est-à-dire", "etc.": "et cetera", "env.": "environ", "av.": "avant",
    },
    "es": {
        "Sr.": "señor", "Sra.": "señora", "Srta.": "señorita", "Dr.": "doctor", "Dra.": "doctora", "Ud.": "usted",
        "Uds.": "ustedes", "p. ej.": "por ejemplo", "p.ej.": "por ejemplo", "etc.": "etcétera",
        "EE. UU.": "Estados Unidos", "EE.UU.": "Estados Unidos", "aprox.": "aproximadamente", "núm.": "número",
    },
    "it": {
        "Sig.": "signor", "sig.": "signor", "Sig.ra": "signora", "Dott.": "dottor", "dott.": "dottor",
        "Prof.": "professor", "ecc.": "eccetera", "p. es.": "per esempio", "ad es.": "ad esempio", "n.": "numero",
    },
    "pt": {
        "Sr.": "senhor", "Sra.": "senhora", "Dr.": "doutor", "Dra.": "doutora", "p. ex.": "por exemplo",
        "p.ex.": "por exemplo", "etc.": "et cetera", "aprox.": "aproximadamente", "n.º": "número",
    },
}  # fmt: skip
"""What abbreviations stand for, by language."""
_CLOSING: Final = frozenset({"etc.", "usw.", "ecc.", "Jr.", "Sr.", "Inc.", "Ltd.", "Co.", "a.m.", "p.m."})
"""Abbreviations that often end a sentence: before a capital letter their full stop stays."""
_BEFORE_NUMBERS: Final = frozenset({"No.", "Fig.", "Eq.", "Nr.", "n.", "núm."})
"""Abbreviations only where a number follows."""

_MONEY: Final = re.compile(r"([$€£¥])\s?([0-9][0-9.,]*[0-9]|[0-9])(\s+(?:hundred|thousand|[mb]illion|trillion)s?\b)?")
_ENGLISH_MONEY: Final = {
    "$": ("dollar", "dollars"),
    "€": ("euro", "euros"),
    "£": ("pound", "pounds"),
    "¥": ("yen",) * 2,
}
_CENTS: Final = re.compile(r"([0-9,]+)\.([0-9]{2})")


class Piece(NamedTuple):
    """A stretch of a text between two pauses."""

    text: str
    """May be empty."""
    pause_s: float
    """Silence after it."""


def pieces(text: str) -> list[Piece]:
    """Splits a text at its pauses: `<break time="500ms"/>`, `<break strength="weak"/>`, `[pause 0.5]`, `[pause 300ms]`.

    Raises:
        InputError: A pause has no length that can be read, or is too long, or all together are.
    """
    found: list[Piece] = []
    reached = 0
    for pause in _PAUSE.finditer(text):
        found.append(Piece(text[reached : pause.start()].strip(), _pause_s(pause)))
        reached = pause.end()
    total_s = sum(piece.pause_s for piece in found)
    if total_s > _LONGEST_PAUSES_S:
        raise InputError(f"the pauses of the text are {total_s:g} s long; give at most {_LONGEST_PAUSES_S:g} s in all")
    return [*found, Piece(text[reached:].strip(), 0.0)]


def _pause_s(pause: re.Match[str]) -> float:
    length_s = None
    if pause.group(2) is not None:
        length_s = _seconds(pause.group(2)) if pause.group(2).strip() else _STRENGTHS_S[_DEFAULT_PAUSE]
    elif given := _SSML_TIME.fullmatch(pause.group(1)):
        kind, value = given.groups()
        length_s = _seconds(value) if kind == "time" else _STRENGTHS_S.get(value or _DEFAULT_PAUSE)
    if length_s is None or length_s > _LONGEST_PAUSE_S:
        raise InputError(
            f'{pause.group()[:60]} is no pause; write <break time="500ms"/> or [pause 0.5], up to '
            f"{_LONGEST_PAUSE_S:g} s"
        )
    return length_s


def _seconds(text: str) -> float | None:
    found = _SECONDS.fullmatch(text)
    return None if found is None else float(found.group(1)) / (1000 if found.group(2) == "ms" else 1)


def paragraphs(text: str) -> list[str]:
    """Splits a text at its empty lines; the items of a list become sentences."""
    found = (_BULLET.sub("", _LIST_ITEM.sub(".\n", each)) for each in _PARAGRAPH.split(text))
    return [" ".join(each.split()) for each in found if each.strip()]


def written_out(text: str, language: str) -> str:
    """Writes abbreviations and amounts of money as words.

    Args:
        text: A text.
        language: eSpeak NG's name of its language; abbreviations are known in English, German, French, Spanish,
            Italian and Portuguese.
    """
    short = language.split("-")[0]
    for abbreviation, words in _ABBREVIATIONS.get(short, {}).items():
        pattern = rf"(?<!\w){re.escape(abbreviation)}(?!\w)"
        if abbreviation in _BEFORE_NUMBERS:
            pattern += r"(?=\s*[0-9])"
        if abbreviation in _CLOSING:
            text = re.sub(rf"{pattern}(?=\s+[A-ZÀ-Þ]|\s*$)", f"{words}.", text)
        text = re.sub(pattern, words, text)
    return _MONEY.sub(_english_amount if short == "en" else r"\2\3 \1", text)


def _english_amount(found: re.Match[str]) -> str:
    sign, amount, magnitude = found.group(1), found.group(2), found.group(3) or ""
    one, many = _ENGLISH_MONEY[sign]
    cents = None if magnitude else _CENTS.fullmatch(amount)
    if cents is None or sign == "¥":
        return f"{amount}{magnitude} {one if amount == '1' and not magnitude else many}"
    unit = one if cents.group(1) == "1" else many
    return f"{cents.group(1)} {unit}" if cents.group(2) == "00" else f"{cents.group(1)} {unit} {int(cents.group(2))}"


def clauses(text: str, language: str) -> list[tuple[str, str]]:
    """Splits a text into clauses.

    Args:
        text: A text without abbreviations.
        language: eSpeak NG's name of its language.

    Returns:
        The words of each clause, and the mark at its end: one of `, ; : . ! ? …` and `—`, or empty.
    """
    found: list[tuple[str, str]] = []
    reached = 0
    for end in _MARK.finditer(text):
        mark = end.group().strip()
        words = text[reached : end.start()]
        if mark == "." and not _ends_sentence(words, language):
            continue
        reached = end.end()
        _add_clause(found, words, _plain_mark(mark))
    _add_clause(found, text[reached:], "")
    return found


def sentences(text: str, language: str) -> list[list[tuple[str, str]]]:
    """Splits a text into sentences, each a list of clauses; arguments are those of `clauses`."""
    found: list[list[tuple[str, str]]] = [[]]
    for clause in clauses(text, language):
        found[-1].append(clause)
        if clause[1] and clause[1] in _ENDS:
            found.append([])
    return [sentence for sentence in found if sentence]


def _ends_sentence(words: str, language: str) -> bool:
    initial = _INITIAL.search(words)
    if initial and (initial.group(1).isupper() or "." in initial.group(1)):
        return False
    return language.split("-")[0] not in _ORDINAL_LANGUAGES or _ORDINAL.search(words) is None


def _plain_mark(mark: str) -> str:
    if mark in ("–", "—"):
        return "—"
    if len(mark) > 1:
        return "?" if "?" in mark else "!" if "!" in mark else "…"
    return _FULL_WIDTH.get(mark, mark)


def _add_clause(found: list[tuple[str, str]], words: str, mark: str) -> None:
    words = words.strip().strip("¿¡").strip("\"'“”‘’«»() ")
    if any(symbol.isalnum() for symbol in words):
        found.append((words, mark))
    elif mark and found and not found[-1][1]:
        found[-1] = (found[-1][0], mark)
