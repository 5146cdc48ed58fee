"""Speaks one text with the installed eSpeak NG library and reports when each phoneme starts.

A separate program: `pcavs.voices.espeak` runs it as a process and nothing imports it, so that the GPL library is loaded
into no other process (docs/decisions/0015). It uses the standard library only.

Standard input, to speak: JSON {"text", "voice", "words_a_minute", "pitch", "pitch_range"}, the last two 0 to 99.
Standard output: one line of JSON {"rate_hz", "num_samples", "phonemes": [[sample, IPA], ...]} or {"error": ...}, then
the samples as 16-bit PCM.

Standard input, to speak several texts: "texts" for "text". Standard output: {"rate_hz", "num_samples": [...]}, then the
samples of all texts.

Standard input, to list languages: {"list": true, "voice"}. Standard output: {"languages": [...]}.

Standard input, to transcribe: JSON {"clauses", "voice"}. Standard output: one line of JSON {"ipa": [...]} with the
phonemes of each clause, or {"error": ...}.

Reference: speak_lib.h of eSpeak NG, which defines the structures and constants below.
"""

import ctypes
import ctypes.util
import json
import sys
from typing import Any

_RETRIEVE = 1
"""AUDIO_OUTPUT_RETRIEVAL: passes the samples to the callback and plays nothing."""
_PHONEME_EVENTS_IN_IPA = 0x0003
"""espeakINITIALIZE_PHONEME_EVENTS | espeakINITIALIZE_PHONEME_IPA: phoneme events, named in IPA."""
_DO_NOT_EXIT = 0x8000
"""espeakINITIALIZE_DONT_EXIT: reports missing voice data instead of ending the process."""
_UTF8 = 1
"""espeakCHARS_UTF8: encoding of the text."""
_IPA = 0x02
"""Phoneme mode of espeak_TextToPhonemes: IPA in UTF-8."""
_EVENT_END, _EVENT_PHONEME = 0, 7
"""espeakEVENT_LIST_TERMINATED and espeakEVENT_PHONEME."""
_RATE, _PITCH, _RANGE = 1, 3, 4
"""espeakRATE (words a minute), espeakPITCH and espeakRANGE (0 to 99)."""


class _Event(ctypes.Structure):
    """espeak_EVENT; `name` is the phoneme's, of a union of which only that member is used."""

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
    """espeak_VOICE."""

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
    """Speaks or transcribes; returns the header and the samples. The module's docstring lists the fields."""
    library = _library()
    if library is None:
        return {"error": "missing"}, b""
    rate_hz = library.espeak_Initialize(_RETRIEVE, 0, None, _PHONEME_EVENTS_IN_IPA | _DO_NOT_EXIT)
    if rate_hz <= 0:
        return {"error": "missing"}, b""
    if not _is_chosen(library, request["voice"]):
        return {"error": f"no voice {request['voice']}"}, b""
    if "list" in request:
        return {"languages": _languages(library)}, b""
    if "clauses" in request:
        return {"ipa": [_transcribe(library, clause) for clause in request["clauses"]]}, b""
    if "texts" in request:
        spoken = [_speak(library, rate_hz, request | {"text": text}) for text in request["texts"]]
        counts = [header["num_samples"] for header, _ in spoken]
        return {"rate_hz": rate_hz, "num_samples": counts}, b"".join(sound for _, sound in spoken)
    return _speak(library, rate_hz, request)


def _languages(library: Any) -> list[str]:
    library.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
    voices = library.espeak_ListVoices(None)
    found: set[str] = set()
    index = 0
    while voices[index]:
        # The first name of `languages`, behind its priority byte, is the voice's own.
        found.add((voices[index].contents.languages or b" ")[1:].decode("utf-8", "ignore"))
        index += 1
    return sorted(found - {"", "variant"})


def _is_chosen(library: Any, voice: str) -> bool:
    """Selects a voice by name, or by the language that `espeak-ng --voices` prints, such as en-gb+f3; False if none."""
    if library.espeak_SetVoiceByName(voice.encode()) == 0:
        return True
    language, plus, variant = voice.partition("+")
    wanted = _Voice(languages=language.encode())
    if not language or library.espeak_SetVoiceByProperties(ctypes.byref(wanted)) != 0:
        return False
    library.espeak_GetCurrentVoice.restype = ctypes.POINTER(_Voice)
    found = library.espeak_GetCurrentVoice().contents
    # For an unknown language the library selects some default voice. `languages` holds pairs of a priority byte and a
    # name.
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
    # Each call transcribes one clause and moves the pointer behind it; the pointer is null at the end.
    while text.value:
        line = library.espeak_TextToPhonemes(ctypes.byref(text), _UTF8, _IPA)
        lines.append((line or b"").decode("utf-8", "ignore"))
    return " ".join(lines).strip()


if __name__ == "__main__":
    header, sound = answer(json.load(sys.stdin))
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + sound)
