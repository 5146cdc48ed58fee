"""The Gradio example, started as a user would and used in headless Chromium.

Gradio wants other versions of packages than this project's environment holds, so it may have an environment of its own:
GRADIO_PYTHON names its interpreter, which needs gradio and pcavs. Without either the test is skipped.
"""

import importlib.util
import os
import socket
import subprocess
import sys
import urllib.request

import pytest

from helpers.page import Errors, chromium, until
from helpers.sounds import write_noise
from pcavs.media.video import count_pictures

PYTHON = os.environ.get("GRADIO_PYTHON") or (sys.executable if importlib.util.find_spec("gradio") else None)
START_S = 120
FILM_MS = 120_000


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def address(root):
    """The page's address; the application is ended with the test."""
    if PYTHON is None:
        pytest.skip("Gradio is not installed")
    port = free_port()
    command = [PYTHON, str(root / "examples" / "gradio_app.py"), str(port)]
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(root / "src")}
    ) as run:
        address = f"http://127.0.0.1:{port}"

        def answers():
            assert run.poll() is None
            try:
                return urllib.request.urlopen(address, timeout=2).status == 200
            except OSError:
                return False

        try:
            until(answers, START_S)
            yield address
        finally:
            run.terminate()


@pytest.mark.timeout(400)
def test_a_visitor_makes_a_film(address, root, tmp_path):
    voice = write_noise(tmp_path / "voice.wav", 0.6)
    with chromium() as browser:
        page = browser.new_page()
        errors = Errors()
        errors.watch(page, address)
        page.goto(address)
        page.wait_for_selector("text=one photo speaks any voice")
        page.get_by_role("button", name="Submit").click()
        page.wait_for_selector("text=Give a photo and a voice.")
        uploads = page.locator("input[type=file]")
        uploads.nth(0).set_input_files(root / "examples" / "face.jpg")
        page.wait_for_selector("img[src*='face.jpg']")
        uploads = page.locator("input[type=file]")
        uploads.nth(uploads.count() - 2).set_input_files(voice)
        page.wait_for_selector("text=voice.wav", state="attached", timeout=30_000)
        page.get_by_role("button", name="Submit").click()
        film = page.locator("video[src*='talk.mp4'], video:has(source[src*='talk.mp4'])").first
        film.wait_for(state="attached", timeout=FILM_MS)
        if folder := os.environ.get("GRADIO_PICTURE"):
            page.wait_for_timeout(2000)
            page.screenshot(path=folder, full_page=True)
        url = film.evaluate("video => video.currentSrc || video.src")
        (tmp_path / "talk.mp4").write_bytes(page.request.get(url).body())
    assert count_pictures(tmp_path / "talk.mp4", 0.0, None) == 15
    assert errors == []
