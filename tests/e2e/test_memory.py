"""Memory does not grow with the length of a film, except for the sound itself; too little memory is one line."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from helpers.sounds import write_noise
from pcavs.media.film import FilmWriter
from pcavs.media.image import read_picture

MEASURE = """
import json, pathlib, sys
import pcavs
face, audio, weights, out, size = sys.argv[1:]
film = pcavs.load(weights).animate(face, audio, size=int(size))
film.save(out)
facts = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
print(json.dumps([film.num_frames, int(facts["VmHWM"].split()[0]) / 1024]))
"""
"""VmHWM, because the peak that `getrusage` reports is inherited from the test's own process."""

CASES = {"frames": (256, 1, 30, 40), "all else": (32, 10, 130, 30)}
"""Side of the film in pixels, seconds of a short and of a long film, and MB by which the long one may take more.

If frames of 256 px were kept, those of half a minute would take 147 MB. The second case allows 10 kB for each frame.
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc of Linux")
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_a_long_film_takes_the_memory_of_a_short_one(tiny_networks, face, tmp_path, case):
    size_px, short_s, long_s, allowed_mb = CASES[case]

    def peak_mb(seconds):
        audio = write_noise(tmp_path / f"{seconds}.wav", seconds)
        arguments = [str(face), str(audio), str(tiny_networks), str(tmp_path / f"{seconds}.mp4"), str(size_px)]
        ran = subprocess.run([sys.executable, "-c", MEASURE, *arguments], check=True, capture_output=True, text=True)
        frames, peak = json.loads(ran.stdout)
        assert frames == 25 * seconds
        return peak

    short, long = peak_mb(short_s), peak_mb(long_s)
    assert long - short <= allowed_mb, f"{short:.0f} MB for {short_s} s, {long:.0f} MB for {long_s} s"


COMMAND = """
import pathlib, sys
from pcavs.cli import main
try:
    main(sys.argv[1:])
finally:
    facts = dict(line.split(":", 1) for line in pathlib.Path("/proc/self/status").read_text().splitlines())
    print(int(facts["VmHWM"].split()[0]) / 1024)
"""
"""Runs a command and prints its peak of resident memory in MB."""


def command_peak_mb(*words):
    ran = subprocess.run(
        [sys.executable, "-c", COMMAND, "animate", *map(str, words), "--quiet"],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(ran.stdout)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc of Linux")
@pytest.mark.slow
def test_a_whole_picture_of_2048_px_takes_about_600_mb(face, tmp_path):
    """It took 970 MB: the pasted head as real numbers, and the encoder's look-ahead."""
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), cv2.resize(cv2.imread(str(face)), (2048, 2048), interpolation=cv2.INTER_CUBIC))
    sound = write_noise(tmp_path / "s.wav", 0.4)
    peak = command_peak_mb("--identity", photo, "--audio", sound, "--full-frame", "--out", tmp_path / "film.mp4")
    assert peak <= 700, "601 MB where the processor computes in bf16, 666 in f32, and a margin for other machines"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs /proc of Linux")
@pytest.mark.slow
def test_a_dub_of_a_4k_video_takes_about_1000_mb(face, tmp_path):
    """It took 1.6 GB for a second and grew with each frame."""
    frame = np.full((2160, 3840, 3), 90, np.uint8)
    frame[:, 840:3000] = cv2.resize(read_picture(face), (2160, 2160), interpolation=cv2.INTER_CUBIC)
    video = tmp_path / "video.mp4"
    with FilmWriter(video) as writer:
        for k in range(11):
            writer.write(np.roll(frame, 2 * k, axis=1))
    sound = write_noise(tmp_path / "s.wav", 0.4)
    peak = command_peak_mb("--identity", video, "--audio", sound, "--full-frame", "--out", tmp_path / "film.mp4")
    assert peak <= 1100, "1000 MB, and a margin for other machines"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="other systems do not limit address space")
@pytest.mark.parametrize("limit_mb", [300, 600])
def test_too_little_memory_is_one_line(face, tmp_path, limit_mb):
    """Libraries used to end with a trace, or to ask for other weights, at any step from the first import on.

    With 680 to 750 MB the C library itself ends the process where a library starts a thread, which nothing can catch.
    """
    out = tmp_path / "out"
    out.mkdir()
    words = ["--identity", face, "--audio", write_noise(tmp_path / "s.wav", 0.4), "--out", out / "film.mp4"]
    limit = limit_mb * 2**20
    done = subprocess.run(
        [sys.executable, "-m", "pcavs", "animate", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    if done.returncode == 0:
        pytest.skip("this system counts address space otherwise")
    assert done.returncode == 1, done.stderr
    assert (
        done.stderr
        == f"pcavs: error: out of memory (ulimit -v allows {limit / 1e9:.1f} GB); free some, or give smaller files\n"
    )
    assert list(out.iterdir()) == []
