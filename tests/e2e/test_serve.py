"""The service with real workers: films are made, workers, servers and databases are killed, and nothing is lost."""

import contextlib
import os
import signal
import subprocess
import time
import urllib.request

import cv2
import httpx2
import numpy as np
import pytest

from helpers.postgres import postgres
from helpers.service import client_of, events, order, running, send_inputs, serving
from pcavs.media.image import read_picture
from pcavs.media.video import count_pictures
from pcavs.serve.database import database_url
from pcavs.serve.pool import Pool
from pcavs.serve.tables import jobs
from pcavs.serve.worker import WorkerSettings

WAIT_S = 90
SMALL = {"size": 32, "marks": "none"}
LARGE = {"size": 128, "marks": "none"}
LONG_S = 30
"""Length of sound whose film is still being rendered, on a fast machine as well, when a test looks at it."""


@contextlib.contextmanager
def workers(service, networks, count=1, **changes):
    """Runs workers with a tiny talker."""
    url = database_url(service.options.jobs, service.folder)
    settings = {"jobs": url, "files": service.folder, "weights": networks, "threads": 1, "grace_s": 5.0} | changes
    pool = Pool(count, WorkerSettings(**settings), service.queue)
    pool.start()
    try:
        yield pool
    finally:
        pool.stop()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    with running(tmp_path_factory.mktemp("service") / "data") as service:
        service.start()
        yield service


@pytest.fixture(scope="module")
def pool(service, tiny_networks):
    with workers(service, tiny_networks, lease_s=4.0) as pool:
        yield pool


def wait_for(client, talk, *states):
    end_s = time.monotonic() + WAIT_S
    while time.monotonic() < end_s:
        shown = client.get(f"/talks/{talk}").json()
        if shown.get("status") in states:
            return shown
        time.sleep(0.1)
    raise AssertionError(shown)


def wait_until(condition):
    end_s = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.1)


def wait_for_rendering(client, talk):
    """Waits until frames are being made; the film must take longer than the time between two looks."""

    def rendering():
        shown = client.get(f"/talks/{talk}").json()
        assert shown["status"] in ("created", "started"), f"ended before it was seen being rendered: {shown}"
        return (shown["progress"] or {}).get("activity") == "rendering"

    wait_until(rendering)


def test_films_are_made_watched_and_downloaded(service, pool, face, tmp_path):
    client = client_of(service)
    inputs = send_inputs(client, face, tmp_path)
    talk = client.post("/talks", json=order(*inputs, config=SMALL, pose="yaw=10")).json()["id"]
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
    assert len(list((service.folder / "films").glob(f"{talk}*"))) == 1
    part = client.get(f"/talks/{talk}/film", headers={"Range": "bytes=0-99"})
    assert (part.status_code, len(part.content)) == (206, 100)
    client.delete(f"/talks/{talk}")
    assert client.get(done["result_url"]).status_code == 404
    assert list((service.folder / "films").glob(f"{talk}*")) == []


def test_a_dialogue_is_made_from_uploads(service, pool, face, tmp_path):
    """Two people of one picture, one with a recorded and one with the same voice later; who is silent holds still."""
    client = client_of(service)
    picture = cv2.resize(read_picture(face), (192, 192), interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(tmp_path / "two.png"), np.concatenate([picture, picture[:, ::-1]], axis=1)[:, :, ::-1])
    image, sound = send_inputs(client, tmp_path / "two.png", tmp_path, seconds=0.4)
    people = [{"face": each, "pose": "still", "no_blinks": True} for each in ("left", "right")]
    lines = [{"face": "left", "audio_url": sound}, {"face": "right", "audio_url": sound, "at_s": 0.8}]
    asked = {"source_url": image, "script": {"type": "dialogue", "lines": lines, "people": people}}
    overlapping = [lines[0], lines[0] | {"at_s": 0.1}]
    late = asked | {"script": asked["script"] | {"lines": overlapping}}
    done, failed = (
        wait_for(client, client.post("/talks", json=each).json()["id"], "done", "error") for each in (asked, late)
    )
    assert done["error"] is None
    assert (done["frames"], done["duration"]) == (30, pytest.approx(1.2))
    assert failed["error"].startswith("dialogue.json: lines 1 and 2 of face left overlap; let line 2 begin at 0.40 s")


