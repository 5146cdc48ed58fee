"""Headless Chromium for tests of the page."""

import contextlib
import os
import shutil
import time

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
WAIT_S = 30


@contextlib.contextmanager
def chromium():
    """Yields a headless Chromium whose camera and microphone are false ones."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    false_devices = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=false_devices + root)
        try:
            yield browser
        finally:
            browser.close()


class Errors(list):
    """What went wrong on pages: errors of scripts, refused by the security policy, requests to other hosts."""

    def watch(self, page, address):
        """Notes the errors of a page."""
        page.on("pageerror", lambda error: self.append(str(error)))
        page.on("console", lambda line: self.append(line.text) if "Content Security" in line.text else None)
        page.on("request", lambda request: self._check(request.url, address))

    def _check(self, url, address):
        if not url.startswith((f"{address}/", "blob:", "data:")):
            self.append(f"request to {url}")


def until(condition, seconds=WAIT_S):
    """Waits until a function returns something true, and returns it. The page's policy forbids wait_for_function."""
    end_s = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end_s
        time.sleep(0.1)
    return found
