"""Measures the mark in the sound: what it survives, how much it changes, and how sound without it scores.

    python benchmarks/measure_audio_mark.py VOICE... --out FOLDER [--unmarked FILE...] [--espeak 16] [--patterns 10]

VOICE files are marked, changed as platforms and editors change sound, and searched. FILEs, the voices themselves, and
music and noise made by this script are searched as they are, for the mark and for `--patterns` other sets of patterns,
which no file can carry. FOLDER gets audio_mark.json:

- `survival`: for each change the detection rate, the smallest and the median score
- `unmarked`: number of sounds, how many were found, the largest score; `trials` scores of other patterns, and for some
  scores the share of trials that reach it beside the bound of `AudioMark.false_rate`
- `level`: signal-to-change ratio in dB, time to mark and to search as a fraction of the sound's length

The last lines print the tables. Marked and unmarked samples of three voices are written to FOLDER for listening.
"""

import argparse
import io
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from unittest import mock

import av
import numpy as np

from pcavs.errors import PcavsError
from pcavs.media.audio import AudioReader, read_waveform, to_audio_frame
from pcavs.media.files import write_wav
from pcavs.provenance import audio_mark
from pcavs.provenance.audio_mark import AudioMark, MarkDetector, mark_blocks
from pcavs.voices.espeak import synthesise

Sound = tuple[np.ndarray, int]
"""Mono samples, and their rate in Hz."""

_RATE_HZ: Final = 16_000
_SECONDS: Final = 10.0
_NUM_MUSIC: Final = 40
_NUM_NOISE: Final = 10
_VOICES: Final = ("en-us", "en-gb", "de", "fr", "es", "it", "pl", "pt", "ru", "cs", "nl", "sv", "fi", "hu", "ro", "el")
_VARIANTS: Final = ("", "+f2", "+m3", "+f4")
_TEXT: Final = (
    "The boat left the harbour early, and nobody on the shore noticed that the wind had turned. "
    "Two hours later the whole bay was grey, and the lamps were lit."
)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voices", type=Path, nargs="+")
    parser.add_argument("--unmarked", type=Path, nargs="*", default=[])
    parser.add_argument("--espeak", type=int, default=16)
    parser.add_argument("--patterns", type=int, default=10)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    voices = [own_rate(path) for path in args.voices]
    voices += [spoken(number) for number in range(args.espeak)]
    for number, (samples, rate_hz) in enumerate(voices[:3]):
        write_wav(args.out / f"{number}-before.wav", samples.astype(np.float32), rate_hz)
        write_wav(args.out / f"{number}-marked.wav", marked((samples, rate_hz)).astype(np.float32), rate_hz)
    survival, level = measure_survival(voices)
    result = {"survival": survival, "level": level, "unmarked": measure_unmarked(voices, args)}
    (args.out / "audio_mark.json").write_text(json.dumps(result, indent=1))
    for name, row in survival.items():
        print(f"{name:24} {row['found']} of {row['sounds']}  least {row['least']:.1f}  median {row['median']:.1f}")
    print(json.dumps({"level": level, "unmarked": result["unmarked"]}, indent=1))


def measure_survival(voices: list[Sound]) -> tuple[dict[str, Any], dict[str, float]]:
    """Marks and changes every voice."""
    scores: dict[str, list[AudioMark]] = {}
    ratios, marking, searching = [], [], []
    for number, voice in enumerate(voices):
        began = time.process_time()
        after = marked(voice), voice[1]
        middle = time.process_time()
        changes = {name: change(after, number) for name, change in CHANGES.items()}
        began_search = time.process_time()
        for name, sound in changes.items():
            if sound is not None:
                scores.setdefault(name, []).append(search(sound))
        length_s = len(voice[0]) / voice[1]
        searching.append((time.process_time() - began_search) / len(changes) / length_s)
        marking.append((middle - began) / length_s)
        ratios.append(10 * math.log10((voice[0] ** 2).sum() / ((after[0] - voice[0]) ** 2).sum()))
    rows = {
        name: {
            "sounds": len(marks),
            "found": sum(mark.found for mark in marks),
            "version_read": sum(mark.version == audio_mark.MARK_VERSION for mark in marks),
            "least": min(mark.score for mark in marks),
            "median": float(np.median([mark.score for mark in marks])),
        }
        for name, marks in scores.items()
    }
    level = {
        "ratio_db": float(np.median(ratios)),
        "least_ratio_db": min(ratios),
        "marking": float(np.median(marking)),
        "searching": float(np.median(searching)),
    }
    return rows, level


