"""Speech of a Piper voice with the time of every phoneme; OpenVINO runs the voice's own ONNX file.

A Piper network computes the duration of each phoneme on its way to the sound. That tensor is read as a second output.
The phonemes come from eSpeak NG, with which every Piper voice was trained.
"""

import functools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from pcavs.errors import InputError, raise_if_out_of_memory
from pcavs.runtime.openvino import Network, cpu_settings
from pcavs.voices.espeak import transcribe_texts
from pcavs.voices.phonemes import SILENCE, Phoneme, Spoken
from pcavs.voices.texts import clauses

_HOP: Final = 256
"""Samples in one unit of duration: the up-sampling factor of Piper's vocoder."""

_LAG_S: Final = 0.025
"""The sound of a phoneme comes this much before its durations say. Measured on seven sentences against eSpeak NG."""

_START, _END, _GAP = "^", "$", "_"
"""Piper's symbols for the start and the end of a text, and for the gap after each symbol."""

_OTHER_MARKS: Final = {"—": ",", "…": "."}
"""Marks of a text that few voices know, and those that they are spoken as."""

_SILENT_SYMBOLS: Final = set("^$,.;:!?")
"""Symbols during which nothing is said."""

_TRAILING_SYMBOLS: Final = set("_ \"'-ː")
"""Gaps and length marks; their duration belongs to the phoneme before them."""

_STRESS_MARKS: Final = set("ˈˌ")
"""Their duration belongs to the phoneme after them."""


class _Voice(NamedTuple):
    network: Network
    config: dict[str, Any]


def language_of(path: Path) -> str:
    """Returns the language of a Piper voice, by eSpeak NG's name.

    Raises:
        InputError: The voice's JSON file is missing or is not that of a Piper voice.
    """
    return str(_config(path)["espeak"]["voice"])


def speak(path: Path, text: str, slowness: float = 1.0) -> Spoken:
    """Speaks a text of a few sentences.

    Args:
        path: The voice's `.onnx`; its `.onnx.json` lies beside it.
        text: Words of the voice's language.
        slowness: Factor on the duration of every phoneme.

    Raises:
        InputError: The file or its JSON is not a Piper voice, or eSpeak NG is missing.
    """
    (symbols,) = symbols_of(path, [clauses(text, language_of(path))])
    return render(path, symbols, slowness)


def symbols_of(path: Path, texts: Sequence[Sequence[tuple[str, str]]]) -> list[list[str]]:
    """Returns the phonemes and marks of texts that the voice knows.

    Args:
        path: As in `speak`.
        texts: The clauses of each text (`texts.clauses`).

    Raises:
        InputError: As `speak`.
    """
    config = _config(path)
    known = config["phoneme_id_map"]
    lines = transcribe_texts(texts, config["espeak"]["voice"], lambda mark: _mark(mark, known))
    return [[symbol for symbol in line if symbol in known] for line in lines]


def _mark(mark: str, known: dict[str, Any]) -> str:
    return mark if mark in known else _OTHER_MARKS.get(mark, mark)


def render(path: Path, symbols: Sequence[str], slowness: float = 1.0, threads: int = 1) -> Spoken:
    """Computes the sound of phonemes and marks.

    Args:
        path: As in `speak`.
        symbols: What `symbols_of` returned, or a part of it.
        slowness: As in `speak`.
        threads: Processor threads; 0 takes all.

    Raises:
        InputError: As `speak`.
    """
    voice = _load(path, threads)
    # Each symbol is followed by a gap.
    symbols = [_START, _GAP, *(part for symbol in symbols for part in (symbol, _GAP)), _END]
    ids = [index for symbol in symbols for index in voice.config["phoneme_id_map"][symbol]]
    counts = [len(voice.config["phoneme_id_map"][symbol]) for symbol in symbols]
    # Both noise scales are 0, so that equal requests give equal sound; it is a little less lively.
    scales = np.array([0.0, voice.config["inference"]["length_scale"] * slowness, 0.0], np.float32)
    results = voice.network([np.array([ids]), np.array([len(ids)]), scales])
    sound = np.array(results[0], np.float32).reshape(-1)
    durations = np.asarray(results[1], np.float32).reshape(-1)
    rate_hz = int(voice.config["audio"]["sample_rate"])
    ends_s = np.cumsum(durations)[np.cumsum(counts) - 1] * _HOP / rate_hz
    ends_s[:-1] = np.maximum(ends_s[:-1] - _LAG_S, 0.0)
    return Spoken(sound, rate_hz, _phonemes(symbols, ends_s))


def _phonemes(symbols: Sequence[str], ends_s: Any) -> tuple[Phoneme, ...]:
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
def _load(path: Path, threads: int) -> _Voice:
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
    return _Voice(Network(core.compile_model(model, "CPU", cpu_settings(threads=threads))), config)
