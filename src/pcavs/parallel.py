"""Computes the items of a sequence in several threads, in order and a few at a time."""

import os
import queue
import sys
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

_POLL_S: Final = 0.1
"""Time after which a reader that waits for room looks whether it is still wanted."""


def available_cores() -> int:
    """Returns the number of processors that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Generator[Result]:
    """Yields the results of a function for each item, in the order of the items; memory does not grow with them.

    Args:
        function: Is called in threads, for several items at the same time.
        items: Are taken in the thread that iterates.
        workers: Number of threads, each of which has up to two items; with 1 everything is computed in the thread that
            iterates.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="pcavs") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for each in waiting:
                each.cancel()


def read_ahead(items: Iterable[Item], ahead: int) -> Generator[Item]:
    """Yields items that a thread of their own computes, up to a number of them ahead.

    Args:
        items: Are taken in that thread, which ends with them or when the generator is closed.
        ahead: Items that may wait; with 0 there is no thread.
    """
    if ahead <= 0:
        yield from items
        return
    reader = _Reader(iter(items), ahead)
    try:
        yield from reader
    finally:
        reader.stop()


class _Reader(Iterator[Item]):
    """A thread that takes items, and the queue in which they wait."""

    def __init__(self, items: Iterator[Item], ahead: int) -> None:
        self._items = items
        self._queue: queue.Queue[tuple[Item] | None] = queue.Queue(ahead)
        self._error: BaseException | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pcavs-reader", daemon=True)
        self._thread.start()

    def __next__(self) -> Item:
        found = self._queue.get()
        if found is not None:
            return found[0]
        if self._error is not None:
            raise self._error
        raise StopIteration

    def stop(self) -> None:
        """Ends the thread, and closes what it reads if that is a generator."""
        self._stopped.set()
        self._thread.join()
        close = getattr(self._items, "close", None)
        if close is not None:
            close()

    def _run(self) -> None:
        try:
            for item in self._items:
                if not self._put((item,)):
                    return
        except BaseException as error:  # noqa: BLE001 - is raised in the thread that iterates
            self._error = error
        self._put(None)

    def _put(self, item: tuple[Item] | None) -> bool:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=_POLL_S)
            except queue.Full:
                continue
            return True
        return False
