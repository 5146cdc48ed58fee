"""Memory does not grow with the film: ten minutes take what ten seconds take, and a little for the sound itself."""

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
film = pcavs.load(weights).animate(face, audio, size=32)
film.save(out)
facts = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
print(json.dumps([film.num_frames, int(facts["VmHWM"].split()[0]) / 1024]))
"""
"""VmHWM, because the peak that `getrusage` tells is inherited from the test's own process."""

ALLOWED_MB = 150


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads Linux's account of memory")
@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_ten_minutes_take_the_memory_of_ten_seconds(tiny_networks, face, tmp_path):
    def peak_mb(seconds):
        audio = write_noise(tmp_path / f"{seconds}.wav", seconds)
        words = [str(face), str(audio), str(tiny_networks), str(tmp_path / f"{seconds}.mp4")]
        ran = subprocess.run([sys.executable, "-c", MEASURE, *words], check=True, capture_output=True, text=True)
        frames, peak = json.loads(ran.stdout)
        assert frames == 25 * seconds
        return peak

    short, long = peak_mb(10), peak_mb(600)
    assert long - short <= ALLOWED_MB, f"{short:.0f} MB for 10 s, {long:.0f} MB for 10 min"
