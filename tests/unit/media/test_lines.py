"""Speeches on one time line: places, sums and loudness."""

import numpy as np
import pytest

from helpers.sounds import write_noise
from pcavs.media.audio import read_waveform
from pcavs.media.lines import Part, PlacedSpeech, overlaid, write_mix
from pcavs.media.speech import MelStream, Speech
from pcavs.spec import MelSpec

LONG = 40_000
"""More samples than are added up at once."""


def part(first, values):
    samples = np.asarray(values, np.float32)
    return Part(first, len(samples), lambda: iter(np.array_split(samples, 3)))


def test_parts_are_added_where_they_are_placed():
    parts = [part(3, np.full(20_000, 0.25)), part(19_000, np.full(15_000, 0.5)), part(LONG - 2, [1, 1, 1, 1])]
    total = np.concatenate(list(overlaid(parts, LONG)))
    expected = np.zeros(LONG, np.float32)
    expected[3:20_003] += 0.25
    expected[19_000:34_000] += 0.5
    expected[-2:] += 1
    assert np.array_equal(total, expected)


def test_a_part_is_opened_when_its_time_comes():
    opened = []

    def pieces():
        opened.append(True)
        return iter([np.ones(10, np.float32)])

    blocks = overlaid([Part(35_000, 10, pieces)], LONG)
    next(blocks)
    assert opened == []
    assert sum(float(block.sum()) for block in blocks) == 10


@pytest.mark.parametrize(("level", "expected"), [(0.4, 0.8), (0.8, 1.0)])
def test_a_mix_that_is_too_loud_is_made_quieter(tmp_path, level, expected):
    mix = tmp_path / "mix.wav"
    write_mix(mix, [part(0, np.full(8000, level)), part(4000, np.full(8000, level))], 12_000, 16_000)
    samples = read_waveform(mix)
    assert len(samples) == 12_000
    assert samples.max() == pytest.approx(expected, abs=1e-3)
    assert samples[100] / samples[6000] == pytest.approx(0.5, abs=1e-3)


def test_a_line_has_the_loudness_and_mel_that_it_has_alone(tmp_path):
    """Silence while others speak does not make a person louder."""
    spec = MelSpec()
    alone = Speech(write_noise(tmp_path / "line.wav", 1.0), 0.0, None, spec)
    placed = PlacedSpeech([(32_000, alone)], 160_000, spec)
    mel, expected = MelStream(placed, 250, 8), MelStream(alone, 25, 8)
    assert np.allclose(mel.windows(range(60, 70)), expected.windows(range(10, 20)), atol=1e-5)
    assert not mel.windows(range(10, 20)).any()
    assert mel.levels(250)[50:75] == pytest.approx(expected.levels(25), abs=1e-5)


def test_a_person_without_lines_is_silent():
    placed = PlacedSpeech([], 5000, MelSpec())
    assert placed.stats.is_silent
    assert np.concatenate(list(placed.gated())).tolist() == [0.0] * 5000
