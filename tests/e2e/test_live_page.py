"""`pcavs live` in headless Chromium: a user watches an avatar that speaks, says a text by file, and interrupts."""

import re
import subprocess
import sys

import pytest

from helpers.page import Errors, chromium, until
from helpers.sounds import write_noise

ENOUGH_DATA = 3
"""`readyState` of a video that shows pictures."""


@pytest.fixture(scope="module")
def address(tiny_networks, composite):
    words = ["live", "--photo", str(composite), "--weights", str(tiny_networks), "--size", "64", "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "pcavs", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield re.search(r"http://[\d.:]+", process.stdout.readline()).group()
    finally:
        process.kill()
        process.wait()


def test_an_avatar_is_shown_speaks_a_file_and_is_interrupted(address, tmp_path):
    write_noise(tmp_path / "long.wav", 20.0)
    errors = Errors()
    with chromium() as browser:
        page = browser.new_page()
        errors.watch(page, address)
        page.goto(address)
        until(lambda: page.evaluate("video.readyState") >= ENOUGH_DATA)
        assert page.evaluate("[video.videoWidth, video.videoHeight]") == [64, 64]
        first_s = page.evaluate("video.currentTime")
        until(lambda: page.evaluate("video.currentTime") > first_s + 0.2)
        page.set_input_files("#file", tmp_path / "long.wav")
        until(lambda: float(page.inner_text("#waiting").split()[0]) > 1 if page.inner_text("#waiting") != "-" else 0)
        page.click("#interrupt")
        until(lambda: page.inner_text("#waiting") == "0.0 s")
        until(lambda: re.match(r"\d+ ms", page.inner_text("#latency")))
        assert page.inner_text("#message") == ""
    assert errors == []


def test_what_cannot_be_spoken_is_said_on_the_page(address, tmp_path):
    (tmp_path / "no.wav").write_bytes(b"no sound")
    with chromium() as browser:
        page = browser.new_page()
        page.goto(address)
        page.set_input_files("#file", tmp_path / "no.wav")
        until(lambda: page.inner_text("#message"))
        assert "\n" not in page.inner_text("#message")
