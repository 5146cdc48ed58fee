"""A text instead of a voice."""

import contextlib
import dataclasses
import tempfile
import wave
from collections.abc import Generator
from pathlib import Path

from pcavs.animate.options import AnimateOptions
from pcavs.errors import InputError
from pcavs.media.espeak import synthesise

_LONGEST_TEXT = 20_000


@contextlib.contextmanager
def with_voice(options: AnimateOptions) -> Generator[AnimateOptions]:
    """Gives options that have driving audio: their own, or the text spoken into a file that lives as long as this.

    Raises:
        InputError: There is neither audio nor a text, or both; or it cannot be spoken.
    """
    if (options.audio is None) == (options.say is None):
        found = "neither audio nor a text to say" if options.say is None else "both audio and a text to say"
        raise InputError(f"there is {found}; give --audio FILE or --say TEXT")
    if options.say is None:
        yield options
        return
    text = options.say.strip()
    if not text or len(text) > _LONGEST_TEXT or "\0" in text:
        raise InputError(f"a text of {len(text)} characters cannot be said; give 1 to {_LONGEST_TEXT}")
    samples, rate_hz = synthesise(text, options.voice)
    with tempfile.TemporaryDirectory(prefix="pcavs-") as folder:
        spoken = Path(folder) / "spoken.wav"
        with wave.open(str(spoken), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(rate_hz)
            file.writeframes(samples.astype("<i2").tobytes())
        yield dataclasses.replace(options, audio=spoken)
