"""Runs the steps of Dockerfile and compose.yaml without Docker, and makes a film with what they start.

    python scripts/check_docker.py

The package is installed into a fresh environment as the Dockerfile says; PostgreSQL (Debian's package) is started, then
what compose.yaml starts: the service and two workers. A token is made, the page is fetched, a film is ordered from a
text and downloaded. Steps that need root or a package manager are printed and left out. It prints times as JSON.
"""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Generator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from helpers.containers import compose, dockerfile  # noqa: E402 - the path is set first
from helpers.postgres import postgres  # noqa: E402

OMITTED = ("apt-get", "useradd", "chown", "rm", "mkdir")
"""Commands of the Dockerfile that need root, or clean up after others."""
WAIT_S = 300.0


def main() -> None:
    """Installs, starts, orders a film, and prints the times."""
    times: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as scratch, postgres() as database:
        folder = Path(scratch)
        began_s = time.perf_counter()
        programs = install(folder)
        times["install_s"] = round(time.perf_counter() - began_s, 1)
        with started(programs, folder, database.url) as (port, began_s):
            call = Api(port)
            call.until_ready("/healthz")
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as page:
                assert b"<title>" in page.read()
            times["page_s"] = round(time.perf_counter() - began_s, 1)
            call.until_ready("/readyz")
            times["ready_s"] = round(time.perf_counter() - began_s, 1)
            words = [programs / "pcavs", "tokens", "new", "ada", "--jobs", database.url]
            made = subprocess.run(words, check=True, capture_output=True, text=True, env=environment(folder))
            call.token = made.stdout.strip()
            time.sleep(1.5)  # the service remembers for a second that there are no tokens
            times["film_s"] = film(call)
    print(json.dumps(times))


def install(folder: Path) -> Path:
    """Runs COPY and `pip` of the Dockerfile in a fresh environment; returns the folder of its programs."""
    venv.create(folder / "venv", with_pip=True)
    programs = folder / "venv" / "bin"
    for step in dockerfile():
        if step.word == "COPY":
            *names, target = step.text.split()
            place = folder / target.strip("/")
            place.mkdir(parents=True, exist_ok=True)
            for name in names:
                whole = ["cp", "-r", f"{ROOT / name}/." if (ROOT / name).is_dir() else ROOT / name, place]
                subprocess.run(whole, check=True)
        for words in step.commands() if step.word == "RUN" else []:
            if words[0] in OMITTED:
                print(f"left out: {' '.join(words)}", file=sys.stderr)
                continue
            local = [word.replace("/source", str(folder / "source")) for word in words]
            subprocess.run([programs / local[0], *local[1:]], check=True)
    return programs


def environment(folder: Path) -> dict[str, str]:
    """Returns the variables that the Dockerfile sets."""
    set_here = dict(word.split("=", 1) for step in dockerfile() if step.word == "ENV" for word in step.text.split())
    (folder / "data").mkdir(exist_ok=True)
    return {**os.environ, **set_here, "PCAVS_DATA": str(folder / "data")}


@contextlib.contextmanager
def started(programs: Path, folder: Path, url: str) -> Generator[tuple[int, float]]:
    """Starts what compose.yaml starts, on loopback and any free port; yields the port, and when it was started."""
    processes: list[subprocess.Popen[str]] = []
    services = compose()["services"]
    began_s = time.perf_counter()
    try:
        for name in ("serve", "worker"):
            program, *words = services[name]["command"]
            words = [url if word.startswith("postgresql:") else word for word in words]
            if name == "serve":
                words[words.index("--host") + 1] = "127.0.0.1"
                words += ["--port", "0"]
            for _ in range(services[name].get("deploy", {}).get("replicas", 1)):
                processes.append(
                    subprocess.Popen(
                        [programs / program, *words], env=environment(folder), cwd=folder, stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL, text=True,
                    )
                )  # fmt: skip
        assert processes[0].stdout is not None
        yield int(processes[0].stdout.readline().rpartition(":")[2]), began_s
    finally:
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            assert process.wait(60) == 0, "a process did not end as planned"


class Api:
    """Calls the service."""

    def __init__(self, port: int) -> None:
        self._base, self.token = f"http://127.0.0.1:{port}", ""

    def __call__(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> bytes:
        """Sends a request and returns the body of the answer."""
        headers = {"Content-Type": kind, "Authorization": f"Bearer {self.token}"}
        request = urllib.request.Request(f"{self._base}{path}", body, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()

    def json(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:
        """Sends a request and returns the JSON of the answer."""
        return json.loads(self(method, path, body, kind))

    def until_ready(self, path: str) -> None:
        """Waits until an address answers 200."""
        end_s = time.monotonic() + WAIT_S
        while True:
            try:
                self("GET", path)
            except (urllib.error.URLError, ConnectionError):
                if time.monotonic() > end_s:
                    raise
                time.sleep(0.1)
            else:
                return


def film(call: Api) -> float:
    """Orders a film of a text and downloads it; returns how long that took."""
    began_s = time.perf_counter()
    image = call.json("POST", "/images", (ROOT / "examples" / "face.jpg").read_bytes(), "image/jpeg")["id"]
    order = {"source_url": image, "script": {"type": "text", "input": "Hello from a container."}}
    talk = call.json("POST", "/talks", json.dumps(order).encode())
    while talk["status"] in ("created", "started"):
        time.sleep(0.2)
        talk = call.json("GET", f"/talks/{talk['id']}")
    assert talk["status"] == "done", talk
    assert call("GET", f"/talks/{talk['id']}/film")[4:8] == b"ftyp"
    return round(time.perf_counter() - began_s, 1)


if __name__ == "__main__":
    main()
