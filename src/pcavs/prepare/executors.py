"""Runs the work items of `pcavs prepare`: in this process, in several processes, or on a Ray cluster."""

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final

from pcavs.errors import InputError, OutputError, PcavsError, install_hint
from pcavs.prepare.options import PrepareOptions
from pcavs.prepare.sources import Source
from pcavs.prepare.worker import prepare_piece

Job = tuple[int, Source]
"""A source and its number, which names its piece."""

_JOBS_PER_WORKER: Final = 2
"""Jobs submitted for each worker: one running and one waiting, so that no worker is idle between two jobs."""


def run_jobs(jobs: Iterable[Job], options: PrepareOptions) -> Generator[int]:
    """Runs all jobs and yields the number of each as soon as its piece is on disk, in no fixed order.

    Jobs are taken from the iterable as workers become free, so that a million of them are never queued at once.

    Raises:
        InputError: Ray is not installed, or there is no cluster at the address.
        OutputError: The folder cannot be written.
        PcavsError: A worker process was killed.
    """
    if options.engine == "ray":
        return _run_on_ray(jobs, options)
    return _run_in_processes(jobs, options) if options.workers > 1 else _run_here(jobs, options)


def _run_here(jobs: Iterable[Job], options: PrepareOptions) -> Generator[int]:
    for number, source in jobs:
        prepare_piece(number, source, options)
        yield number


def _run_in_processes(jobs: Iterable[Job], options: PrepareOptions) -> Generator[int]:
    # Spawned, not forked: the threads of the networks do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(options.workers, mp_context=context, initializer=_exit_with_parent)
    try:
        pending: dict[Future[int], int] = {}
        queue = iter(jobs)
        while True:
            for number, source in itertools.islice(queue, _JOBS_PER_WORKER * options.workers - len(pending)):
                pending[pool.submit(prepare_piece, number, source, options)] = number
            if not pending:
                return
            for done in wait(pending, return_when=FIRST_COMPLETED).done:
                done.result()
                yield pending.pop(done)
    except BrokenProcessPool as error:
        raise PcavsError(
            "a worker process was killed, perhaps because memory ran out; run the same command again with fewer "
            "--workers: it continues where it stopped"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _exit_with_parent() -> None:
    """Leaves Ctrl-C to the parent process, and exits this one as soon as the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def wait_for_parent() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait_for_parent, daemon=True).start()


def _run_on_ray(jobs: Iterable[Job], options: PrepareOptions) -> Generator[int]:
    ray = _connect_to_ray(options.address)
    task = ray.remote(num_cpus=1)(prepare_piece)
    pending: dict[Any, int] = {}
    queue = iter(jobs)
    try:
        while True:
            for number, source in itertools.islice(queue, _JOBS_PER_WORKER * options.workers - len(pending)):
                pending[task.remote(number, source, options)] = number
            if not pending:
                return
            done, _ = ray.wait(list(pending), num_returns=1)
            _check_ray_result(ray, done[0])
            yield pending.pop(done[0])
    finally:
        for reference in pending:
            ray.cancel(reference)
        ray.shutdown()


def _connect_to_ray(address: str) -> Any:
    try:
        import ray  # pyright: ignore[reportMissingImports] - an optional extra
    except ModuleNotFoundError as error:
        raise InputError(f"engine ray needs ray; run {install_hint('ray')}") from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, ValueError, RuntimeError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"no Ray cluster at {address} ({line}); start one with `ray start --head`") from error
    return ray


def _check_ray_result(ray: Any, reference: Any) -> None:
    errors: Any = ray.exceptions
    try:
        ray.get(reference)
    except errors.RayTaskError as error:
        raise OutputError(" ".join(str(error.cause).split())) from error
    except errors.RayError as error:
        raise PcavsError(f"a Ray worker failed ({type(error).__name__}); run the same command again") from error
