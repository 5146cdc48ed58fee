"""Loads `pcavs serve`: many clients order films at once while workers make them.

    python benchmarks/measure_serve.py --jobs 200 --clients 20 --workers 2 --seconds 3

With `--machines 2` the films are made by two `pcavs worker`, each with a data folder of its own, as on a machine of
its own; the jobs are in a PostgreSQL that is started for it (Debian's package), the files in an object store (file://).

It prints, as JSON: how long requests took (median, 99th percentile, longest), how many films were lost or made twice,
how evenly tokens were served, and the memory of server and workers at the beginning and the end.
"""

import argparse
import collections
import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
POLL_S = 0.5
"""Time between two looks at a film by one client."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Client:
    """One connection that is kept open; it notes how long its requests take."""

    def __init__(self, port: int, token: str, times: dict[str, list[float]]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        self._token, self._times = token, times

    def call(self, name: str, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        """Sends a request, notes its time under a name, and returns the JSON of the answer."""
        data = self.fetch(name, method, path, body, kind)
        return json.loads(data) if data else None

    def fetch(self, name: str, method: str, path: str, body: bytes | None = None, kind: str = "text/plain") -> bytes:
        """Sends a request, notes its time under a name, and returns the body of the answer."""
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": kind}
        began_s = time.perf_counter()
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        data = answer.read()
        self._times[name].append(time.perf_counter() - began_s)
        if answer.status >= 400:
            raise SystemExit(f"{method} {path}: {answer.status} {data[:300]!r}")
        return data


def order_films(client: Client, count: int, options: argparse.Namespace) -> list[dict]:
    """Sends a photograph and a voice, orders films, and watches them until all have ended."""
    image = client.call("upload", "POST", "/images", options.face.read_bytes(), "image/jpeg")["id"]
    audio = client.call("upload", "POST", "/audios", options.speech.read_bytes(), "audio/wav")["id"]
    order = {
        "source_url": image,
        "script": {"type": "audio", "audio_url": audio},
        "pose": "lively",
        "config": {"end": options.seconds, "size": options.size},
    }
    waiting = [
        client.call("order", "POST", "/talks", json.dumps(order | {"name": str(uuid.uuid4())}).encode())["id"]
        for _ in range(count)
    ]
    ended = []
    while waiting:
        time.sleep(POLL_S)
        for name in list(waiting):
            talk = client.call("look", "GET", f"/talks/{name}")
            if talk["status"] in ("done", "error"):
                waiting.remove(name)
                ended.append(talk)
            else:
                break  # films of one token are made in their order
    return ended


def memory_mb(pid: int) -> dict[str, float]:
    """Returns the resident memory of the server and of its children together, in MB."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()

    def of(each: str) -> float:
        with contextlib.suppress(OSError):
            return int(Path(f"/proc/{each}/statm").read_text().split()[1]) * PAGE_BYTES / 1e6
        return 0.0

    return {"server": round(of(str(pid)), 1), "workers": round(sum(map(of, children)), 1)}


def percentiles(times: list[float]) -> dict[str, float]:
    """Returns the number of requests, and median, 99th percentile and maximum of their times in milliseconds."""
    ranks = sorted(1000 * each for each in times)
    p99 = ranks[min(len(ranks) - 1, round(0.99 * len(ranks)))]
    return {
        "count": len(ranks),
        "p50": round(statistics.median(ranks), 1),
        "p99": round(p99, 1),
        "max": round(ranks[-1], 1),
    }


def fairness(talks: list[dict], tokens: int) -> float:
    """Returns the largest difference between the films that two tokens had begun, while all had some waiting."""
    begun: collections.Counter[int] = collections.Counter()
    ordered = collections.Counter(talk["token"] for talk in talks)
    worst = 0
    for talk in sorted(talks, key=lambda each: each["started_at"]):
        begun[talk["token"]] += 1
        if any(begun[token] == ordered[token] for token in range(tokens)):
            break
        worst = max(worst, max(begun.values()) - min(begun[token] for token in range(tokens)))
    return worst


