"""Finds the natural voices that the user has: Piper and Kokoro voices in one folder.

The folder is `--voices`, or `$PCAVS_VOICES`, or `voices` in the user's data folder. Piper voices (`NAME.onnx` with
`NAME.onnx.json`) may lie anywhere in it; a Kokoro folder holds the network, its vocabulary and its voices.
"""

import dataclasses
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

from pcavs.errors import InputError
from pcavs.provenance.keys import data_folder
from pcavs.voices import kokoro, piper
from pcavs.voices.espeak import languages
from pcavs.voices.options import VoicesOptions

logger = logging.getLogger(__name__)

_FOLDER_VARIABLE: Final = "PCAVS_VOICES"
"""Environment variable that names the folder of voices."""
_KOKORO_LICENCE: Final = "Apache-2.0"
"""Of Kokoro-82M and its voices, by its model card."""
_BEST: Final = ("af_heart", "bf_emma", "ef_dora", "ff_siwis", "hf_alpha", "if_sara", "pf_dora")
"""Kokoro's best voice of each language, by the grades of its own list of voices."""
_LICENCE: Final = re.compile(r"^\W*licen[cs]e:\s*(.+)$", re.IGNORECASE | re.MULTILINE)
"""Line of a Piper voice's MODEL_CARD."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class NaturalVoice:
    """A voice whose files the user has."""

    name: str
    """By which it is chosen: the name of its file, without the ending."""
    kind: Literal["piper", "kokoro"]
    language: str
    """eSpeak NG's name of its language."""
    licence: str
    """As its files say; `unknown` if they do not."""
    path: Path


def voices_folder(folder: Path | None = None) -> Path:
    """Returns the folder of voices: the given one, or `$PCAVS_VOICES`, or `voices` in the user's data folder."""
    if folder is not None:
        return folder
    named = os.environ.get(_FOLDER_VARIABLE)
    return Path(named) if named else data_folder() / "voices"


def natural_voices(folder: Path | None = None) -> list[NaturalVoice]:
    """Returns the voices in a folder, by language and then by quality, as far as it is known.

    Args:
        folder: As in `voices_folder`. One that was named must exist.

    Raises:
        InputError: The folder that was named is none.
    """
    place = voices_folder(folder)
    if not place.is_dir():
        if folder is not None or os.environ.get(_FOLDER_VARIABLE):
            raise InputError(f"{place} is no folder of voices; give one with Piper or Kokoro voices (docs/voices.md)")
        return []
    found: dict[str, NaturalVoice] = {}
    for voice in (*_kokoro_voices(place), *_piper_voices(place)):
        found.setdefault(voice.name, voice)
    return sorted(found.values(), key=lambda voice: (voice.language, voice.name not in _BEST, voice.kind, voice.name))


def find_voice(name: str, folder: Path | None = None) -> NaturalVoice | None:
    """Returns the natural voice of a name, or the first one of a language; None if eSpeak NG is to speak.

    Args:
        name: Name of a natural voice, or a language such as en-us or en. A variant (en-us+f3) is eSpeak NG's.
        folder: As in `natural_voices`.

    Raises:
        InputError: As `natural_voices`.
    """
    voices = natural_voices(folder)
    by_name = [voice for voice in voices if voice.name == name]
    by_language = [voice for voice in voices if voice.language == name]
    by_family = [voice for voice in voices if voice.language.startswith(f"{name}-")]
    return next(iter((*by_name, *by_language, *by_family)), None)


def _kokoro_voices(folder: Path) -> Iterator[NaturalVoice]:
    for network in sorted(folder.rglob(kokoro.NETWORK)):
        for path in sorted(network.parent.glob("*.bin")):
            if path.stem[:1] in kokoro.LANGUAGES:
                language = kokoro.language_of(path)
                yield NaturalVoice(name=path.stem, kind="kokoro", language=language, licence=_KOKORO_LICENCE, path=path)


def _piper_voices(folder: Path) -> Iterator[NaturalVoice]:
    for config in sorted(folder.rglob("*.onnx.json")):
        path = config.with_suffix("")
        try:
            language = piper.language_of(path)
        except InputError as error:
            logger.warning("%s", error)
            continue
        if not path.is_file():
            logger.warning("%s is missing; download it as well", path)
            continue
        yield NaturalVoice(name=path.stem, kind="piper", language=language, licence=_licence(path), path=path)


def _licence(path: Path) -> str:
    """Returns the licence that the model card beside a Piper voice names."""
    for card in (path.with_name(f"{path.name}.MODEL_CARD"), path.with_name(f"{path.stem}.MODEL_CARD")):
        if card.is_file():
            break
    else:
        card = path.with_name("MODEL_CARD")
    try:
        found = _LICENCE.search(card.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        found = None
    return found.group(1).strip()[:80] if found else "unknown"


def run(options: VoicesOptions) -> list[str]:
    """Implements `pcavs voices`: returns a line for each natural voice, and one for eSpeak NG.

    Raises:
        InputError: The named folder is none.
    """
    place = voices_folder(options.voices)
    voices = natural_voices(options.voices)
    lines = [f"{voice.name:28} {voice.language:10} {voice.kind:8} {voice.licence}" for voice in voices]
    if not voices:
        lines = [f"no natural voices in {place}; docs/voices.md says where there are some"]
    known = languages()
    if not known:
        return [*lines, "eSpeak NG is not installed, which every voice needs; on Debian: apt install espeak-ng"]
    return [*lines, f"eSpeak NG (GPL-3.0-or-later, a program of its own) speaks the others: {', '.join(known)}"]
