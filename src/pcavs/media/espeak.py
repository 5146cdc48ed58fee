"""The one place that starts another program: eSpeak NG, for synthetic voices (docs/decisions/0015)."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Int16

from pcavs.errors import InputError

_WORKER: Final = Path(__file__).with_name("espeak_worker.py")
_TIMEOUT_S: Final = 60


def ask(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Sends the worker a request; `espeak_worker` says what it takes. Returns its header and its samples.

    Raises:
        InputError: eSpeak NG is not installed, or does not know the voice.
    """
    finished = subprocess.run(
        [sys.executable, "-I", str(_WORKER)],
        input=json.dumps(request).encode(),
        capture_output=True,
        timeout=_TIMEOUT_S,
        check=True,
    )
    line, _, sound = finished.stdout.partition(b"\n")
    header = json.loads(line)
    if header.get("error") == "missing":
        raise InputError("synthetic speech needs eSpeak NG; on Debian: apt install espeak-ng")
    if "error" in header:
        raise InputError(f"eSpeak NG cannot speak: {header['error']}; `espeak-ng --voices` lists what it knows")
    return header, sound


def synthesise(text: str, voice: str) -> tuple[Int16[np.ndarray, " samples"], int]:
    """Speaks a text at a plain pace; returns the samples and their rate in hertz.

    Raises:
        InputError: eSpeak NG is not installed, does not know the voice, or has nothing to say.
    """
    header, sound = ask({"text": text, "voice": voice, "words_a_minute": 160, "pitch": 50, "pitch_range": 50})
    if not sound:
        raise InputError(f"{voice} has nothing to say for this text; give words in its language")
    return np.frombuffer(sound, np.int16), header["rate_hz"]
