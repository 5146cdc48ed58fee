import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from pcavs.media.mel import (
    mel_filters,
    mel_spectrogram,
    mel_windows,
    normalise_loudness,
    padded_mel,
    published_mel,
    windows_at,
)
from pcavs.spec import MelSpec

SPEC = MelSpec()


@pytest.fixture
def speech() -> np.ndarray:
    rng = np.random.default_rng(3)
    return (rng.standard_normal(53_280) * np.sin(np.arange(53_280) / 900) * 0.2).astype(np.float32)


def test_equals_the_published_code(shared: Path):
    file = shared / "oracle" / "forward_seed0.npz"
    if not file.exists():
        pytest.skip("no stored outputs of the published code here")
    oracle = np.load(file)
    normal = normalise_loudness(oracle["wav"], SPEC)
    np.testing.assert_allclose(normal, oracle["wav_norm"], atol=1e-7)
    np.testing.assert_allclose(mel_spectrogram(normal, SPEC), oracle["mel"].T, atol=1e-6)
    np.testing.assert_allclose(published_mel(oracle["wav"], SPEC), oracle["mel"].T, atol=1e-6)
    windows = mel_windows(padded_mel(oracle["wav"], 77, SPEC))
    np.testing.assert_allclose(windows[oracle["frame_index"]], oracle["in_spec"], atol=1e-6)


def test_an_impulse_at_one_second_peaks_at_bin_103():
    impulse = np.zeros(32_000, np.float32)
    impulse[16_000] = 1.0
    mel = mel_spectrogram(impulse, SPEC)
    assert mel.shape == (80, 207)
    assert mel.sum(axis=0).argmax() == 103


@pytest.mark.parametrize("samples", [1, 159, 160, 161, 3_200, 53_280])
def test_number_of_bins(samples: int):
    assert mel_spectrogram(np.ones(samples, np.float32), SPEC).shape[1] == -(-samples // 160) + 7


def test_chunks_leave_no_seam(speech: np.ndarray):
    # A waveform that starts one whole chunk later must give the same bins, one chunk later.
    shifted = np.concatenate([np.zeros(256 * 160 - 37 * 160, np.float32), speech])
    there = mel_spectrogram(shifted, SPEC)[:, 256 - 37 :]
    np.testing.assert_allclose(there, mel_spectrogram(speech, SPEC), atol=1e-6)


def test_slaney_filters():
    filters = mel_filters(SPEC)
    assert filters.shape == (80, 641)
    frequencies = np.arange(641) * 12.5
    inside = filters.sum(axis=0) > 0
    assert frequencies[inside].min() > 125
    assert frequencies[inside].max() < 7600
    peaks = frequencies[filters.argmax(axis=1)]
    assert np.all(np.diff(peaks) > 0)
    # Below 1000 Hz the scale is linear, above it a step is a fixed ratio.
    assert np.ptp(np.diff(peaks[peaks < 900])) <= 12.5
    high = peaks[peaks > 2000]
    np.testing.assert_allclose(high[1:] / high[:-1], (high[1:] / high[:-1]).mean(), rtol=0.02)
    # Equal areas: every filter integrates to one.
    np.testing.assert_allclose(filters.sum(axis=1) * 12.5, 1.0, atol=0.12)


def test_loudness_does_not_matter(speech: np.ndarray):
    assert np.sqrt(np.mean(np.square(normalise_loudness(speech, SPEC)))) == pytest.approx(0.1, rel=1e-5)
    np.testing.assert_allclose(padded_mel(speech * 0.01, 83, SPEC), padded_mel(speech, 83, SPEC), atol=1e-5)


def test_silence_is_zero_and_stays_finite():
    assert not padded_mel(np.zeros(16_000, np.float32), 25, SPEC).any()


def test_padding_bins_equals_padding_samples(speech: np.ndarray):
    normal = normalise_loudness(speech, SPEC)
    lead = np.concatenate([np.zeros(1280, np.float32), normal, np.zeros(16_000, np.float32)])
    wanted = mel_spectrogram(lead, SPEC)[:, : 4 * 83 + 16]
    np.testing.assert_array_equal(padded_mel(speech, 83, SPEC), wanted)


def test_windows_follow_the_published_timeline(speech: np.ndarray):
    padded = padded_mel(speech, 83, SPEC)
    assert padded.shape == (80, 4 * 83 + 16)
    mel = mel_spectrogram(normalise_loudness(speech, SPEC), SPEC)
    windows = mel_windows(padded)
    assert windows.shape == (83, 1, 80, 20)
    for frame in (2, 3, 40, 80):
        np.testing.assert_array_equal(windows[frame, 0], mel[:, 4 * (frame - 2) : 4 * (frame - 2) + 20])
    np.testing.assert_array_equal(mel_windows(padded, range(40, 42)), windows[40:42])
    assert not windows[0, 0, :, :8].any()


def test_the_published_mel_is_the_padded_one_less_its_padding(speech: np.ndarray):
    published = published_mel(speech, SPEC)
    assert published.shape == (80, 340)
    np.testing.assert_array_equal(published[:, :332], padded_mel(speech, 83, SPEC)[:, 8:340])
    # Frame j of the published film hears what frame j + 2 of ours hears.
    np.testing.assert_array_equal(mel_windows(published)[:79], mel_windows(padded_mel(speech, 83, SPEC))[2:81])


def test_every_frame_has_a_window_whatever_the_length():
    for samples in (3_200, 3_519, 3_520, 16_001, 16_319, 16_320):
        frames = (25 * samples + 8_000) // 16_000
        assert len(mel_windows(padded_mel(np.ones(samples, np.float32), frames, SPEC))) == frames


def test_length_costs_little_memory():
    waveform = np.ones(120 * 16_000, np.float32)
    tracemalloc.start()
    padded_mel(waveform, 3_000, SPEC)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # The mel (3.8 MB) and some chunks; no second waveform (7.7 MB).
    assert peak < 16e6


@pytest.mark.parametrize("frames", [[0], [1, 40, 2], [82, 83, 84]])
def test_a_few_windows_are_those_of_the_whole(speech: np.ndarray, frames: list[int]):
    whole = mel_windows(padded_mel(speech, 85, SPEC))
    np.testing.assert_allclose(windows_at(speech, frames, SPEC), whole[frames], atol=1e-6)
