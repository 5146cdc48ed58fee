"""What is said on the page: sound files, texts, and the microphone, all mono at the stream's rate."""

import tempfile
from collections import deque
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Float32

from pcavs.errors import InputError
from pcavs.media.audio import stream_waveform
from pcavs.types import Waveform
from pcavs.voices.speak import speak_to_file

RATE_HZ: Final = 48_000
"""Sampling rate of WebRTC's sound."""
_MAX_S: Final = 300
"""Longest file or text."""
_MAX_CHARACTERS: Final = 2000
"""Longest text that is spoken at once."""

_OPEN_RMS: Final = 10 ** (-45 / 20)
"""Level from which the microphone counts as speech: -45 dB. Chosen by ear; browsers level microphones."""
_HOLD_S: Final = 0.6
"""Time for which quiet sound after speech is still taken: pauses between words."""
_LEAD_S: Final = 0.2
"""Sound before speech that is taken as well, because words begin quietly."""


def read_file(path: Path) -> Waveform:
    """Reads a sound file.

    Raises:
        InputError: It cannot be read, has no sound, or is longer than five minutes.
    """
    pieces, length = [], 0
    for piece in stream_waveform(path, rate_hz=RATE_HZ):
        pieces.append(piece)
        length += len(piece)
        if length > _MAX_S * RATE_HZ:
            raise InputError(f"{path.name} is longer than {_MAX_S} s; give a part of it")
    if not length:
        raise InputError(f"{path.name} holds no sound; give another file")
    return np.concatenate(pieces)


def read_bytes(content: bytes) -> Waveform:
    """Reads the content of a sound file.

    Raises:
        InputError: As `read_file`.
    """
    with tempfile.TemporaryDirectory(prefix="pcavs-") as folder:
        path = Path(folder) / "the sound"
        path.write_bytes(content)
        try:
            return read_file(path)
        except InputError as error:
            raise InputError(str(error).replace(f"{folder}/", "")) from error


def speak(text: str, voice: str, voices: Path | None = None) -> Waveform:
    """Speaks a text; arguments are those of `voices.speak.speak`.

    Raises:
        InputError: The text is empty or too long, or cannot be spoken.
    """
    with tempfile.TemporaryDirectory(prefix="pcavs-") as folder:
        path = Path(folder) / "spoken.wav"
        speak_to_file(text, voice, path, voices=voices, max_characters=_MAX_CHARACTERS)
        return read_file(path)


class VoiceGate:
    """Takes speech out of a microphone's sound, so that noise does not move the lips, and says where it ends."""

    def __init__(self) -> None:
        self._lead: deque[Waveform] = deque()
        self._quiet_s = _HOLD_S
        self.is_open = False

    def next(self, block: Float32[np.ndarray, " heard"]) -> tuple[Float32[np.ndarray, " said"], bool]:
        """Takes the next block, of about 20 ms.

        Returns:
            The sound to speak, which may be empty, and whether an utterance ended with it.
        """
        seconds = len(block) / RATE_HZ
        if len(block) and np.sqrt(np.mean(np.square(block))) >= _OPEN_RMS:
            self._quiet_s = 0.0
            if not self.is_open:
                self.is_open = True
                block = np.concatenate([*self._lead, block])
                self._lead.clear()
            return block, False
        self._quiet_s += seconds
        if self.is_open:
            self.is_open = self._quiet_s < _HOLD_S
            return block, not self.is_open
        self._lead.append(block)
        while sum(map(len, self._lead)) > _LEAD_S * RATE_HZ:
            self._lead.popleft()
        return np.zeros(0, np.float32), False
