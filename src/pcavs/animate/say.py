"""Provides the driving audio of a command: the user's file, or a spoken text (`--say`)."""

import contextlib
import dataclasses
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import IO, Final

from pcavs.animate.options import AnimateOptions
from pcavs.errors import InputError
from pcavs.media.files import is_pipe
from pcavs.voices.speak import speak_to_file

_BLOCK_BYTES: Final = 2**20
"""Bytes that are read from a pipe at once."""
_MAX_BYTES: Final = 2 * 10**9
"""Most bytes that are read from a pipe: three hours of WAV."""


def _spooled(pipe: Path, folder: Path) -> Path:
    """Copies what a pipe delivers into a file, because sound is read more than once.

    Raises:
        InputError: The pipe cannot be read, is empty, or delivers more than 2 GB.
    """
    spool = folder / "sound"
    try:
        with spool.open("wb") as file, _opened(pipe) as source:
            while block := source.read(_BLOCK_BYTES):
                file.write(block)
                if file.tell() > _MAX_BYTES:
                    raise InputError(f"{pipe} delivers more than {_MAX_BYTES // 10**9} GB; save it as a file")
    except OSError as error:
        raise InputError(f"{pipe} cannot be read ({error.strerror}); save the sound as a file") from error
    if not spool.stat().st_size:
        raise InputError(f"{pipe} delivers nothing; check the program that writes into it")
    return spool


def _opened(pipe: Path) -> contextlib.AbstractContextManager[IO[bytes]]:
    return contextlib.nullcontext(sys.stdin.buffer) if str(pipe) == "-" else pipe.open("rb")


@contextlib.contextmanager
def with_driving_audio(options: AnimateOptions) -> Generator[AnimateOptions]:
    """Yields options whose `audio` is set, except for dialogues, which have sound of their own.

    The audio of a spoken text is a temporary file, which is removed when the block ends.

    Raises:
        InputError: There is neither audio nor a text, or both; or the text cannot be spoken.
    """
    if options.dialogue is not None:
        if options.say is not None:
            raise InputError("a dialogue has texts and sound of its own; leave say out")
        yield options
        return
    if options.audio is None and options.say is None and options.performance is not None:
        if options.performance.suffix == ".npz":
            raise InputError("a saved track has no sound; give --audio FILE or --say TEXT")
        options = dataclasses.replace(options, audio=options.performance)
    if (options.audio is None) == (options.say is None):
        given = "neither audio nor a text to say" if options.say is None else "both audio and a text to say"
        raise InputError(f"there is {given}; give --audio FILE or --say TEXT")
    if options.say is None:
        assert options.audio is not None
        if str(options.audio) != "-" and not is_pipe(options.audio):
            yield options
            return
        with tempfile.TemporaryDirectory(prefix="pcavs-") as folder:
            yield dataclasses.replace(options, audio=_spooled(options.audio, Path(folder)))
        return
    with tempfile.TemporaryDirectory(prefix="pcavs-") as folder:
        spoken = Path(folder) / "spoken.wav"
        speak_to_file(options.say, options.voice, spoken, voices=options.voices)
        yield dataclasses.replace(options, audio=spoken)
