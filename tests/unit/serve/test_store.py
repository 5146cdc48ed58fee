"""Files of the service in a folder and in object stores, through fsspec's own stores and, where it is installed, S3."""

import os
import time

import pytest

from helpers.service import client_of, order, running, send_inputs
from pcavs.errors import InputError, OutputError
from pcavs.serve.options import ServeOptions
from pcavs.serve.store import ObjectStore, open_store


@pytest.fixture(scope="module")
def s3():
    """Starts a stand-in for S3 with one bucket; skips where moto or s3fs is not installed."""
    server = pytest.importorskip("moto.server")
    boto3 = pytest.importorskip("boto3")
    pytest.importorskip("s3fs")
    started = server.ThreadedMotoServer(port=0)
    started.start()
    host, port = started.get_host_and_port()
    address = f"http://{host}:{port}"
    given = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    os.environ.update(given | {"AWS_ENDPOINT_URL": address})
    boto3.client("s3").create_bucket(Bucket="films")
    yield "s3://films/pcavs"
    for name in (*given, "AWS_ENDPOINT_URL"):
        del os.environ[name]
    started.stop()


@pytest.fixture(params=["folder", "memory", "file", "s3"])
def address(request, tmp_path):
    """Address of an empty store of each kind."""
    places = {"folder": None, "memory": f"memory://{tmp_path.name}", "file": f"file://{tmp_path}/objects"}
    return places[request.param] if request.param in places else f"{request.getfixturevalue('s3')}/{tmp_path.name}"


@pytest.fixture
def store(address, tmp_path):
    return open_store(address, tmp_path / "data")


def put(store, key, content=b"content"):
    part = store.new_part()
    part.write_bytes(content)
    store.stage(part, key)
    store.publish(part, key)


def test_files_are_kept_by_name(store, tmp_path):
    put(store, "films/a.mp4")
    assert store.local("films/a.mp4").read_bytes() == b"content"
    assert store.local("films/a.mp4").read_bytes() == b"content"
    store.bring("films/a.mp4", tmp_path / "brought")
    assert (tmp_path / "brought").read_bytes() == b"content"
    store.remove("films/a.mp4")
    store.remove("films/a.mp4")
    with pytest.raises(FileNotFoundError):
        store.local("films/a.mp4")
    with pytest.raises(FileNotFoundError):
        store.bring("films/a.mp4", tmp_path / "again")
    assert store.free_bytes() > 0


def test_what_no_record_names_is_swept_when_it_is_old(store):
    for key in ("uploads/known", "uploads/new", "films/gone.mp4"):
        put(store, key)
    store.local("films/gone.mp4")
    (store.work / "left").write_bytes(b"x")
    everything = {"uploads/known", "uploads/new", "films/gone.mp4"}
    assert store.sweep(everything, 3600.0) == 0
    time.sleep(1.1)  # S3 tells whole seconds
    assert store.sweep({"uploads/known", "uploads/new"}, 0.0) >= 2
    assert list(store.work.iterdir()) == []
    assert store.local("uploads/known").read_bytes() == b"content"
    with pytest.raises(FileNotFoundError):
        store.local("films/gone.mp4")


def test_a_service_keeps_its_files_there(address, tmp_path, composite):
    with running(tmp_path / "data", files=address) as service:
        client = client_of(service)
        image, audio = send_inputs(client, composite, tmp_path)
        assert client.get(f"/audios/{audio}/sound").content == (tmp_path / "sent.wav").read_bytes()
        talk = client.post("/talks", json=order(image, audio)).json()["id"]
        job = service.queue.take("worker")
        key = f"films/{job.id}-{job.lease}.mp4"
        part = service.store.new_part()
        part.write_bytes(b"0123456789")
        service.store.stage(part, key)
        assert service.queue.finish(job, {}, key, 10, lambda: service.store.publish(part, key))
        film = client.get(f"/talks/{talk}/film", headers={"range": "bytes=2-4"})
        assert (film.status_code, film.content) == (206, b"234")
        if isinstance(service.store, ObjectStore):
            assert not (tmp_path / "data" / "films").exists()
        client.delete(f"/talks/{talk}")
        with pytest.raises(FileNotFoundError):
            service.store.local(key)
        client.delete(f"/images/{image}")
        client.delete(f"/audios/{audio}")
        assert [path.name for path in service.store.work.iterdir() if not path.name.startswith("upload")] == []


def test_a_store_that_cannot_be_used_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"file://.*cannot be written .*check its name and your credentials"):
        open_store(f"file://{tmp_path}/file/below", tmp_path / "data")
    with pytest.raises(OutputError, match=r"nosuch://bucket/films cannot be written .*nosuch"):
        open_store("nosuch://user:secret@bucket/films", tmp_path / "data")
    with pytest.raises(InputError, match="bucket is no address of an object store; give one such as s3://bucket/pcavs"):
        ServeOptions(files="bucket")
