"""The service with real workers: films are made, workers and servers are killed, and nothing is lost."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from helpers.service import client_of, events, order, running, send_inputs
from pcavs.media.video import count_pictures
from pcavs.serve.database import database_url
from pcavs.serve.pool import Pool
from pcavs.serve.worker import WorkerSettings

WAIT_S = 90


@pytest.fixture
def service(tmp_path):
    with running(tmp_path / "data") as service:
        service.start()
        yield service


@pytest.fixture
def make_pool(service, tiny_networks):
    """Starts workers with a tiny talker."""
    pools = []

    def make(count=1, **changes):
        settings = WorkerSettings(
            jobs=database_url(None, service.folder), files=service.folder, weights=tiny_networks, threads=1, grace_s=5.0
        )
        pool = Pool(count, dataclasses.replace(settings, **changes), service.queue)
        pool.start()
        pools.append(pool)
        return pool

    yield make
    for pool in pools:
        pool.stop()


def wait_for(client, talk, *states):
    end_s = time.monotonic() + WAIT_S
    while time.monotonic() < end_s:
        shown = client.get(f"/talks/{talk}").json()
        if shown["status"] in states:
            return shown
        time.sleep(0.1)
    raise AssertionError(shown)


def wait_until(condition):
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.1)


def test_films_are_made_watched_and_downloaded(service, make_pool, face, tmp_path):
    make_pool()
    client = client_of(service)
    inputs = send_inputs(client, face, tmp_path)
    small = {"size": 64, "marks": "none"}
    talk = client.post("/talks", json=order(*inputs, config=small, pose="yaw=10")).json()["id"]
    seen = events(client.get(f"/talks/{talk}/events").text)
    assert {name for name, _ in seen} == {"talk"}
    done = seen[-1][1]
    assert (done["status"], done["frames"], done["attempts"]) == ("done", 10, 1)
    film = client_of(service).get(done["result_url"])
    assert film.headers["content-type"] == "video/mp4"
    assert film.headers["content-disposition"].startswith("attachment")
    assert film.headers["x-content-type-options"] == "nosniff"
    (tmp_path / "film.mp4").write_bytes(film.content)
    assert count_pictures(tmp_path / "film.mp4") == 10
    part = client.get(f"/talks/{talk}/film", headers={"Range": "bytes=0-99"})
    assert (part.status_code, len(part.content)) == (206, 100)

    preview = client.post("/talks", json=order(*inputs, config=small, preview=True, format="webm")).json()["id"]
    assert wait_for(client, preview, "done", "error")["format"] == "webm"
    keys = [{"at_s": 0}, {"at_s": 0.3, "yaw": 20}]
    timeline = {"format": "pcavs-pose-1", "segments": [{"kind": "keys", "keys": keys}]}
    moved = client.post("/talks", json=order(*inputs, config=small, pose=timeline, consent={"who": "A"})).json()["id"]
    assert wait_for(client, moved, "done", "error")["error"] is None

    client.delete(f"/talks/{talk}")
    assert client.get(done["result_url"]).status_code in (401, 404)
    assert {path.name for path in (service.folder / "films").iterdir()} == {f"{preview}.webm", f"{moved}.mp4"}
    assert list((service.folder / "work").iterdir()) == []


def test_a_film_without_a_face_fails_with_the_line_of_the_command(service, make_pool, tmp_path):
    import cv2
    import numpy as np

    make_pool()
    client = client_of(service)
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 200, 3), 128, np.uint8))
    inputs = send_inputs(client, tmp_path / "grey.png", tmp_path)
    talk = client.post("/talks", json=order(*inputs)).json()["id"]
    error = wait_for(client, talk, "done", "error")["error"]
    assert error.startswith(f"no face in {inputs[0]}: ")


def test_a_killed_worker_is_replaced_and_its_film_made(service, make_pool, face, tmp_path):
    pool = make_pool()
    client = client_of(service)
    inputs = send_inputs(client, face, tmp_path, seconds=8)
    talk = client.post("/talks", json=order(*inputs, config={"size": 128})).json()["id"]
    wait_until(lambda: (client.get(f"/talks/{talk}").json()["progress"] or {}).get("activity") == "rendering")
    os.kill(pool.pids()[0], signal.SIGKILL)
    done = wait_for(client, talk, "done", "error")
    assert (done["error"], done["attempts"]) == (None, 2)


def test_deleting_a_film_stops_its_making(service, make_pool, face, tmp_path):
    make_pool(lease_s=2.0)
    client = client_of(service)
    inputs = send_inputs(client, face, tmp_path, seconds=30)
    talk = client.post("/talks", json=order(*inputs, config={"size": 128})).json()["id"]
    wait_until(lambda: (client.get(f"/talks/{talk}").json()["progress"] or {}).get("activity") == "rendering")
    assert client.delete(f"/talks/{talk}").status_code == 204
    wait_until(lambda: not list((service.folder / "work").iterdir()))
    assert list((service.folder / "films").iterdir()) == []
    short = client.post("/talks", json=order(*inputs, config={"size": 32, "end": 0.4})).json()["id"]
    assert wait_for(client, short, "done", "error")["error"] is None


def test_stopping_workers_returns_their_films_to_the_queue(service, make_pool, face, tmp_path):
    pool = make_pool(grace_s=0.0)
    client = client_of(service)
    inputs = send_inputs(client, face, tmp_path, seconds=30)
    talk = client.post("/talks", json=order(*inputs, config={"size": 128})).json()["id"]
    wait_until(lambda: (client.get(f"/talks/{talk}").json()["progress"] or {}).get("activity") == "rendering")
    pool.stop()
    shown = client.get(f"/talks/{talk}").json()
    assert (shown["status"], shown["attempts"]) == ("created", 0)
    assert list((service.folder / "work").iterdir()) == []


@contextlib.contextmanager
def server(folder, networks):
    """Runs `pcavs serve` on a free port; yields the process and its address."""
    words = ["serve", "--port", "0", "--data", str(folder), "--workers", "1", "--weights", str(networks)]
    process = subprocess.Popen(
        [sys.executable, "-m", "pcavs", *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def test_a_killed_server_takes_its_workers_along_and_a_new_one_finishes_the_film(tiny_networks, face, tmp_path):
    import httpx2

    folder = tmp_path / "data"
    with server(folder, tiny_networks) as (process, address), httpx2.Client(base_url=address, timeout=30) as client:
        inputs = send_inputs(client, face, tmp_path, seconds=8)
        talk = client.post("/talks", json=order(*inputs, config={"size": 128})).json()["id"]
        wait_until(lambda: (client.get(f"/talks/{talk}").json()["progress"] or {}).get("activity") == "rendering")
        children = [int(each) for each in children_of(process.pid)]
        assert len(children) >= 2
        process.kill()
        wait_until(lambda: not any(map(alive, children)))
    with server(folder, tiny_networks) as (process, address), httpx2.Client(base_url=address, timeout=30) as client:
        done = wait_for(client, talk, "done", "error")
        assert done["error"] is None
        with urllib.request.urlopen(f"{address}/talks/{talk}/film") as film:
            assert len(film.read()) == done["bytes"]
        process.terminate()
        assert process.wait(30) == 0


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:  # noqa: PTH123
        return file.read().split()


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:  # noqa: PTH123
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