@contextlib.contextmanager
def server(folder: Path, options: argparse.Namespace) -> Generator[tuple[Any, int]]:
    """Runs the service; yields its process and port."""
    words = ["serve", "--port", "0", "--data", str(folder)]
    words += ["--workers", "0" if options.machines else str(options.workers)]
    shared = ["--jobs", options.database] if options.database else []
    shared += ["--files", f"file://{folder}/objects"] if options.machines else []
    making = ["--weights", str(options.weights)] if options.weights else []
    log = (folder / "log").open("w")
    pcavs = [sys.executable, "-m", "pcavs"]
    process = subprocess.Popen([*pcavs, *words, *shared, *making], stdout=subprocess.PIPE, stderr=log, text=True)
    machines = [
        subprocess.Popen(
            [*pcavs, "worker", "--workers", "1", "--data", str(folder / f"machine-{number}"), *shared, *making],
            stderr=log,
        )
        for number in range(options.machines)
    ]
    assert process.stdout is not None
    try:
        yield process, int(process.stdout.readline().rpartition(":")[2])
    finally:
        for each in (*machines, process):
            each.terminate()
        for each in (*machines, process):
            each.wait(60)


def new_token(folder: Path, options: argparse.Namespace) -> str:
    """Makes a token without narrow limits."""
    words = ["tokens", "new", str(uuid.uuid4()), "--data", str(folder), "--waiting", "10000"]
    words += ["--films-per-day", "100000", "--requests-per-minute", "100000"]
    words += ["--jobs", options.database] if options.database else []
    done = subprocess.run([sys.executable, "-m", "pcavs", *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def measure(folder: Path, options: argparse.Namespace) -> dict:
    """Runs the load and returns what was found."""
    tokens = [new_token(folder, options) for _ in range(options.tokens)]
    times: dict[str, list[float]] = collections.defaultdict(list)
    talks: list[dict] = []
    with server(folder, options) as (process, port):
        first = Client(port, tokens[0], collections.defaultdict(list))
        while True:
            with contextlib.suppress(SystemExit):
                first.call("ready", "GET", "/readyz")
                break
            time.sleep(0.5)
        counts = [
            options.jobs // options.clients + (n < options.jobs % options.clients) for n in range(options.clients)
        ]
        while b"pcavs_workers %.1f" % (options.machines or options.workers) not in first.fetch(
            "ready", "GET", "/metrics"
        ):
            time.sleep(0.5)
        warm = order_films(first, 1, options)
        before, began_s = memory_mb(process.pid), time.monotonic()

        def run(number: int) -> None:
            token = number % options.tokens
            client = Client(port, tokens[token], times)
            talks.extend(talk | {"token": token} for talk in order_films(client, counts[number], options))

        threads = [threading.Thread(target=run, args=(number,)) for number in range(options.clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took_s, after = time.monotonic() - began_s, memory_mb(process.pid)
        films = len(list((folder / ("objects/films" if options.machines else "films")).iterdir()))
    states = collections.Counter(talk["status"] for talk in talks + warm)
    return {
        "films ordered": options.jobs,
        "films done": states["done"] - 1,
        "failed": states["error"],
        "lost": options.jobs - len(talks),
        "begun more than once": sum(talk["attempts"] != 1 for talk in talks),
        "files beyond one for each film": films - states["done"],
        "took_s": round(took_s, 1),
        "films a minute": round(60 * options.jobs / took_s, 1),
        "largest lead of a token": fairness(talks, options.tokens),
        "requests_ms": {name: percentiles(each) for name, each in times.items()},
        "memory_mb": {"before": before, "after": after},
    }


def main() -> None:
    """Parses the arguments and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--tokens", type=int, default=4)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--machines", type=int, default=0, help="programs `pcavs worker` with one worker each, instead")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--size", type=int, default=None)
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument("--database", default=None, help="postgresql://...; without it SQLite")
    parser.add_argument("--face", type=Path, default=ROOT / "examples" / "face.jpg")
    parser.add_argument("--speech", type=Path, default=ROOT / "examples" / "speech.wav")
    options = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if options.machines and options.database is None:
            sys.path.insert(0, str(ROOT / "tests"))
            from helpers.postgres import postgres

            options.database = stack.enter_context(postgres()).url
        print(json.dumps(measure(Path(folder), options), indent=1))


if __name__ == "__main__":
    main()
