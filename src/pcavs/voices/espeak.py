"""Synthesises speech and phonemes with eSpeak NG.

eSpeak NG is GPL, so it is loaded by a separate process (`espeak_worker.py`), never by this one (docs/decisions/0015).
This is the only module of the package that starts a process.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Int16

from pcavs.errors import InputError

_WORKER: Final = Path(__file__).with_name("espeak_worker.py")
"""Program that the separate process runs."""
_TIMEOUT_S: Final = 60
"""Time for one text; the library speaks a sentence in milliseconds, so only a hung process reaches it."""
_WORDS_PER_MINUTE: Final = 160
"""Pace of `synthesise_all`; eSpeak's default is 175."""
_PITCH: Final = 50
"""Pitch of `synthesise_all`, 0 to 99; eSpeak's default."""
_PITCH_RANGE: Final = 50
"""Intonation range of `synthesise_all`, 0 to 99; eSpeak's default."""
_VOICE: Final = re.compile(r"\w[\w (),'-]{0,59}(\+\w[\w -]{0,59})?")
"""A voice's name or language, and its variant. eSpeak's library opens a voice as a file below its own folder, so that a
name with a slash or dots would be a path out of it."""
_QUOTED_CHARACTERS: Final = 60
"""Characters of a wrong name that an error message repeats."""


def run_worker(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Runs the worker with one request.

    Args:
        request: The fields are listed in `espeak_worker.py`.

    Returns:
        The worker's header, and the samples as little-endian 16-bit PCM.

    Raises:
        InputError: eSpeak NG is not installed, does not know the voice, takes too long, or crashes; or the voice's
            name has characters that no voice has.
    """
    voice = str(request["voice"])
    if _VOICE.fullmatch(voice) is None:
        raise InputError(
            f"{voice[:_QUOTED_CHARACTERS]!r} is no voice; give a name or language of `espeak-ng --voices`, such as "
            "en-gb, with a variant if wanted, such as en-gb+f3"
        )
    try:
        finished = subprocess.run(
            [sys.executable, "-I", str(_WORKER)],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
        line, _, sound = finished.stdout.partition(b"\n")
        header = json.loads(line)
    except subprocess.TimeoutExpired as error:
        raise InputError(f"eSpeak NG did not finish within {_TIMEOUT_S} s; give a shorter text") from error
    except (subprocess.CalledProcessError, ValueError) as error:
        raise InputError(f"eSpeak NG failed ({_last_line(error)}); try another voice or text") from error
    except OSError as error:
        raise InputError(f"eSpeak NG cannot be started ({error.strerror}); free some memory") from error
    if header.get("error") == "missing":
        raise InputError("synthetic speech needs eSpeak NG; on Debian: apt install espeak-ng")
    if "error" in header:
        raise InputError(f"eSpeak NG cannot speak: {header['error']}; `espeak-ng --voices` lists what it knows")
    return header, sound


def _last_line(error: Exception) -> str:
    """Returns the last line that a failed worker wrote, or else the error itself."""
    said = getattr(error, "stderr", None) or b""
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else str(error)


def synthesise(text: str, voice: str) -> tuple[Int16[np.ndarray, " samples"], int]:
    """Speaks a text at a moderate pace.

    Args:
        text: Words in the language of the voice.
        voice: A name or language as `espeak-ng --voices` lists them, with an optional variant, such as en-gb+f3.

    Returns:
        The samples, mono, and their rate in Hz.

    Raises:
        InputError: eSpeak NG is not installed, does not know the voice, or has nothing to say.
    """
    (samples,), rate_hz = synthesise_all([text], voice)
    return samples, rate_hz


def synthesise_all(texts: Sequence[str], voice: str) -> tuple[list[Int16[np.ndarray, " samples"]], int]:
    """Speaks several texts; arguments and errors are those of `synthesise`.

    Returns:
        The samples of each text, mono, and their rate in Hz.
    """
    pace = {"words_a_minute": _WORDS_PER_MINUTE, "pitch": _PITCH, "pitch_range": _PITCH_RANGE}
    header, sound = run_worker({"texts": list(texts), "voice": voice} | pace)
    if not sound:
        raise InputError(f"the voice {voice} makes no sound for this text; give words in its language")
    ends = np.cumsum(header["num_samples"])
    return np.split(np.frombuffer(sound, np.int16), ends[:-1]), header["rate_hz"]


def transcribe(clauses: Sequence[str], language: str) -> list[str]:
    """Returns the IPA of each clause, as eSpeak NG would speak it.

    Raises:
        InputError: eSpeak NG is not installed, or does not know the language.
    """
    return run_worker({"clauses": list(clauses), "voice": language})[0]["ipa"]


def transcribe_texts(
    texts: Sequence[Sequence[tuple[str, str]]], language: str, write_mark: Callable[[str], str] = str
) -> list[str]:
    """Returns the IPA of each text with the marks between its clauses; all of them are transcribed at once.

    Args:
        texts: The clauses of each text, each with the mark that ends it (`texts.clauses`).
        language: eSpeak NG's name of the language.
        write_mark: Writes a mark as the voice knows it.

    Raises:
        InputError: As `transcribe`.
    """
    spoken = iter(transcribe([words for text in texts for words, _ in text], language))
    lines = ["".join(next(spoken) + write_mark(mark) + " " for _, mark in text).strip() for text in texts]
    # "(en)" and the like announce a change of language.
    return [re.sub(r"\(.*?\)", "", line) for line in lines]


def languages() -> list[str]:
    """Returns the languages of eSpeak NG in alphabetical order; none where it is not installed."""
    try:
        return run_worker({"list": True, "voice": "en"})[0]["languages"]
    except InputError:
        return []
