"""Where the work is done: in this process, in processes of this machine, or on a Ray cluster."""

import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import Any

from pcavs.errors import InputError, OutputError, PcavsError
from pcavs.prepare.options import PrepareOptions
from pcavs.prepare.piece import make_piece
from pcavs.prepare.sources import Source

Job = tuple[int, Source]


def spread(jobs: Iterable[Job], options: PrepareOptions) -> Generator[int]:
    """Works on all jobs and gives the number of each when its piece is on disk, in no fixed order.

    Jobs are drawn as workers become free, so a million of them are never all waiting.

    Raises:
        InputError: There is no Ray, or no cluster at the address.
        OutputError: The folder cannot be written.
        PcavsError: A worker was ended from outside.
    """
    if options.engine == "ray":
        return _on_ray(jobs, options)
    return _in_processes(jobs, options) if options.workers > 1 else _here(jobs, options)


def _here(jobs: Iterable[Job], options: PrepareOptions) -> Generator[int]:
    for number, source in jobs:
        make_piece(number, source, options)
        yield number


def _in_processes(jobs: Iterable[Job], options: PrepareOptions) -> Generator[int]:
    # Spawned, not forked: the networks' threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(options.workers, mp_context=context, initializer=_end_with_parent)
    try:
        waiting: dict[Future[int], int] = {}
        queue = iter(jobs)
        while True:
            for number, source in itertools.islice(queue, 2 * options.workers - len(waiting)):
                waiting[pool.submit(make_piece, number, source, options)] = number
            if not waiting:
                return
            for done in wait(waiting, return_when=FIRST_COMPLETED).done:
                done.result()
                yield waiting.pop(done)
    except BrokenProcessPool as error:
        raise PcavsError(
            "a worker was ended from outside, perhaps for want of memory; run the same command again with fewer "
            "--workers: it goes on where it stopped"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Lets Ctrl-C be the parent's to answer, and ends this process when the parent was killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _on_ray(jobs: Iterable[Job], options: PrepareOptions) -> Generator[int]:
    ray = _ray(options.address)
    task = ray.remote(num_cpus=1)(make_piece)
    waiting: dict[Any, int] = {}
    queue = iter(jobs)
    try:
        while True:
            for number, source in itertools.islice(queue, 2 * options.workers - len(waiting)):
                waiting[task.remote(number, source, options)] = number
            if not waiting:
                return
            done, _ = ray.wait(list(waiting), num_returns=1)
            _result(ray, done[0])
            yield waiting.pop(done[0])
    finally:
        for reference in waiting:
            ray.cancel(reference)
        ray.shutdown()


def _ray(address: str) -> Any:
    try:
        import ray  # pyright: ignore[reportMissingImports] - an extra of its own
    except ModuleNotFoundError as error:
        raise InputError('engine ray needs ray; pip install "pcavs[ray]"') from error
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, ValueError, RuntimeError) as error:
        line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(f"no Ray cluster at {address} ({line}); start one with `ray start --head`") from error
    return ray


def _result(ray: Any, reference: Any) -> None:
    errors: Any = ray.exceptions
    try:
        ray.get(reference)
    except errors.RayTaskError as error:
        raise OutputError(" ".join(str(error.cause).split())) from error
    except errors.RayError as error:
        raise PcavsError(f"a Ray worker failed ({type(error).__name__}); run again: it goes on") from error