def test_orders_may_have_a_preview_a_timeline_a_pose_film_and_consent(service, pool, face, drift, tmp_path):
    client = client_of(service)
    inputs = send_inputs(client, face, tmp_path, seconds=1.4)
    video = client.post("/videos", files={"video": drift.open("rb")}).json()["id"]
    keys = {"kind": "keys", "keys": [{"at_s": 0}, {"at_s": 0.3, "yaw": 20}], "duration_s": 0.4}
    timeline = {"format": "pcavs-pose-1", "segments": [keys, {"kind": "video", "path": video}]}
    orders = [
        order(*inputs, config=SMALL, preview=True, format="webm"),
        order(*inputs, config=SMALL | {"end": 0.5}, pose=timeline, consent={"who": "A"}),
        order(*inputs, config=SMALL | {"end": 0.5, "face": inputs[0]}, pose=video, references=[inputs[0]]),
    ]
    talks = [client.post("/talks", json=each).json()["id"] for each in orders]
    ended = [wait_for(client, talk, "done", "error") for talk in talks]
    assert [each["error"] for each in ended] == [None] * 3
    assert [each["frames"] for each in ended] == [25, 13, 13]


def test_a_film_without_a_face_fails_with_the_line_of_the_command(service, pool, tmp_path):
    client = client_of(service)
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((200, 200, 3), 128, np.uint8))
    inputs = send_inputs(client, tmp_path / "grey.png", tmp_path)
    talk = client.post("/talks", json=order(*inputs)).json()["id"]
    error = wait_for(client, talk, "done", "error")["error"]
    assert error.startswith(f"no face in {inputs[0]}: ")


def test_deleting_a_film_stops_its_making(service, pool, face, tmp_path):
    client = client_of(service)
    inputs = send_inputs(client, face, tmp_path, seconds=LONG_S)
    talk = client.post("/talks", json=order(*inputs, config=LARGE)).json()["id"]
    wait_for_rendering(client, talk)
    assert client.delete(f"/talks/{talk}").status_code == 204
    wait_until(lambda: not list((service.folder / "work").iterdir()))
    assert list((service.folder / "films").glob(f"{talk}*")) == []
    short = client.post("/talks", json=order(*inputs, config=SMALL | {"end": 0.4})).json()["id"]
    assert wait_for(client, short, "done", "error")["error"] is None


def test_a_killed_worker_is_replaced_and_its_film_made(service, pool, face, tmp_path):
    client = client_of(service)
    inputs = send_inputs(client, face, tmp_path, seconds=LONG_S)
    talk = client.post("/talks", json=order(*inputs, config=LARGE)).json()["id"]
    wait_for_rendering(client, talk)
    os.kill(pool.pids()[0], signal.SIGKILL)
    done = wait_for(client, talk, "done", "error")
    assert (done["error"], done["attempts"]) == (None, 2)


@pytest.fixture(scope="module")
def postgres_server():
    with postgres() as server:
        yield server


