"""Speaks one text with the installed eSpeak NG library and reports when each phoneme starts.

A program of its own, run as a process by `pcavs.media.espeak` and never imported: it uses the standard library only,
so that the GPL library is loaded by nothing but this (docs/decisions/0015-synthetic-training-data.md).

Standard input: JSON {"text", "voice", "words_a_minute", "pitch", "pitch_range"}. Standard output: one line of JSON
{"rate_hz", "num_samples", "phonemes": [[sample, IPA], ...]} or {"error": ...}, then the samples as int16.
With {"clauses", "voice"} instead nothing is spoken: the answer is {"ipa": [...]}, one line of phonemes a clause.
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
_IPA = 0x02
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


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("reserved", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


def _library() -> Any:
    name = ctypes.util.find_library("espeak-ng")
    return ctypes.CDLL(name) if name else None


def answer(request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Does what a request asks for; returns the header and the samples."""
    library = _library()
    if library is None:
        return {"error": "missing"}, b""
    rate_hz = library.espeak_Initialize(_RETRIEVE, 0, None, _PHONEME_EVENTS_IN_IPA | _DO_NOT_EXIT)
    if rate_hz <= 0:
        return {"error": "missing"}, b""
    if not _is_chosen(library, request["voice"]):
        return {"error": f"no voice {request['voice']}"}, b""
    if "clauses" in request:
        return {"ipa": [_transcribe(library, clause) for clause in request["clauses"]]}, b""
    return _speak(library, rate_hz, request)


def _is_chosen(library: Any, voice: str) -> bool:
    """Chooses a voice by its name, or by its language as `espeak-ng --voices` prints it, such as en-gb+f3."""
    if library.espeak_SetVoiceByName(voice.encode()) == 0:
        return True
    language, plus, variant = voice.partition("+")
    wanted = _Voice(languages=language.encode())
    if not language or library.espeak_SetVoiceByProperties(ctypes.byref(wanted)) != 0:
        return False
    library.espeak_GetCurrentVoice.restype = ctypes.POINTER(_Voice)
    found = library.espeak_GetCurrentVoice().contents
    # What it knows nothing like it falls back to; languages are a byte of priority and a name each.
    if language.encode() not in (found.languages or b""):
        return False
    identifier = found.identifier.decode()
    return library.espeak_SetVoiceByName(f"{identifier}{plus}{variant}".encode()) == 0


def _speak(library: Any, rate_hz: int, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
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
    for parameter, key in ((_RATE, "words_a_minute"), (_PITCH, "pitch"), (_RANGE, "pitch_range")):
        library.espeak_SetParameter(parameter, int(request[key]), 0)
    text = request["text"].encode()
    library.espeak_Synth(text, len(text) + 1, 0, 0, 0, _UTF8, None, None)
    library.espeak_Synchronize()
    return {"rate_hz": rate_hz, "num_samples": len(samples) // 2, "phonemes": phonemes}, bytes(samples)


def _transcribe(library: Any, clause: str) -> str:
    library.espeak_TextToPhonemes.restype = ctypes.c_char_p
    text = ctypes.c_char_p(clause.encode())
    lines: list[str] = []
    # The library takes a clause a call and leaves the pointer behind it, or empty at the end.
    while text.value:
        line = library.espeak_TextToPhonemes(ctypes.byref(text), _UTF8, _IPA)
        lines.append((line or b"").decode("utf-8", "ignore"))
    return " ".join(lines).strip()


if __name__ == "__main__":
    header, sound = answer(json.load(sys.stdin))
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + sound)
