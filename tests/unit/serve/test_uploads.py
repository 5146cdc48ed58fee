"""Hostile uploads: each attempt, and what it is answered."""

import asyncio
import io
import os
import random
import struct
import zipfile
import zlib

import numpy as np
import pytest
from PIL import Image

from helpers.service import client_of, running
from helpers.sounds import write_noise
from pcavs.errors import InputError
from pcavs.serve import checker, receive
from pcavs.serve.checker import Checker, FileLimits


def png(width, height, data=b""):
    """Returns a PNG whose header states a size, and whose pixels are `data`, compressed."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


def picture(kind):
    data = io.BytesIO()
    Image.new("RGB", (40, 30)).save(data, kind)
    return data.getvalue()


def track(**arrays):
    data = io.BytesIO()
    np.savez(data, **arrays)
    return data.getvalue()


def zip_bomb():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("track.npy", b"\0" * 50_000_000)
    return data.getvalue()


ATTEMPTS = {
    "nothing": ("/images", b"", 422, "empty (0 bytes)"),
    "text as a picture": ("/images", b"hello" * 100, 422, "no picture that can be read"),
    "a page with script as a picture": ("/images", b"<script>alert(1)</script>", 422, "no picture"),
    "a vector picture": ("/images", b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>', 422, "no picture"),
    "a program as a picture": ("/images", b"\x7fELF" + bytes(500), 422, "no picture"),
    "a picture that is cut off": ("/images", picture("PNG")[:60], 422, "damaged"),
    "a picture bomb": ("/images", png(50_000, 50_000), 422, "50000 x 50000 pixels; send at most 50 million pixels"),
    "a picture above the limit": ("/images", png(10_000, 6_000), 422, "10000 x 6000 pixels; send at most"),
    "an empty large picture": ("/images", png(7_000, 7_000), 422, "damaged"),
    "a playlist that names files": ("/audios", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", 422, "cannot be read"),
    "a list of files to join": ("/audios", b"ffconcat version 1.0\nfile /etc/passwd\n", 422, "cannot be read"),
    "text as sound": ("/audios", b"hello" * 100, 422, "cannot be read"),
    "a picture as sound": ("/audios", picture("JPEG"), 422, "no audio stream"),
    "a picture as video": ("/videos", picture("JPEG"), 422, "the file is a picture; send it to /images"),
    "text as video": ("/videos", b"hello" * 100, 422, "cannot be read"),
    "a zip bomb as head track": ("/videos", zip_bomb(), 422, "the file "),
    "objects as head track": ("/videos", track(track=np.array([{}], object)), 422, "the file "),
    "a head track with a path": ("/videos", track(**{"../../x": np.zeros(3)}), 422, "the file "),
    "a wrong head track": ("/videos", track(x=np.zeros(3)), 422, "the file "),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_each_attempt_is_answered_in_one_line(client, service, attempt):
    path, body, code, line = ATTEMPTS[attempt]
    answer = client.post(path, content=body, headers={"content-type": "application/octet-stream"})
    detail = answer.json()["detail"]
    assert answer.status_code == code
    assert line in detail
    assert "\n" not in detail
    assert str(service.folder) not in detail
    assert [p for name in ("uploads", "work") for p in (service.folder / name).iterdir()] == []


def test_damaged_pictures_and_sounds_end_nothing(client, composite, tmp_path):
    """Fuzzed: random bytes are changed, cut out and doubled; each is answered, and afterwards good files still are."""
    rng = random.Random(7)
    sound = write_noise(tmp_path / "good.wav", 0.5).read_bytes()
    small = io.BytesIO()
    Image.open(composite).resize((64, 64)).save(small, "JPEG")
    for number in range(60):
        path, good = (("/images", small.getvalue()), ("/audios", sound), ("/videos", sound))[number % 3]
        bad = bytearray(good)
        for _ in range(rng.randint(1, 30)):
            bad[rng.randrange(len(bad))] = rng.randrange(256)
        cut = rng.randrange(len(bad))
        bad = bad[:cut] + bad[cut + rng.randrange(40) :] if number % 2 else bad[: cut + 1]
        assert client.post(path, content=bytes(bad)).status_code in (201, 422)
    assert client.post("/images", content=small.getvalue()).status_code == 201
    assert client.post("/audios", content=sound).status_code == 201


def test_names_and_types_of_files_are_not_used(client, service):
    name = '"><script>alert(1)</script>/../../../etc/cron.d/x\0.php'
    answer = client.post("/images", files={"image": (name, picture("PNG"), "text/html")})
    assert answer.status_code == 201
    assert "script" not in answer.text
    (stored,) = (service.folder / "uploads").iterdir()
    assert stored.name == answer.json()["id"]


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"", "multipart/form-data", 400),
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x", 400),
        (b"nonsense", "multipart/form-data; boundary=x", 400),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
            422,
        ),
        (b"--x\r\n" + b"A: " + b"b" * 9000 + b"\r\n\r\n", "multipart/form-data; boundary=x", 400),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"b" * 200_000 + b"\r\n--x--\r\n",
            "multipart/form-data; boundary=x",
            413,
        ),
        (
            2 * b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nc\r\n' + b"--x--\r\n",
            "multipart/form-data; boundary=x",
            422,
        ),
        (b"x", "multipart/form-data; boundary=" + "y" * 300, 400),
    ],
)
def test_damaged_forms_are_refused(client, service, body, kind, code):
    answer = client.post("/images", content=body, headers={"content-type": kind})
    assert answer.status_code == code
    assert list((service.folder / "work").iterdir()) == []


def test_large_bodies_are_refused_before_and_while_they_come(tmp_path):
    sent = []

    def endless():
        for _ in range(10_000):
            sent.append(1)
            yield bytes(100_000)

    with running(tmp_path / "data", max_mb=1.0) as service:
        client = client_of(service)
        assert client.post("/images", content=bytes(1_000_001)).status_code == 413
        assert client.post("/images", content=endless()).status_code == 413
        assert client.post("/images", content=b"x", headers={"content-length": str(10**10)}).status_code == 413
        assert client.post("/talks", content=bytes(2_000_001)).status_code == 413
        assert list((service.folder / "work").iterdir()) == []


def test_sounds_and_videos_longer_than_the_limit_are_refused(tmp_path):
    with running(tmp_path / "data", max_seconds=1.0) as service:
        client = client_of(service)
        sound = write_noise(tmp_path / "long.wav", 1.5).read_bytes()
        answer = client.post("/audios", content=sound)
        assert (answer.status_code, answer.json()["detail"]) == (422, "the file is longer than 1 s; send a part of it")


def test_slow_bodies_are_refused(monkeypatch):
    monkeypatch.setattr(receive, "_PIECE_S", 0.05)

    class Slow:
        async def stream(self):
            yield b"first"
            await asyncio.sleep(5)
            yield b"second"

    async def read():
        return [piece async for piece in receive.pieces(Slow())]

    with pytest.raises(receive.Problem) as caught:
        asyncio.run(read())
    assert caught.value.status_code == 408


def test_the_checking_process_is_replaced_when_it_dies(tmp_path):
    mine = Checker(FileLimits())
    good = tmp_path / "good.png"
    good.write_bytes(picture("PNG"))
    try:
        assert mine.check(good, "image") == {"kind": "image", "width": 40, "height": 30}
        os.kill(mine._process.pid, 9)
        mine._process.join()
        assert mine.check(good, "image")["width"] == 40
        mine._pipe.send(("not", "a", "request"))  # ends the process as a decoder's crash would
        with pytest.raises(InputError):
            mine.check(good, "image")
        assert mine.check(good, "image")["width"] == 40
    finally:
        mine.stop()


def test_a_checking_process_that_cannot_start_is_no_fault_of_the_file(service, monkeypatch):
    monkeypatch.setattr(checker, "_serve", os._exit)  # called with a pipe, which ends it at once
    service.checker = Checker(FileLimits())
    answer = client_of(service).post("/images", content=picture("PNG"))
    assert (answer.status_code, answer.json()["detail"]) == (503, "uploads cannot be checked now; try again later")


def test_a_fault_is_said_without_its_details(service, monkeypatch):
    def fail(*_):
        raise RuntimeError("a secret")

    monkeypatch.setattr(service.uploads, "get", fail)
    answer = client_of(service, raise_server_exceptions=False).get("/images/img_x")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text