def measure_unmarked(voices: list[Sound], args: argparse.Namespace) -> dict[str, Any]:
    """Searches sound without a mark for the mark, and for patterns that nothing was marked with."""
    sounds = [as_heard(voice) for voice in voices]
    for path in args.unmarked:
        try:
            sounds.append(read_waveform(path))
        except PcavsError as error:
            print(error)
    sounds += [music(round(_SECONDS * _RATE_HZ), number) for number in range(_NUM_MUSIC)]
    rng = np.random.default_rng(0)
    sounds += [0.1 * rng.standard_normal(round(_SECONDS * _RATE_HZ)) for _ in range(_NUM_NOISE)]
    own = [search((sound, _RATE_HZ)) for sound in sounds]
    own_bits = audio_mark._random_bits
    others: list[AudioMark] = []
    for pattern in range(args.patterns):
        audio_mark._pattern.cache_clear()
        with mock.patch.object(audio_mark, "_random_bits", lambda label, n, p=pattern: own_bits(f"{p} {label}", n)):
            others += [search((sound, _RATE_HZ)) for sound in sounds[:: max(1, len(sounds) // 200)]]
    audio_mark._pattern.cache_clear()
    trials = len(others)
    return {
        "sounds": len(own),
        "found": sum(mark.found for mark in own),
        "largest": max(mark.score for mark in own),
        "trials": trials,
        "found_in_trials": sum(mark.found for mark in others),
        "largest_in_trials": max((mark.score for mark in others), default=0.0),
        "reached": {
            str(bound): sum(mark.false_rate <= bound for mark in others) / max(1, trials)
            for bound in (1.0, 0.5, 0.2, 0.1, 0.05, 0.01, 0.001)
        },
        "needed_score_10_s": math.sqrt(2 * math.log(16 * 160 * 26 / audio_mark.FALSE_RATE)),
    }


def own_rate(path: Path) -> Sound:
    """Reads at most ten seconds of a file at its own rate, as the mean of its channels."""
    with AudioReader(path) as reader:
        blocks = [block.mean(axis=0) for block in reader.blocks(0.0, _SECONDS)]
        return np.concatenate(blocks).astype(float), reader.rate_hz


def spoken(number: int) -> Sound:
    """Speaks ten seconds with one of eSpeak NG's voices."""
    voice = _VOICES[number % len(_VOICES)] + _VARIANTS[number // 4 % len(_VARIANTS)]
    samples, rate_hz = synthesise(_TEXT, voice)
    return samples[: round(_SECONDS * rate_hz)] / 32768, rate_hz


def marked(sound: Sound) -> np.ndarray:
    """Marks a sound as films are marked."""
    return np.concatenate(list(mark_blocks([sound[0][None].astype(np.float32)], sound[1])), axis=1)[0].astype(float)


def search(sound: Sound) -> AudioMark:
    """Searches a sound."""
    detector = MarkDetector()
    detector.add(as_heard(sound).astype(np.float32))
    return detector.finish()


def as_heard(sound: Sound) -> np.ndarray:
    """Returns a sound at 16 kHz."""
    return sound[0] if sound[1] == _RATE_HZ else resampled(sound[0], sound[1], _RATE_HZ)


def resampled(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Resamples."""
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=to_hz)
    frame = to_audio_frame(samples[None].astype(np.float32), from_hz, "mono", 0)
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    return np.concatenate([each.to_ndarray()[0] for each in frames]).astype(float)


def coded(codec: str, container: str, bit_rate: int, rate_hz: int) -> Callable[[Sound, int], Sound]:
    """Returns the change that encoding and decoding make."""

    def change(sound: Sound, _: int) -> Sound:
        samples = sound[0] if sound[1] == rate_hz else resampled(sound[0], sound[1], rate_hz)
        data = io.BytesIO()
        with av.open(data, "w", format=container) as file:
            stream: Any = file.add_stream(codec, rate=rate_hz, layout="mono")
            stream.bit_rate = bit_rate
            form = {"libopus": "flt"}.get(codec, "fltp")
            size = stream.codec_context.frame_size or None
            resampler = av.AudioResampler(format=form, layout="mono", rate=rate_hz, frame_size=size)
            frame = to_audio_frame(samples[None].astype(np.float32), rate_hz, "mono", 0)
            for each in [*resampler.resample(frame), *resampler.resample(None)]:
                file.mux(stream.encode(each))
            file.mux(stream.encode(None))
        data.seek(0)
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=_RATE_HZ)
        with av.open(data, "r") as file:
            frames = [each for frame in file.decode(audio=0) for each in resampler.resample(frame)]
        frames += resampler.resample(None)
        return np.concatenate([each.to_ndarray()[0] for each in frames]).astype(float), _RATE_HZ

    return change


def cut(seconds: float, then: Callable[[Sound, int], Sound] | None = None) -> Callable[[Sound, int], Sound | None]:
    """Returns the change that takes some seconds from within, at a place that no frame begins at."""

    def change(sound: Sound, number: int) -> Sound | None:
        samples, rate_hz = sound
        room = len(samples) / rate_hz - seconds
        if room < 0:
            return None
        start = round((0.37 + 0.11 * number) % 1 * room * rate_hz)
        piece = samples[start : start + round(seconds * rate_hz)], rate_hz
        return piece if then is None else then(piece, number)

    return change


def faster(factor: float) -> Callable[[Sound, int], Sound]:
    """Returns the change of playing at another speed, which changes the pitch as well."""
    return lambda sound, _: (resampled(sound[0], round(sound[1] * factor), sound[1]), sound[1])


def with_music(level_db: float) -> Callable[[Sound, int], Sound]:
    """Returns the change of adding music, whose level is relative to the sound's."""

    def change(sound: Sound, number: int) -> Sound:
        samples = as_heard(sound)
        level = np.sqrt(np.mean(samples**2)) * 10 ** (level_db / 20)
        return samples + level * music(len(samples), 1000 + number), _RATE_HZ

    return change


def at_rate(rate_hz: int) -> Callable[[Sound, int], Sound]:
    """Returns the change of resampling."""
    return lambda sound, _: (resampled(sound[0], sound[1], rate_hz), rate_hz)


def music(count: int, seed: int) -> np.ndarray:
    """Makes music at 16 kHz with a mean square of 1: chords of decaying partials, and a drum on each beat."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(count)
    beat = round(rng.uniform(0.3, 0.7) * _RATE_HZ)
    for start in range(0, count, beat):
        length = min(2 * beat, count - start)
        time_s = np.arange(length) / _RATE_HZ
        for note in rng.integers(0, 30, 3):
            pitch_hz = 110 * 2 ** (note / 12)
            for partial in range(1, int(7500 / pitch_hz)):
                sound[start : start + length] += (
                    np.sin(2 * np.pi * pitch_hz * partial * time_s) * np.exp(-3 * time_s) / partial
                )
        drum = min(3000, count - start)
        sound[start : start + drum] += rng.standard_normal(drum) * np.exp(-np.arange(drum) / 600)
    return sound / np.sqrt(np.mean(sound**2))


CHANGES: Final[dict[str, Callable[[Sound, int], Sound | None]]] = {
    "none": lambda sound, _: sound,
    "AAC 128 kbit/s, 44.1 kHz": coded("aac", "adts", 128_000, 44_100),
    "AAC 64 kbit/s, 44.1 kHz": coded("aac", "adts", 64_000, 44_100),
    "AAC 32 kbit/s, 44.1 kHz": coded("aac", "adts", 32_000, 44_100),
    "Opus 24 kbit/s": coded("libopus", "ogg", 24_000, 48_000),
    "MP3 64 kbit/s": coded("libmp3lame", "mp3", 64_000, 44_100),
    "16 kHz mono": at_rate(16_000),
    "8 kHz mono": at_rate(8_000),
    "1 % faster": faster(1.01),
    "1 % slower": faster(0.99),
    "2 % faster": faster(1.02),
    "cut to 10 s": cut(10.0),
    "cut to 5 s": cut(5.0),
    "cut to 3 s": cut(3.0),
    "cut to 5 s, Opus 24": cut(5.0, coded("libopus", "ogg", 24_000, 48_000)),
    "cut to 3 s, Opus 24": cut(3.0, coded("libopus", "ogg", 24_000, 48_000)),
    "music at -10 dB": with_music(-10),
    "music at 0 dB": with_music(0),
}


if __name__ == "__main__":
    main()
