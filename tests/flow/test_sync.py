"""Sync, measured where a viewer has it: mouth pixels of the decoded film against its decoded sound."""

import dataclasses

import numpy as np
import pytest

from helpers.sounds import write_wav
from helpers.talkers import mouth_area
from pcavs.media.audio import read_waveform
from pcavs.media.video import read_frames
from pcavs.spec import FRAME_RATE, MEL_BINS_PER_FRAME, SAMPLE_RATE_HZ

SIDE_PX = 96
HALF_FRAME_S = 0.5 / FRAME_RATE
_WIDTH_S = 0.04


@pytest.fixture(scope="module")
def clicks(tmp_path_factory):
    """Bursts of noise at moments that fall anywhere between frames; silence before, between and after."""
    rng = np.random.default_rng(3)
    samples = np.zeros(round(7.77 * SAMPLE_RATE_HZ))
    starts = np.cumsum(rng.uniform(0.42, 0.71, 12))
    for start in starts:
        first = round(start * SAMPLE_RATE_HZ)
        burst = samples[first : first + round(0.13 * SAMPLE_RATE_HZ)]
        burst += 0.3 * rng.standard_normal(len(burst))
    return write_wav(tmp_path_factory.mktemp("clicks") / "clicks.wav", samples.clip(-1, 1))


def measured_lead_s(film):
    """Seconds by which the sound comes before the mouth; frame k is shown at k/25 s."""
    area = mouth_area(SIDE_PX)
    darkness = np.array([-frame[area].mean() for frame in read_frames(film)])
    energy = np.cumsum(np.square(read_waveform(film), dtype=np.float64))
    times = np.arange(len(darkness)) / FRAME_RATE
    lags = np.arange(-0.12, 0.1201, 0.0025)

    def loudness(lag):
        edges = np.array([times + lag - _WIDTH_S / 2, times + lag + _WIDTH_S / 2]) * SAMPLE_RATE_HZ
        low, high = energy[np.clip(np.round(edges).astype(int), 0, len(energy) - 1)]
        return np.sqrt(np.maximum(high - low, 0))

    fits = [np.corrcoef(darkness, loudness(lag))[0, 1] for lag in lags]
    assert max(fits) > 0.9, "the mouth does not follow the sound at all"
    return -lags[int(np.argmax(fits))]


@pytest.mark.parametrize("start", [0.0, 0.31])
def test_the_mouth_opens_on_the_clicks(loud_mouth, face, clicks, tmp_path, start):
    film = loud_mouth.animate(face, clicks, size=SIDE_PX, start=start).save(tmp_path / "film.mp4")
    assert abs(measured_lead_s(film)) < HALF_FRAME_S


@pytest.mark.parametrize("shift", [-1, 1])
def test_one_frame_of_planted_shift_is_seen(loud_mouth, face, clicks, tmp_path, shift):
    film = loud_mouth.animate(face, clicks, size=SIDE_PX)
    shifted = dataclasses.replace(film, mel=np.roll(film.mel, shift * MEL_BINS_PER_FRAME, axis=1))
    lead = measured_lead_s(shifted.save(tmp_path / "film.mp4"))
    assert abs(lead) > HALF_FRAME_S
    assert lead == pytest.approx(shift / FRAME_RATE, abs=HALF_FRAME_S)
