"""Ctrl-C, or a polite end from outside, in the middle of a film: nothing is left, and the exit code says so."""

import signal
import subprocess
import sys
import time

import pytest

from helpers.sounds import write_noise


@pytest.fixture
def long_film(tiny_networks, face, tmp_path):
    """Starts a film of one minute; gives the process and the folder once frames are being written."""
    audio = write_noise(tmp_path / "long.wav", 60)
    out = tmp_path / "out"
    out.mkdir()
    words = ["--identity", face, "--audio", audio, "--weights", tiny_networks, "--size", "256"]
    words += ["--out", out / "film.mp4"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pcavs", "animate", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background jobs ignore Ctrl-C and hand that down: the film must not inherit it from the test run.
        preexec_fn=lambda: [signal.signal(each, signal.SIG_DFL) for each in (signal.SIGINT, signal.SIGHUP)],
    )
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        if any(file.stat().st_size > 0 for file in out.iterdir()):
            break
        time.sleep(0.1)
    yield process, out
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_stopped_film_leaves_nothing(long_film, sent, code):
    process, out = long_film
    assert process.poll() is None, process.communicate()
    assert [file.suffix for file in out.iterdir()] == [".part"]
    for _ in range(3 if sent == signal.SIGINT else 1):  # an impatient user
        process.send_signal(sent)
        time.sleep(0.02)
    assert process.wait(60) == code
    assert list(out.iterdir()) == []
    if sent == signal.SIGINT:
        assert process.stderr.read() == "pcavs: error: stopped\n"
