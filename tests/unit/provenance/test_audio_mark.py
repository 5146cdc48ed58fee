"""The mark in the sound: found again, harmless to the samples, and never in sound that was not marked."""

import numpy as np
import pytest

from helpers.sounds import write_noise
from pcavs.media.audio import read_waveform
from pcavs.media.film import FilmWriter
from pcavs.provenance.audio_mark import (
    FALSE_RATE,
    LEAST_STRENGTH_DB,
    MARK_VERSION,
    AudioMark,
    MarkDetector,
    SoundMarker,
    mark_blocks,
)


def babble(seconds: float, rate_hz: int = 16_000, channels: int = 1) -> np.ndarray:
    """Noise whose spectrum and level change every 80 ms, as speech does."""
    rng = np.random.default_rng(5)
    step = round(0.08 * rate_hz)
    pieces = []
    for _ in range(round(seconds / 0.08)):
        noise = rng.standard_normal((channels, step))
        tones = np.sin(2 * np.pi * rng.uniform(200, 3000, 4)[:, None] * np.arange(step) / rate_hz).sum(axis=0)
        pieces.append(rng.uniform(0, 0.1) * (noise + tones))
    return np.concatenate(pieces, axis=1).astype(np.float32)


def marked(sound: np.ndarray, rate_hz: int = 16_000, **choice: int) -> np.ndarray:
    return np.concatenate(list(mark_blocks([sound], rate_hz, **choice)), axis=1)


def search(sound: np.ndarray) -> AudioMark:
    detector = MarkDetector()
    detector.add(sound.astype(np.float32))
    return detector.finish()


@pytest.mark.parametrize("version", [0, MARK_VERSION, 15])
def test_the_mark_and_its_version_are_found(version: int):
    mark = search(marked(babble(6), version=version)[0])
    assert mark.found
    assert mark.version == version
    assert mark.false_rate < 1e-20


def test_sound_without_mark_is_not_found():
    mark = search(babble(30)[0])
    assert not mark.found
    assert mark.version is None
    assert mark.false_rate == 1.0


@pytest.mark.parametrize("silence", [np.zeros(0), np.zeros(100), np.zeros(80_000)])
def test_nothing_is_found_in_silence(silence: np.ndarray):
    assert search(silence) == AudioMark(False, 0.0, 1.0, None, 1.0, 0.0)


def test_scores_of_sound_without_mark_keep_the_bound_of_their_false_rate():
    """Of 60 noises, no more are as unlikely as 5 % than the bound says, three standard deviations allowed for."""
    rng = np.random.default_rng(0)
    rates = [search(rng.standard_normal(16_000) * rng.uniform(0.1, 1)).false_rate for _ in range(60)]
    assert sum(rate <= 0.05 for rate in rates) <= 60 * 0.05 + 3 * np.sqrt(60 * 0.05)
    assert min(rates) > FALSE_RATE


@pytest.mark.parametrize(("start", "seconds"), [(0.0, 3.0), (1.234, 3.0), (7.77, 4.0)])
def test_a_cut_of_three_seconds_is_enough(start: float, seconds: float):
    sound = marked(babble(12))[0]
    assert search(sound[round(start * 16_000) :][: round(seconds * 16_000)]).found


@pytest.mark.parametrize("speed", [0.985, 1.01, 1.02])
def test_another_speed_is_found_and_told(speed: float):
    sound = marked(babble(8))[0]
    places = np.arange(0, len(sound) - 1, speed)
    mark = search(np.interp(places, np.arange(len(sound)), sound))
    assert mark.found
    assert mark.speed == pytest.approx(speed, abs=0.005)


def test_a_marked_part_of_a_long_sound_is_found_at_its_place():
    rest = babble(20)[0]
    mark = search(np.concatenate([rest, marked(babble(10))[0], rest]))
    assert mark.found
    assert 14 < mark.start_s < 26


