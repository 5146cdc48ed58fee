"""The parts of a running service, and its chores: expiry, lost leases, webhooks."""

import contextlib
import logging
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool

from pcavs.errors import PcavsError
from pcavs.provenance.keys import data_folder
from pcavs.serve.checker import Checker, FileLimits
from pcavs.serve.database import Database, database_url
from pcavs.serve.hooks import Hooks
from pcavs.serve.metrics import Metrics
from pcavs.serve.options import ServeOptions
from pcavs.serve.outside import Outside
from pcavs.serve.people import Owner, People
from pcavs.serve.queue import Queue
from pcavs.serve.rates import Rates
from pcavs.serve.store import open_store
from pcavs.serve.tables import idempotency, jobs, now_s, uploads
from pcavs.serve.talks import Talks
from pcavs.serve.uploads import Uploads

logger = logging.getLogger(__name__)

_DAY_S: Final = 86_400.0
_CHORES_S: Final = 1.0
_REMEMBER_S: Final = 1.0
"""Time for which a valid token is remembered, so that most requests need no look-up; a revoked one is valid as long."""
_MOST_OWNERS: Final = 1000
"""Tokens that are remembered."""
_SWEEP_S: Final = 60.0
"""Time between two looks for what has expired."""
_LEFTOVER_S: Final = 3600.0
"""Age at which a file that no record names is removed, beyond the longest time of a job."""


class Service:
    """The parts of a running service."""

    def __init__(self, options: ServeOptions, folder: Path) -> None:
        """Opens database and store.

        Args:
            options: Settings of the service.
            folder: Its data folder, which exists.
        """
        self.options, self.folder = options, folder
        self.database = Database(database_url(options.jobs, folder))
        self.store = open_store(options.files, folder)
        keep_s = options.days * _DAY_S
        self.queue = Queue(self.database, options.tries)
        self.people = People(self.database)
        self.uploads = Uploads(self.database, self.store, keep_s)
        self.talks = Talks(self.database, self.store, self.uploads, keep_s)
        self.limits = FileLimits(int(options.max_mb * 1e6), options.max_megapixels * 1e6, options.max_seconds)
        self.checker = Checker(self.limits)
        self.secret = self.database.fact("secret")
        self.webhook_hosts = Outside(options.webhook_hosts)
        self.fetch_hosts = Outside(options.fetch_hosts)
        self.hooks = Hooks(self.database, self.webhook_hosts, self.secret)
        self.rates = Rates()
        self.metrics = Metrics()
        self.stopping = threading.Event()
        """Set when the service ends: open streams end then."""
        self._thread = threading.Thread(target=self._do_chores, daemon=True)
        self._streams: Counter[str] = Counter()
        self._streams_lock = threading.Lock()
        self._needs_token: tuple[float, bool] = (-_REMEMBER_S, False)
        self._owners: dict[str, tuple[float, Owner]] = {}

    def start(self) -> None:
        """Starts the chores."""
        self._thread.start()

    def close(self) -> None:
        """Ends the chores and closes the database."""
        self.stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self.checker.stop()
        self.database.close()

    async def needs_token(self) -> bool:
        """Tells whether requests need a token; looked up about once a second."""
        looked_s, needed = self._needs_token
        if time.monotonic() - looked_s > _REMEMBER_S:
            needed = await run_in_threadpool(self.people.are_needed)
            self._needs_token = (time.monotonic(), needed)
        return needed

    async def find_owner(self, token: str) -> Owner | None:
        """Returns whose token this is; None if it is not valid. A valid one is looked up about once a second."""
        looked_s, owner = self._owners.get(token, (-1.0, None))
        if owner is None or time.monotonic() - looked_s > _REMEMBER_S:
            owner = await run_in_threadpool(self.people.find, token)
            if len(self._owners) > _MOST_OWNERS:
                self._owners.clear()
            self._owners.pop(token, None)
            if owner is not None:
                self._owners[token] = (time.monotonic(), owner)
        return owner

    def open_stream(self, owner: str, most: int) -> bool:
        """Counts an open stream of an owner; returns False if they have `most` already."""
        with self._streams_lock:
            if self._streams[owner] >= most:
                return False
            self._streams[owner] += 1
        return True

    def close_stream(self, owner: str) -> None:
        """Counts a stream as closed."""
        with self._streams_lock:
            self._streams[owner] -= 1

    def expire(self) -> None:
        """Removes what has expired, and files that no record names."""
        with self.database.write() as connection:
            old_jobs = connection.execute(select(jobs).where(jobs.c.expires_at < now_s(), jobs.c.state != "running"))
            old_uploads = connection.execute(select(uploads).where(uploads.c.expires_at < now_s()))
            gone = [row.film_key for row in old_jobs.all() if row.film_key] + [row.key for row in old_uploads.all()]
            connection.execute(delete(jobs).where(jobs.c.expires_at < now_s(), jobs.c.state != "running"))
            connection.execute(delete(uploads).where(uploads.c.expires_at < now_s()))
            connection.execute(delete(idempotency).where(idempotency.c.created_at < now_s() - _DAY_S))
        for key in gone:
            with contextlib.suppress(OSError):
                self.store.remove(key)
        with self.database.read() as connection:
            films = connection.execute(select(jobs.c.film_key).where(jobs.c.film_key.is_not(None))).scalars()
            known = {*films, *connection.execute(select(uploads.c.key)).scalars()}
        self.store.sweep(known, _LEFTOVER_S + 2 * 60 * self.options.job_minutes)

    def _do_chores(self) -> None:
        swept_s = time.monotonic() - _SWEEP_S
        while not self.stopping.wait(_CHORES_S):
            try:
                self.queue.reap()
                self.hooks.send_due()
                if time.monotonic() - swept_s >= _SWEEP_S:
                    swept_s = time.monotonic()
                    self.expire()
            except (DBAPIError, OSError, PcavsError) as error:
                cause: Any = getattr(error, "orig", error)
                logger.warning("chores failed: %s", type(cause).__name__)


def service_folder(data: Path | None) -> Path:
    """Returns the data folder of a service."""
    return data if data is not None else data_folder() / "serve"
