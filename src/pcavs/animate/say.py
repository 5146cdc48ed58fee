"""Provides the driving audio of a command: the user's file, or a text spoken by eSpeak NG (`--say`)."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import Final

from pcavs.animate.options import AnimateOptions
from pcavs.errors import InputError
from pcavs.media.espeak import synthesise
from pcavs.media.files import write_wav

_MAX_CHARACTERS: Final = 20_000
"""Longest text that is spoken: about 20 minutes. Tuned by hand; not measured."""


@contextlib.contextmanager
def with_driving_audio(options: AnimateOptions) -> Generator[AnimateOptions]:
    """Yields options whose `audio` is set.

    The audio of a spoken text is a temporary file, which is removed when the block ends.

    Raises:
        InputError: There is neither audio nor a text, or both; or the text cannot be spoken.
    """
    if (options.audio is None) == (options.say is None):
        given = "neither audio nor a text to say" if options.say is None else "both audio and a text to say"
        raise InputError(f"there is {given}; give --audio FILE or --say TEXT")
    if options.say is None:
        yield options
        return
    text = options.say.strip()
    if not text or len(text) > _MAX_CHARACTERS or "\0" in text:
        raise InputError(f"a text of {len(text)} characters cannot be said; give 1 to {_MAX_CHARACTERS}")
    samples, rate_hz = synthesise(text, options.voice)
    with tempfile.TemporaryDirectory(prefix="pcavs-") as folder:
        spoken = Path(folder) / "spoken.wav"
        write_wav(spoken, samples, rate_hz)
        yield dataclasses.replace(options, audio=spoken)