@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_the_number_of_samples_stays_at_any_rate(rate_hz: int, channels: int):
    sound = babble(1.2, rate_hz, channels)[:, :-7]
    after = marked(sound, rate_hz)
    assert after.shape == sound.shape
    change = 20 * np.log10(np.linalg.norm(after - sound) / np.linalg.norm(sound))
    assert -30 < change < -14


@pytest.mark.parametrize("count", [1, 100, 255, 256, 257, 16_640, 16_641])
def test_short_sounds_keep_their_length(count: int):
    assert marked(babble(2)[:, :count]).shape == (1, count)


def test_the_result_does_not_depend_on_the_blocks():
    sound = babble(4, channels=2)
    whole = marked(sound)
    for length in (100, 999, 20_000):
        pieces = [sound[:, start : start + length] for start in range(0, sound.shape[1], length)]
        assert (np.concatenate(list(mark_blocks(iter(pieces), 16_000)), axis=1) == whole).all()


def test_detection_does_not_depend_on_the_pieces():
    sound = marked(babble(5))[0]
    detector = MarkDetector()
    for start in range(0, len(sound), 777):
        detector.add(sound[start : start + 777])
    assert detector.finish() == search(sound)


def test_a_steady_tone_keeps_its_level():
    """Ears hear small changes of a steady tone, so it gets the least strength, once it has been steady for 0.2 s."""
    tone = 0.3 * np.sin(2 * np.pi * 1000 * np.arange(64_000) / 16_000)[None].astype(np.float32)
    after = marked(tone)[0, 8000:-8000]
    levels = np.sqrt((after.reshape(-1, 160) ** 2).mean(axis=1)) / np.sqrt(0.5) / 0.3
    assert np.abs(20 * np.log10(levels)).max() < LEAST_STRENGTH_DB + 0.1


def test_silence_stays_silent():
    assert (marked(np.zeros((2, 40_000), np.float32)) == 0).all()


def test_the_pattern_never_changes():
    """Films that were marked once must be found by all later versions."""
    from pcavs.provenance.audio_mark import _pattern

    first = _pattern(MARK_VERSION)
    assert first.shape == (32, 80)
    assert first[0, :16].tolist() == [1, 1, -1, -1, 1, -1, 1, -1, 1, 1, -1, -1, -1, 1, 1, 1]
    assert (int(first.sum()), int(first[7].sum())) == (-50, -14)


def test_a_film_carries_the_mark_through_its_encoder(tmp_path):
    audio = write_noise(tmp_path / "noise.wav", 6, 44_100, 2)
    for name, sound_filter in (("plain", None), ("marked", mark_blocks)):
        with FilmWriter(tmp_path / f"{name}.mp4", (32, 32), audio=audio, sound_filter=sound_filter) as film:
            for _ in range(150):
                film.write(np.zeros((32, 32, 3), np.uint8))
    plain, after = (read_waveform(tmp_path / f"{name}.mp4") for name in ("plain", "marked"))
    assert len(plain) == len(after)
    assert search(after).found
    assert not search(plain).found
    assert np.corrcoef(plain, after)[0, 1] > 0.97


@pytest.mark.parametrize(("rate_hz", "channels"), [(16_000, 1), (44_100, 2)])
def test_live_sound_is_marked_within_32_ms_and_as_in_films(rate_hz: int, channels: int):
    sound = babble(2, rate_hz, channels)
    marker, ready, given = SoundMarker(rate_hz, channels, batch_frames=1), [], 0
    for at in range(0, sound.shape[1], 97):
        ready.extend(marker.add(sound[:, at : at + 97]))
        given += sound[:, at : at + 97].shape[1]
        assert given - sum(block.shape[1] for block in ready) <= 0.032 * rate_hz + 1
    ready.extend(marker.finish())
    np.testing.assert_allclose(np.concatenate(ready, axis=1), marked(sound, rate_hz), atol=1e-6)
