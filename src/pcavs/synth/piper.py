"""Speech of a Piper voice with the time of every phoneme, run by OpenVINO from the voice's own ONNX file.

The voice says how long each phoneme lasts while it makes the sound; that tensor is read beside the sound. Its
phonemes come from eSpeak NG, which every Piper voice was trained with.
"""

import functools
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pcavs.errors import InputError
from pcavs.runtime.openvino import cpu_settings
from pcavs.synth.speech import SILENCE, Phoneme, Utterance, resampled, transcribed

_HOP = 256
"""Samples a step of duration (the voices' up-sampling)."""
_START, _END, _BETWEEN = "^", "$", "_"
_LATE_S = 0.025
"""The sound comes this much before the end of its durations (docs/measurements.md)."""
_SILENT = set("^$,.;:!?")
_CARRIED = set("_ \"'-ː")
"""Gaps between sounds, and length marks: their time belongs to the sound before them."""
_STRESS = set("ˈˌ")
"""Their time belongs to the sound after them."""


class _Voice(NamedTuple):
    compiled: Any
    config: dict[str, Any]


def language_of(path: Path) -> str:
    """Names the language of a Piper voice as eSpeak NG does.

    Raises:
        InputError: The file or its JSON is no Piper voice.
    """
    return str(_config(path)["espeak"]["voice"])


def say(path: Path, text: str, slowness: float = 1.0) -> Utterance:
    """Says a text.

    Args:
        path: The voice's `.onnx`; its `.onnx.json` lies beside it.
        slowness: Factor on the length of every sound.

    Raises:
        InputError: The file or its JSON is no Piper voice, or eSpeak NG is missing.
    """
    voice = _load(path)
    symbols = _symbols(text, voice.config)
    ids = [index for symbol in symbols for index in voice.config["phoneme_id_map"][symbol]]
    counts = [len(voice.config["phoneme_id_map"][symbol]) for symbol in symbols]
    # Without the voice's two noises the same request gives the same sound, a little flatter.
    scales = np.array([0.0, voice.config["inference"]["length_scale"] * slowness, 0.0], np.float32)
    results = voice.compiled([np.array([ids]), np.array([len(ids)]), scales])
    sound = np.asarray(results[0], np.float32).reshape(-1)
    steps = np.asarray(results[1], np.float32).reshape(-1)
    rate_hz = int(voice.config["audio"]["sample_rate"])
    ends_s = np.cumsum(steps)[np.cumsum(counts) - 1] * _HOP / rate_hz
    ends_s[:-1] = np.maximum(ends_s[:-1] - _LATE_S, 0.0)
    return Utterance(waveform=resampled(sound, rate_hz), phonemes=_phonemes(symbols, ends_s))


def _symbols(text: str, config: dict[str, Any]) -> list[str]:
    """The voice's input: start, then each symbol followed by a gap, then end."""
    clauses = re.findall(r"([^,.;:!?]+)([,.;:!?]?)", text)
    spoken = transcribed([words for words, _ in clauses], config["espeak"]["voice"])
    line = "".join(ipa + mark + " " for ipa, (_, mark) in zip(spoken, clauses, strict=True)).strip()
    # "(en)" and the like announce a change of language.
    known = [symbol for symbol in re.sub(r"\(.*?\)", "", line) if symbol in config["phoneme_id_map"]]
    return [_START, _BETWEEN, *(part for symbol in known for part in (symbol, _BETWEEN)), _END]


def _phonemes(symbols: list[str], ends_s: Any) -> tuple[Phoneme, ...]:
    """Gives the time of gaps, length and stress marks to the sounds that they belong to."""
    pieces: list[Phoneme] = []
    start_s, stressed = 0.0, False
    for symbol, end_s in zip(symbols, (float(end) for end in ends_s), strict=True):
        if symbol in _STRESS or (stressed and symbol == _BETWEEN):
            stressed = True
            continue
        stressed = False
        ipa = pieces[-1].ipa if symbol in _CARRIED and pieces else SILENCE if symbol in _SILENT else symbol
        if pieces and (symbol in _CARRIED or ipa == SILENCE == pieces[-1].ipa):
            pieces[-1] = Phoneme(ipa=ipa, start_s=pieces[-1].start_s, end_s=end_s)
        elif end_s > start_s:
            pieces.append(Phoneme(ipa=ipa, start_s=start_s, end_s=end_s))
        start_s = end_s
    return tuple(pieces)


def _config(path: Path) -> dict[str, Any]:
    place = path.with_name(f"{path.name}.json")
    try:
        config = json.loads(place.read_text(encoding="utf-8"))
        _ = config["espeak"]["voice"], config["phoneme_id_map"][_START], config["inference"]["length_scale"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{place} does not describe a Piper voice: {error}") from error
    return config


@functools.lru_cache(maxsize=2)
def _load(path: Path) -> _Voice:
    import openvino as ov

    config = _config(path)
    core = ov.Core()
    try:
        model = core.read_model(path)
    except RuntimeError as error:
        raise InputError(f"{path} is not a Piper voice: OpenVINO cannot read it") from error
    durations = [node for node in model.get_ops() if node.get_type_name() == "Ceiling"]
    if len(durations) != 1 or len(model.inputs) != 3:
        raise InputError(f"{path} is not a Piper voice of one speaker; take another")
    model.add_outputs(durations[0].output(0))
    return _Voice(core.compile_model(model, "CPU", cpu_settings()), config)
