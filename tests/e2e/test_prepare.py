"""`pcavs prepare` is killed, run twice and run on a full disk: files stay complete and the result is the same."""

import contextlib
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from pcavs.data.shard import read_ledger, read_shard
from pcavs.errors import install_hint

PREPARE = """
import sys
from pathlib import Path
from pcavs.prepare import run as prepare
from pcavs.prepare.options import PrepareOptions
prepare.SHARD_SOURCES = 5
if __name__ == "__main__":
    source, out, workers, engine, address = sys.argv[1:]
    options = PrepareOptions(
        source=Path(source), out=Path(out), turned=2, workers=int(workers), engine=engine, address=address
    )
    print(*prepare.run(options))
"""


@pytest.fixture(scope="module")
def films(examples: Path, composite: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eleven photographs, a video with sound, one without and a broken one."""
    folder = tmp_path_factory.mktemp("films")
    face = cv2.imread(str(composite))
    face = cv2.resize(face, (256, 256 * face.shape[0] // face.shape[1] // 2 * 2), interpolation=cv2.INTER_AREA)
    for number in range(11):
        dimmed = (face * (1 - number / 20)).astype(np.uint8)
        cv2.imwrite(str(folder / f"face-{number:02d}.png"), dimmed)
    write_film(folder / "film.mp4", face, sound=True)
    write_film(folder / "mute.mp4", face, sound=False)
    (folder / "broken.mp4").write_bytes(b"not a video")
    return folder


def write_film(path: Path, face: np.ndarray, *, sound: bool) -> None:
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.height, video.width = face.shape[:2]
        track = container.add_stream("aac", rate=16_000, layout="mono") if sound else None
        for _ in range(12):
            container.mux(video.encode(av.VideoFrame.from_ndarray(face, format="bgr24")))
        container.mux(video.encode(None))
        if track is not None:
            tone = (0.3 * np.sin(np.arange(12 * 640) * 0.2)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(tone[None], format="fltp", layout="mono")
            frame.sample_rate = 16_000
            container.mux([*track.encode(frame), *track.encode(None)])


def start(
    films: Path, out: Path, *, workers: int = 1, engine: str = "local", address: str = "auto"
) -> subprocess.Popen:
    words = [sys.executable, "-c", PREPARE, str(films), str(out), str(workers), engine, address]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(films: Path, out: Path, **settings: object) -> str:
    process = start(films, out, **settings)  # pyright: ignore
    printed, error = process.communicate(timeout=600)
    assert process.returncode == 0, error
    return printed.strip()


def bytes_of(out: Path) -> dict[str, str]:
    names = sorted(path for path in out.iterdir() if path.suffix in (".tar", ".jsonl", ".html", ".json"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in names}


@pytest.fixture(scope="module")
def undisturbed(films: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "out"
    assert finish(films, out) == "12 2"
    return out


def test_every_file_has_a_ledger_row(undisturbed: Path):
    rows = list(read_ledger(undisturbed))
    assert [row["gate"] for row in rows if not row["kept"]] == ["decodable", "sound"]
    shards = sorted(undisturbed.glob("*.tar"))
    assert [shard.name for shard in shards] == [f"shard-0000{n}-0.tar" for n in range(3)]
    assert sum(1 for shard in shards for _ in read_shard(shard)) == 12


def test_more_workers_give_the_same_bytes(films: Path, undisturbed: Path, tmp_path: Path):
    assert finish(films, tmp_path / "out", workers=2) == "12 2"
    assert bytes_of(tmp_path / "out") == bytes_of(undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_killed_three_times_ends_in_the_same_bytes(films: Path, undisturbed: Path, tmp_path: Path, workers: int):
    out = tmp_path / "out"
    seen = 0
    for _ in range(3):
        process = start(films, out, workers=workers)
        until = time.monotonic() + 120
        while _finished(out) < seen + 2 and time.monotonic() < until and process.poll() is None:
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        seen = _finished(out)
        assert not (out / "report.html").exists()
        for shard in out.glob("*.tar"):
            list(read_shard(shard))
    assert seen >= 6
    assert finish(films, out, workers=workers) == "12 2"
    assert bytes_of(out) == bytes_of(undisturbed)
    assert not list(out.rglob("*.part"))


def _finished(out: Path) -> int:
    """Counts the sources whose piece is on disk or in a shard."""
    files = {row["file"] for row in read_ledger(out)}
    for piece in (out / ".pieces").glob("*.jsonl") if out.exists() else ():
        # A piece that has just been joined into a shard may vanish meanwhile.
        with contextlib.suppress(FileNotFoundError):
            files |= {json.loads(line)["file"] for line in piece.read_text().splitlines()}
    return len(files)


def test_a_finished_run_is_not_repeated(films: Path, undisturbed: Path):
    before = {path: path.stat().st_mtime_ns for path in undisturbed.glob("*.tar")}
    assert finish(films, undisturbed) == "12 2"
    assert {path: path.stat().st_mtime_ns for path in undisturbed.glob("*.tar")} == before


def test_a_second_run_into_the_same_folder_is_refused(films: Path, tmp_path: Path):
    first = start(films, tmp_path / "out")
    try:
        until = time.monotonic() + 60
        while not (tmp_path / "out" / ".pieces").exists() and time.monotonic() < until:
            time.sleep(0.05)
        words = ["prepare", "--source", str(films), "--out", str(tmp_path / "out"), "--turned", "2"]
        second = subprocess.run([sys.executable, "-m", "pcavs", *words], capture_output=True, text=True, check=False)
    finally:
        first.kill()
        first.communicate()
    assert second.returncode == 1
    assert second.stderr.startswith("pcavs: error: another run is writing ")
    assert second.stderr.endswith("wait for it, or choose another --out\n")
    assert second.stderr.count("\n") == 1


def test_a_full_disk_is_reported_and_the_run_continues_later(films: Path, undisturbed: Path, tmp_path: Path):
    """A limit on file sizes stands in for the disk: the same write fails, with another error number."""
    words = ["-m", "pcavs", "prepare", "--source", str(films), "--out", str(tmp_path / "out"), "--turned", "2"]
    starved = subprocess.run(
        [sys.executable, *words, "--workers", "1"],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000)),
    )
    assert starved.returncode == 1
    assert "cannot be written (File too large); choose another place" in starved.stderr
    assert "Traceback" not in starved.stderr
    assert not list((tmp_path / "out").rglob("*.part"))
    assert finish(films, tmp_path / "out") == "12 2"
    assert bytes_of(tmp_path / "out") == bytes_of(undisturbed)


def test_a_missing_ray_is_reported(films: Path, tmp_path: Path):
    try:
        import ray  # noqa: F401 # pyright: ignore
    except ModuleNotFoundError:
        words = ["prepare", "--source", str(films), "--out", str(tmp_path / "out"), "--engine", "ray"]
        done = subprocess.run([sys.executable, "-m", "pcavs", *words], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr == f"pcavs: error: engine ray needs ray; run {install_hint('ray')}\n"
    else:
        pytest.skip("ray is installed")


@pytest.mark.ray
@pytest.mark.timeout(900)
def test_a_ray_cluster_gives_the_same_bytes(films: Path, undisturbed: Path, tmp_path: Path):
    ray = pytest.importorskip("ray")
    cluster = pytest.importorskip("ray.cluster_utils").Cluster(
        initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False}
    )
    try:
        assert finish(films, tmp_path / "out", workers=2, engine="ray", address=cluster.address) == "12 2"
    finally:
        cluster.shutdown()
        ray.shutdown()
    assert bytes_of(tmp_path / "out") == bytes_of(undisturbed)
