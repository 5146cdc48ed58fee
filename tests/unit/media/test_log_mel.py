"""The log-mel of the pretrained speech encoder: Whisper's recipe, at one level, from the window's own samples."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pcavs.media.audio import read_waveform
from pcavs.media.log_mel import LOUDEST_LOG10, MAX_GAIN_LOG10, log_mel
from pcavs.spec import FeatureSpec

SPEC = FeatureSpec()
SILENT = (LOUDEST_LOG10 - 4) / 4


@pytest.fixture(scope="module")
def window(examples: Path) -> np.ndarray:
    """A window of the example voice, in the middle of a sentence."""
    return read_waveform(examples / "speech.wav")[16_000 : 16_000 + SPEC.window_samples]


def slaney_filters() -> np.ndarray:
    """Builds 80 triangles of unit area in Hz on Slaney's scale up to 8 kHz, band by band."""

    def to_hz(mel: float) -> float:
        return mel * 200 / 3 if mel < 15 else 1000 * 6.4 ** ((mel - 15) / 27)

    top = 15 + 27 * np.log(8) / np.log(6.4)
    edges = [to_hz(top * i / 81) for i in range(82)]
    filters = np.zeros((80, 201))
    for band, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        for bin_, hz in enumerate(np.arange(201) * 40.0):
            slope = min((hz - low) / (middle - low), (high - hz) / (high - middle))
            filters[band, bin_] = max(0.0, slope) * 2 / (high - low)
    return filters


def test_it_is_whispers_recipe_at_another_level(window: np.ndarray):
    torch = pytest.importorskip("torch")
    hann = torch.hann_window(400, dtype=torch.float64)
    spectrum = torch.stft(torch.from_numpy(window).double(), 400, 160, window=hann, return_complex=True)[:, :-1]
    level = np.log10(np.maximum(slaney_filters() @ (spectrum.abs() ** 2).numpy(), 1e-10))
    published = (np.maximum(level, level.max() - 8) + 4) / 4
    made = log_mel(window)
    assert made.shape == (80, SPEC.window_bins)
    assert made.dtype == np.float32
    np.testing.assert_allclose(made - (LOUDEST_LOG10 + 4) / 4, published - published.max(), atol=1e-6)


@pytest.mark.parametrize("gain_db", [-20, -10, 6])
def test_level_does_not_matter(window: np.ndarray, gain_db: int):
    np.testing.assert_allclose(log_mel(window * np.float32(10 ** (gain_db / 20))), log_mel(window), atol=1e-3)


def test_silence_and_noise_stay_quieter_than_speech(window: np.ndarray):
    np.testing.assert_array_equal(log_mel(np.zeros_like(window)), np.float32(SILENT))
    half = window.copy()
    half[len(half) // 2 :] = 0
    np.testing.assert_allclose(log_mel(half)[:, -60:], SILENT, atol=1e-6)
    noise = np.random.default_rng(0).standard_normal(len(window)).astype(np.float32)
    faint, fainter = log_mel(1e-5 * noise), log_mel(0.5e-5 * noise)
    assert faint.max() < log_mel(window).max() - 0.2
    # Both are raised by 30 dB.
    np.testing.assert_allclose((faint - fainter)[fainter > SILENT + 0.01], 2 * np.log10(2) / 4, atol=1e-4)
    assert MAX_GAIN_LOG10 == 3.0


def test_a_bin_is_centred_on_its_samples():
    """A click at sample 160 m is heard by bin m most, and by no bin that is more than 12.5 ms away."""
    for m in (5, 64, 100):
        click = np.zeros(SPEC.window_samples, np.float32)
        click[160 * m] = 1
        heard = log_mel(click).mean(axis=0)
        assert heard.argmax() == m
        np.testing.assert_allclose(np.delete(heard, range(m - 1, m + 2)), SILENT, atol=1e-6)


HASH = """
import hashlib, sys
import numpy as np
from pcavs.media.log_mel import log_mel
noise = np.random.default_rng(0).standard_normal((40, int(sys.argv[1]))).astype(np.float32)
print(hashlib.sha256(b"".join(log_mel(0.1 * row).tobytes() for row in noise)).hexdigest())
"""


def test_bits_do_not_depend_on_the_number_of_threads():
    def digest(threads: str) -> str:
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        words = [sys.executable, "-c", HASH, str(SPEC.window_samples)]
        return subprocess.run(words, check=True, capture_output=True, text=True, env=environment).stdout

    assert digest("1") == digest("2") == digest("1")
