"""A service in this process, and files to send to it."""

import contextlib
import functools
import json
import subprocess
import sys
from pathlib import Path

from starlette.testclient import TestClient

from helpers.sounds import write_noise
from pcavs.serve.app import create_app
from pcavs.serve.checker import Checker, FileLimits
from pcavs.serve.options import ServeOptions
from pcavs.serve.people import Limits
from pcavs.serve.service import Service

LIMITS = {"max_mb", "max_megapixels", "max_seconds"}
"""Settings for which a service needs its own checking process."""


@functools.cache
def _checker():
    """Returns one checking process for all tests, with the limits of the service; it ends with the tests."""
    return Checker(FileLimits())


@contextlib.contextmanager
def running(folder, **settings):
    """Yields a service without workers and without chores."""
    folder.mkdir(exist_ok=True)
    service = Service(ServeOptions(data=folder, **settings), folder)
    service.checker.stop()
    own, service.checker = service.checker, _checker() if not LIMITS & set(settings) else service.checker
    try:
        yield service
    finally:
        service.checker = own
        service.close()


@contextlib.contextmanager
def serving(folder, networks):
    """Runs `pcavs serve` on a free port with one worker; yields the process and its address."""
    words = ["serve", "--port", "0", "--data", str(folder), "--workers", "1", "--weights", str(networks)]
    process = subprocess.Popen(
        [sys.executable, "-m", "pcavs", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def client_of(service, token=None, **settings):
    """Returns a client on the same machine."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    settings = {"base_url": "http://localhost", "client": ("127.0.0.1", 50_000), "headers": headers} | settings
    return TestClient(create_app(service), **settings)


def make_token(service, name="somebody", **limits):
    """Makes a token that counts at once."""
    token = service.people.add(name, Limits(**limits))
    service._needs_token = (-1e9, False)
    return token


def send_inputs(client, face: Path, folder: Path, seconds=0.4):
    """Sends a photograph and noise; returns their ids."""
    sound = folder / "sent.wav"
    if not sound.exists():
        write_noise(sound, seconds)
    image = client.post("/images", files={"image": face.open("rb")})
    audio = client.post("/audios", content=sound.read_bytes(), headers={"content-type": "audio/wav"})
    assert (image.status_code, audio.status_code) == (201, 201), (image.text, audio.text)
    return image.json()["id"], audio.json()["id"]


def order(image, audio, **fields):
    """Returns the body of an order."""
    return {"source_url": image, "script": {"type": "audio", "audio_url": audio}} | fields


def events(text):
    """Returns names and data of server-sent events."""
    found = []
    for block in text.strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found
