"""Speech of a Piper voice with the time of every phoneme; OpenVINO runs the voice's own ONNX file.

A Piper network computes the duration of each phoneme on its way to the sound. That tensor is read as a second output.
The phonemes come from eSpeak NG, with which every Piper voice was trained.
"""

import functools
import json
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from pcavs.errors import InputError, raise_if_out_of_memory
from pcavs.runtime.openvino import cpu_settings
from pcavs.synth.speech import SILENCE, Phoneme, Utterance, resample, transcribe

_HOP: Final = 256
"""Samples in one unit of duration: the up-sampling factor of Piper's vocoder."""

_LAG_S: Final = 0.025
"""The sound of a phoneme comes this much before its durations say. Measured on seven sentences against eSpeak NG."""

_START, _END, _GAP = "^", "$", "_"
"""Piper's symbols for the start and the end of a text, and for the gap after each symbol."""

_SILENT_SYMBOLS: Final = set("^$,.;:!?")
"""Symbols during which nothing is said."""

_TRAILING_SYMBOLS: Final = set("_ \"'-ː")
"""Gaps and length marks; their duration belongs to the phoneme before them."""

_STRESS_MARKS: Final = set("ˈˌ")
"""Their duration belongs to the phoneme after them."""


class _Voice(NamedTuple):
    compiled: Any
    config: dict[str, Any]


def language_of(path: Path) -> str:
    """Returns the language of a Piper voice, by eSpeak NG's name.

    Raises:
        InputError: The voice's JSON file is missing or is not that of a Piper voice.
    """
    return str(_config(path)["espeak"]["voice"])


def speak(path: Path, text: str, slowness: float = 1.0) -> Utterance:
    """Speaks a text.

    Args:
        path: The voice's `.onnx`; its `.onnx.json` lies beside it.
        text: Words of the voice's language.
        slowness: Factor on the duration of every phoneme.

    Raises:
        InputError: The file or its JSON is not a Piper voice, or eSpeak NG is missing.
    """
    voice = _load(path)
    symbols = _symbols(text, voice.config)
    ids = [index for symbol in symbols for index in voice.config["phoneme_id_map"][symbol]]
    counts = [len(voice.config["phoneme_id_map"][symbol]) for symbol in symbols]
    # Both noise scales are 0, so that equal requests give equal sound; it is a little less lively.
    scales = np.array([0.0, voice.config["inference"]["length_scale"] * slowness, 0.0], np.float32)
    results = voice.compiled([np.array([ids]), np.array([len(ids)]), scales])
    sound = np.asarray(results[0], np.float32).reshape(-1)
    durations = np.asarray(results[1], np.float32).reshape(-1)
    rate_hz = int(voice.config["audio"]["sample_rate"])
    ends_s = np.cumsum(durations)[np.cumsum(counts) - 1] * _HOP / rate_hz
    ends_s[:-1] = np.maximum(ends_s[:-1] - _LAG_S, 0.0)
    return Utterance(waveform=resample(sound, rate_hz), phonemes=_phonemes(symbols, ends_s))


def _symbols(text: str, config: dict[str, Any]) -> list[str]:
    """Returns the network's input: the start, each symbol followed by a gap, and the end."""
    clauses = re.findall(r"([^,.;:!?]+)([,.;:!?]?)", text)
    spoken = transcribe([words for words, _ in clauses], config["espeak"]["voice"])
    line = "".join(ipa + mark + " " for ipa, (_, mark) in zip(spoken, clauses, strict=True)).strip()
    # "(en)" and the like announce a change of language.
    known = [symbol for symbol in re.sub(r"\(.*?\)", "", line) if symbol in config["phoneme_id_map"]]
    return [_START, _GAP, *(part for symbol in known for part in (symbol, _GAP)), _END]


def _phonemes(symbols: list[str], ends_s: Any) -> tuple[Phoneme, ...]:
    """Makes phonemes of symbols, adding the durations of gaps, length and stress marks to the phonemes they belong to.

    Args:
        symbols: The network's input.
        ends_s: The time at which each symbol ends.
    """
    phonemes: list[Phoneme] = []
    start_s, is_after_stress = 0.0, False
    for symbol, end_s in zip(symbols, (float(end) for end in ends_s), strict=True):
        if symbol in _STRESS_MARKS or (is_after_stress and symbol == _GAP):
            is_after_stress = True
            continue
        is_after_stress = False
        is_trailing = symbol in _TRAILING_SYMBOLS
        ipa = phonemes[-1].ipa if is_trailing and phonemes else SILENCE if symbol in _SILENT_SYMBOLS else symbol
        if phonemes and (is_trailing or ipa == SILENCE == phonemes[-1].ipa):
            phonemes[-1] = Phoneme(ipa=ipa, start_s=phonemes[-1].start_s, end_s=end_s)
        elif end_s > start_s:
            phonemes.append(Phoneme(ipa=ipa, start_s=start_s, end_s=end_s))
        start_s = end_s
    return tuple(phonemes)


def _config(path: Path) -> dict[str, Any]:
    config_path = path.with_name(f"{path.name}.json")
    try:
        config = json.loads(config_path.read_text(encoding="utf-8"))
        _ = config["espeak"]["voice"], config["phoneme_id_map"][_START], config["inference"]["length_scale"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{config_path} does not describe a Piper voice ({error}); give the voice's own .onnx.json"
        ) from error
    return config


@functools.lru_cache(maxsize=2)
def _load(path: Path) -> _Voice:
    from pcavs.vino import ov

    config = _config(path)
    core = ov.Core()
    try:
        model = core.read_model(path)
    except RuntimeError as error:
        raise_if_out_of_memory(error)
        raise InputError(f"{path} is not a Piper voice that OpenVINO can read; download the voice again") from error
    # The durations are the only tensor of the network that is rounded up.
    durations = [node for node in model.get_ops() if node.get_type_name() == "Ceiling"]
    if len(durations) != 1 or len(model.inputs) != 3:
        raise InputError(f"{path} is not a Piper voice of one speaker; use one with a single speaker")
    model.add_outputs(durations[0].output(0))
    return _Voice(core.compile_model(model, "CPU", cpu_settings()), config)
