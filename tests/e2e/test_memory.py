"""Memory does not grow with the length of a film, except for the sound itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.sounds import write_noise

MEASURE = """
import json, pathlib, sys
import pcavs
face, audio, weights, out = sys.argv[1:]
film = pcavs.load(weights).animate(face, audio, size=256)
film.save(out)
facts = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
print(json.dumps([film.num_frames, int(facts["VmHWM"].split()[0]) / 1024]))
"""
"""VmHWM, because the peak that `getrusage` reports is inherited from the test's own process."""

ALLOWED_MB = 40
"""If frames were kept, those of half a minute would take 147 MB."""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc of Linux")
@pytest.mark.slow
def test_half_a_minute_takes_the_memory_of_a_second(tiny_networks, face, tmp_path):
    def peak_mb(seconds):
        audio = write_noise(tmp_path / f"{seconds}.wav", seconds)
        arguments = [str(face), str(audio), str(tiny_networks), str(tmp_path / f"{seconds}.mp4")]
        ran = subprocess.run([sys.executable, "-c", MEASURE, *arguments], check=True, capture_output=True, text=True)
        frames, peak = json.loads(ran.stdout)
        assert frames == 25 * seconds
        return peak

    short, long = peak_mb(1), peak_mb(30)
    assert long - short <= ALLOWED_MB, f"{short:.0f} MB for 1 s, {long:.0f} MB for 30 s"
