"""Speaks one text with the installed eSpeak NG library and reports when each phoneme starts.

A program of its own, run as a process by `pcavs.synth.speech` and never imported: it uses the standard library only,
so that the GPL library is loaded by nothing but this (docs/decisions/0010-espeak-subprocess.md).

Standard input: JSON {"text", "voice", "words_a_minute", "pitch", "pitch_range"}. Standard output: one line of JSON
{"rate_hz", "num_samples", "phonemes": [[sample, IPA], ...]} or {"error": ...}, then the samples as int16.
"""

import ctypes
import ctypes.util
import json
import sys
from typing import Any

_RETRIEVE = 1
"""AUDIO_OUTPUT_RETRIEVAL: samples come to the callback, none are played."""
_PHONEME_EVENTS_IN_IPA = 0x0003
_DO_NOT_EXIT = 0x8000
_UTF8 = 1
_EVENT_END, _EVENT_PHONEME = 0, 7
_RATE, _PITCH, _RANGE = 1, 3, 4


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def _library() -> Any:
    name = ctypes.util.find_library("espeak-ng")
    return ctypes.CDLL(name) if name else None


def speak(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Synthesises one text; returns the header and the samples."""
    library = _library()
    if library is None:
        return {"error": "missing"}, b""
    rate_hz = library.espeak_Initialize(_RETRIEVE, 0, None, _PHONEME_EVENTS_IN_IPA | _DO_NOT_EXIT)
    if rate_hz <= 0:
        return {"error": "missing"}, b""
    samples = bytearray()
    phonemes: list[tuple[int, str]] = []

    def collect(wave: Any, count: int, events: Any) -> int:
        index = 0
        while events[index].type != _EVENT_END:
            if events[index].type == _EVENT_PHONEME:
                phonemes.append((events[index].sample, events[index].name.decode("utf-8", "ignore")))
            index += 1
        if wave and count > 0:
            samples.extend(ctypes.string_at(wave, 2 * count))
        return 0

    callback = _Callback(collect)
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(request["voice"].encode()) != 0:
        return {"error": f"no voice {request['voice']}"}, b""
    for parameter, key in ((_RATE, "words_a_minute"), (_PITCH, "pitch"), (_RANGE, "pitch_range")):
        library.espeak_SetParameter(parameter, int(request[key]), 0)
    text = request["text"].encode()
    library.espeak_Synth(text, len(text) + 1, 0, 0, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    return {"rate_hz": rate_hz, "num_samples": len(samples) // 2, "phonemes": phonemes}, bytes(samples)


if __name__ == "__main__":
    header, sound = speak(json.load(sys.stdin))
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + sound)