def test_two_machines_share_a_database_that_is_killed(postgres_server, tiny_networks, face, tmp_path):
    """Two pools, as of two machines: each has its own data folder; one PostgreSQL and one object store are shared."""
    store = f"file://{tmp_path / 'objects'}"
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(running(tmp_path / "data", jobs=postgres_server.url, files=store))
        service.start()
        roots = [tmp_path / "one", tmp_path / "two"]
        pools = [
            stack.enter_context(workers(service, tiny_networks, grace_s=0.0, files=root, store=store)) for root in roots
        ]
        client = client_of(service)
        wait_until(lambda: service.queue.count_workers() == 2)
        inputs = send_inputs(client, face, tmp_path, seconds=LONG_S)

        short = order(*inputs, config=SMALL | {"end": 0.4})
        made = [client.post("/talks", json=short).json()["id"] for _ in range(6)]
        ended = [wait_for(client, talk, "done", "error") for talk in made]
        assert [(talk["error"], talk["attempts"]) for talk in ended] == [(None, 1)] * 6
        with service.database.read() as connection:
            assert len({row.worker for row in connection.execute(jobs.select()).all()}) == 2

        talk = client.post("/talks", json=order(*inputs, config=LARGE | {"end": 20})).json()["id"]
        wait_for_rendering(client, talk)
        postgres_server.kill()
        refused = client.get(f"/talks/{talk}")
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        assert refused.json()["detail"] == "the database cannot be reached; try again soon"
        postgres_server.start()
        done = wait_for(client, talk, "done", "error")
        assert (done["error"], done["attempts"]) == (None, 1)
        assert len(client.get(f"/talks/{talk}/film").content) == done["bytes"]

        talk = client.post("/talks", json=order(*inputs, config=LARGE)).json()["id"]
        wait_for_rendering(client, talk)
        for pool in pools:
            pool.stop()
        shown = client.get(f"/talks/{talk}").json()
        assert (shown["status"], shown["attempts"]) == ("created", 0)
        assert [list((root / "work").iterdir()) for root in roots] == [[], []]


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], check=False)
    if mounted.returncode:
        pytest.skip("a small disk can be mounted as root only")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_disk_is_said_and_serves_nothing_half_written(small_disk, tiny_networks, face, tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("uploads", "films", "work"):
        (small_disk / name).mkdir()
        (tmp_path / "data" / name).symlink_to(small_disk / name)
    with running(tmp_path / "data") as service, workers(service, tiny_networks):
        client = client_of(service)
        inputs = send_inputs(client, face, tmp_path, seconds=2)
        full = small_disk / "full"
        with contextlib.suppress(OSError), full.open("wb") as file:
            while True:
                file.write(bytes(10_000))
                file.flush()
        sent = client.post("/images", files={"image": face.open("rb")})
        assert (sent.status_code, sent.json()["detail"]) == (507, "the service has no space left; try again later")
        talk = client.post("/talks", json=order(*inputs, config=LARGE)).json()["id"]
        failed = wait_for(client, talk, "done", "error")
        assert "no space left" in failed["error"].lower()
        assert client.get(f"/talks/{talk}/film").status_code == 409
        assert list((small_disk / "films").iterdir()) == []
        full.unlink()
        client.post(f"/talks/{talk}/retry")
        assert wait_for(client, talk, "done", "error")["error"] is None


@contextlib.contextmanager
def server(folder, networks):
    """Runs `pcavs serve` on a free port; yields the process and a client."""
    with serving(folder, networks) as (process, address), httpx2.Client(base_url=address, timeout=30) as client:
        yield process, client


def test_a_killed_server_takes_its_workers_along_and_a_new_one_finishes_the_film(tiny_networks, face, tmp_path):
    folder = tmp_path / "data"
    with server(folder, tiny_networks) as (process, client):
        inputs = send_inputs(client, face, tmp_path, seconds=LONG_S)
        talk = client.post("/talks", json=order(*inputs, config=LARGE)).json()["id"]
        wait_for_rendering(client, talk)
        children = [int(each) for each in children_of(process.pid)]
        assert len(children) >= 2
        process.kill()
        wait_until(lambda: not any(map(alive, children)))
    with server(folder, tiny_networks) as (process, client):
        done = wait_for(client, talk, "done", "error")
        assert done["error"] is None
        with urllib.request.urlopen(done["result_url"]) as film:
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
