"""Implements `pcavs serve`, `pcavs worker` and `pcavs tokens`."""

import contextlib
import ipaddress
import logging
import signal
import socket
import sys
import threading
from pathlib import Path
from typing import Any, Final

import uvicorn

from pcavs.errors import InputError, OutputError
from pcavs.parallel import available_cores
from pcavs.serve.app import create_app
from pcavs.serve.database import Database, database_url
from pcavs.serve.log import configure_logging
from pcavs.serve.options import ListTokensOptions, NewTokenOptions, RevokeTokenOptions, ServeOptions, WorkerOptions
from pcavs.serve.people import Limits, People
from pcavs.serve.pool import Pool
from pcavs.serve.queue import Queue
from pcavs.serve.service import Service, service_folder
from pcavs.serve.store import open_store
from pcavs.serve.views import iso
from pcavs.serve.worker import WorkerSettings
from pcavs.voices.catalogue import natural_voices

logger = logging.getLogger(__name__)

_CONNECTIONS: Final = 400
"""Most connections at once; further ones get 503."""
_BACKLOG: Final = 2048
"""Connections that wait to be accepted."""
_STREAMS_END_S: Final = 5
"""Time in which open answers may end when the server stops."""


def serve(options: ServeOptions) -> int:
    """Runs the service until it is asked to stop (Ctrl-C, SIGTERM).

    Raises:
        PcavsError: The address, the data folder or the database cannot be used.
    """
    natural_voices(options.voices)  # a folder that does not exist is said now
    folder = _make_folder(options.data)
    service = Service(options, folder)
    if not _is_loopback(options.host) and not service.people.are_needed():
        service.close()
        raise InputError(f"{options.host} is no loopback address; make a token first (pcavs tokens new NAME)")
    listener = _listen(options.host, options.port)
    configure_logging()
    pool = Pool(_count(options.workers), _settings(options, folder), service.queue)
    config = uvicorn.Config(
        create_app(service),
        log_config=None,
        access_log=False,
        server_header=False,
        limit_concurrency=_CONNECTIONS,
        timeout_graceful_shutdown=_STREAMS_END_S,
        lifespan="off",
    )
    server = _Server(config, service)
    try:
        pool.start()
        threading.Thread(target=service.checker.start, daemon=True).start()
        service.start()
        host = f"[{options.host}]" if ":" in options.host else options.host
        sys.stdout.write(f"http://{host}:{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        server.run(sockets=[listener])
    finally:
        service.stopping.set()
        pool.stop()
        service.close()
    return 0


class _Server(uvicorn.Server):
    """A server that ends open streams when it is asked to stop."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Notes the request to stop."""
        self._service.stopping.set()
        super().handle_exit(sig, frame)

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Handles signals as uvicorn does, without raising them again at the end: the stop was as planned."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def work(options: WorkerOptions) -> int:
    """Runs workers until they are asked to stop (Ctrl-C, SIGTERM).

    Raises:
        PcavsError: The data folder or the database cannot be used.
    """
    natural_voices(options.voices)
    folder = _make_folder(options.data)
    database = Database(database_url(options.jobs, folder))
    open_store(options.files, folder)
    configure_logging()
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    pool = Pool(_count(options.workers), _settings(options, folder), Queue(database, options.tries))
    pool.start()
    try:
        stop.wait()
    finally:
        pool.stop()
        database.close()
    return 0


def new_token(options: NewTokenOptions) -> str:
    """Makes a token and returns it.

    Raises:
        InputError: There is one of this name.
    """
    limits = Limits(options.waiting, options.films_per_day, options.requests_per_minute, int(options.storage_mb * 1e6))
    with contextlib.closing(_database(options)) as database:
        return People(database).add(options.name, limits)


def list_tokens(options: ListTokensOptions) -> list[str]:
    """Returns a line for each token, the oldest first."""
    with contextlib.closing(_database(options)) as database:
        rows = People(database).all()
    return [
        f"{row.name}: {row.waiting} waiting, {row.films_per_day} a day, {row.requests_per_minute} requests a minute, "
        f"{row.storage_bytes / 1e6:g} MB; made {iso(row.created_at)}"
        + (f"; revoked {iso(row.revoked_at)}" if row.revoked_at else "")
        for row in rows
    ] or ["there are no tokens; pcavs tokens new NAME makes one"]


def revoke_token(options: RevokeTokenOptions) -> str:
    """Makes a token invalid.

    Raises:
        InputError: There is none of this name.
    """
    with contextlib.closing(_database(options)) as database:
        People(database).revoke(options.name)
    return f"{options.name} is revoked"


def _database(options: NewTokenOptions | ListTokensOptions | RevokeTokenOptions) -> Database:
    return Database(database_url(options.jobs, _make_folder(options.data)))


def _make_folder(data: Path | None) -> Path:
    folder = service_folder(data).resolve()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made ({error.strerror}); give another --data") from error
    return folder


def _settings(options: ServeOptions | WorkerOptions, folder: Path) -> WorkerSettings:
    count, sign_with = _count(options.workers), options.sign_with
    if sign_with is not None:
        sign_with = (sign_with[0].absolute(), sign_with[1].absolute())
    return WorkerSettings(
        jobs=database_url(options.jobs, folder),
        files=folder,
        store=options.files,
        tries=options.tries,
        grace_s=options.grace,
        job_s=60 * options.job_minutes,
        memory_bytes=int(options.memory_gb * 1e9),
        threads=max(1, available_cores() // max(1, count)),
        weights=None if options.weights is None else options.weights.absolute(),
        device=options.device,
        voices=None if options.voices is None else options.voices.absolute(),
        sign_with=sign_with,
        tsa=options.tsa,
    )


def _count(workers: int | None) -> int:
    return available_cores() if workers is None else workers


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)  # whoever reads the address can connect at once
    except OSError as error:
        raise InputError(
            f"{host}, port {port}, cannot be listened on ({error.strerror or error}); give another --port"
        ) from error
    return listener


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
