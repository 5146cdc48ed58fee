"""Starts worker processes, starts others for those that die, and ends all of them."""

import contextlib
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Generator
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any, Final, NamedTuple

from sqlalchemy.exc import DBAPIError

from pcavs.serve.queue import Queue
from pcavs.serve.worker import WorkerSettings, work, worker_name

logger = logging.getLogger(__name__)

_RESTART_S: Final = (0.2, 30.0)
"""Shortest and longest time before a worker that died is replaced; it doubles with each one that died early."""
_EARLY_S: Final = 10.0
"""A worker that dies within this time did not start properly."""
_LOOK_S: Final = 1.0
_EXTRA_GRACE_S: Final = 8.0
"""Time for ending the process itself, after that for its film."""
_ONE_THREAD: Final = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
"""BLAS threads of a worker: those of several workers would wait for each other."""


class _Member(NamedTuple):
    process: BaseProcess
    name: str
    started_s: float


class Pool:
    """A number of worker processes."""

    def __init__(self, count: int, settings: WorkerSettings, queue: Queue) -> None:
        """Stores the settings; `start` begins.

        Args:
            count: Number of processes.
            settings: What each of them needs to know.
            queue: Where the jobs of dead workers are returned.
        """
        self._count, self._settings, self._queue = count, settings, queue
        self._members: dict[int, _Member] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._pauses_s = dict.fromkeys(range(count), _RESTART_S[0])

    def start(self) -> None:
        """Starts the processes, and a thread that watches them."""
        for number in range(self._count):
            self._start_one(number)
        self._thread.start()

    def stop(self) -> None:
        """Ends the processes: films finish within the time of grace, or return to the queue."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        for member in self._members.values():
            member.process.terminate()
        end_s = time.monotonic() + self._settings.grace_s + _EXTRA_GRACE_S
        for member in self._members.values():
            member.process.join(max(0.0, end_s - time.monotonic()))
            if member.process.is_alive():
                member.process.kill()
                member.process.join()
                self._lose(member.name)

    def pids(self) -> list[int]:
        """Returns the process numbers of the workers."""
        return [member.process.pid or 0 for member in self._members.values()]

    def _start_one(self, number: int) -> None:
        name = worker_name(number)
        # Spawned, not forked: threads of the server and of the networks do not survive a fork.
        process = multiprocessing.get_context("spawn").Process(
            target=work, args=(self._settings, name), name=f"pcavs-worker-{number}"
        )
        with _environment(_ONE_THREAD):
            process.start()
        self._members[number] = _Member(process, name, time.monotonic())

    def _watch(self) -> None:
        while not self._stopping.is_set():
            sentinels: list[Any] = [member.process.sentinel for member in self._members.values()]
            if sentinels:
                wait(sentinels, timeout=_LOOK_S)
            else:
                self._stopping.wait(_LOOK_S)
            for number, member in list(self._members.items()):
                if not member.process.is_alive() and not self._stopping.is_set():
                    self._replace(number, member)

    def _replace(self, number: int, member: _Member) -> None:
        logger.error("a worker ended", extra={"worker": member.name, "exit_code": member.process.exitcode})
        self._lose(member.name)
        early = time.monotonic() - member.started_s < _EARLY_S
        self._pauses_s[number] = min(2 * self._pauses_s[number], _RESTART_S[1]) if early else _RESTART_S[0]
        if not self._stopping.wait(self._pauses_s[number]):
            self._start_one(number)

    def _lose(self, name: str) -> None:
        try:
            self._queue.lose_worker(name)
        except DBAPIError as error:
            # The lease of its job ends by itself.
            logger.warning("the database failed: %s", type(error.orig).__name__)


@contextlib.contextmanager
def _environment(values: dict[str, str]) -> Generator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: value for name, value in values.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
