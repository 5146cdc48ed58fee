"""A PostgreSQL server of Debian's package, for one test run."""

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


class Postgres:
    """A server with an empty database, in a folder of its own; only this machine reaches it."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self._programs, self._folder = programs, folder
        # The server refuses to run as root.
        self._user = "postgres" if os.geteuid() == 0 else None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        if self._user is not None:
            os.chown(folder, pwd.getpwnam(self._user).pw_uid, -1)
        self._run("initdb", "-D", str(folder / "data"), "-A", "trust", "-U", "pcavs", "--no-sync")
        self.start()
        self.url = f"postgresql://pcavs@127.0.0.1:{self._port}/postgres"

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        settings = f"-p {self._port} -c listen_addresses=127.0.0.1 -k {self._folder}"
        log = str(self._folder / "log")
        for attempt in range(3):
            try:
                self._run("pg_ctl", "start", "-w", "-D", str(self._folder / "data"), "-o", settings, "-l", log)
            except subprocess.CalledProcessError:
                # A process of the killed server may still be ending.
                if attempt == 2:
                    raise
                time.sleep(2)
            else:
                return

    def kill(self) -> None:
        """Ends the server at once, as a crash does; one that has ended is left alone."""
        if (self._folder / "data" / "postmaster.pid").exists():
            self._run("pg_ctl", "stop", "-m", "immediate", "-D", str(self._folder / "data"))

    def _run(self, program: str, *words: str) -> None:
        path = str(self._programs / program)
        subprocess.run([path, *words], check=True, user=self._user, cwd="/", stdout=subprocess.DEVNULL)


@contextlib.contextmanager
def postgres():
    """Yields a running server; skips the test where the package is not installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL; on Debian: apt install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="pcavs-postgres-"))
    server = Postgres(found[-1].parent, folder)
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)
