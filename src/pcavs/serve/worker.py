"""A worker: a process with one loaded talker, which takes jobs from the queue and makes their films."""

import contextlib
import dataclasses
import errno
import logging
import multiprocessing
import os
import re
import shutil
import signal
import socket
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

from sqlalchemy.exc import DBAPIError

from pcavs.animate.options import AnimateOptions, Device
from pcavs.errors import PcavsError, raise_if_out_of_memory
from pcavs.serve.database import Database
from pcavs.serve.log import configure_logging
from pcavs.serve.queue import LEASE_S, Job, Queue
from pcavs.serve.store import Store, open_store

logger = logging.getLogger(__name__)

_IDLE_S: Final = 0.25
"""Time between two looks at an empty queue."""
_BEAT_S: Final = 1.0
"""Time between two signs of life; progress is stored with each."""
_SEEN_S: Final = 10.0
"""Time between two entries in the list of workers."""
_RETRY_S: Final = 2.0
"""Time after which a database that failed is asked again."""
_ORPHAN_S: Final = 5.0
"""Time in which a worker whose server ended returns its job before it is stopped hard."""
_LOST_S: Final = 30.0
"""Time in which a film that nobody wants any more must be given up; then the process is ended."""
_SPOKEN: Final = re.compile(r"\S*/pcavs-\w+/")
"""Folder of a spoken text in messages."""
_NICENESS: Final = 5
"""By how much workers give way to the server, so that requests are answered while films are made."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkerSettings:
    """What a worker process needs to know; it is sent to the process."""

    jobs: str
    """Address of the database."""
    files: Path
    """Local folder of the files."""
    store: str | None = None
    """Address of the object store; None keeps finished files in that folder as well."""
    tries: int = 3
    grace_s: float = 20.0
    job_s: float = 3600.0
    memory_bytes: int | None = None
    lease_s: float = LEASE_S
    threads: int = 0
    """Processor threads of the networks; 0 takes all."""
    weights: Path | None = None
    voices: Path | None = None
    device: Device = "auto"
    sign_with: tuple[Path, Path] | None = None
    tsa: str | None = None


class Interrupted(Exception):  # noqa: N818 - no error: nobody waits for this film any more, or it is made later
    """Ends the making of a film from within its progress callback."""


def work(settings: WorkerSettings, name: str) -> None:
    """Takes jobs until the process is asked to stop (SIGTERM) or its parent ends; the target of a process.

    Args:
        settings: Where jobs and files are, and how films are made.
        name: Name of the worker in the queue.
    """
    configure_logging()
    worker = _Worker(settings, name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    signal.signal(signal.SIGTERM, lambda *_: worker.stop(settings.grace_s))
    threading.Thread(target=worker.end_with_parent, daemon=True).start()
    worker.run()


class _Worker:
    """The state of one worker process."""

    def __init__(self, settings: WorkerSettings, name: str) -> None:
        self._settings, self._name = settings, name
        self._stop_at: float | None = None
        self._stopping = threading.Event()
        self._talker: Any = None

    def stop(self, grace_s: float) -> None:
        """Asks for an end: no further job is taken, and the running one has `grace_s` to finish."""
        end = time.monotonic() + grace_s
        self._stop_at = end if self._stop_at is None else min(end, self._stop_at)
        self._stopping.set()

    def end_with_parent(self) -> None:
        """Waits for the end of the parent process, returns the job to the queue, and ends this process."""
        parent = multiprocessing.parent_process()
        if parent is None:
            return
        parent.join()
        self.stop(0.0)
        time.sleep(_ORPHAN_S)
        os._exit(1)  # a decoder or network is stuck; the lease of the job ends by itself

    def run(self) -> None:
        """Loads the talker, then takes jobs until it is stopped."""
        _limit_memory(self._settings.memory_bytes)
        with contextlib.suppress(OSError, AttributeError):  # AttributeError: Windows
            os.nice(_NICENESS)
        from pcavs.animate.load import load_talker

        self._talker = load_talker(self._settings.weights, self._settings.device, self._settings.threads)
        database, store = Database(self._settings.jobs), open_store(self._settings.store, self._settings.files)
        os.chdir(store.work)  # the name of a preset or colour may be that of a file in the user's folder
        queue = Queue(database, self._settings.tries, self._settings.lease_s)
        logger.info("worker ready", extra={"worker": self._name})
        seen_s = -_SEEN_S
        while not self._stopping.is_set():
            try:
                if time.monotonic() - seen_s >= _SEEN_S:
                    queue.seen(self._name)
                    seen_s = time.monotonic()
                job = queue.take(self._name)
                if job is None:
                    self._stopping.wait(_IDLE_S)
                else:
                    self._make(job, queue, store)
            except DBAPIError as error:
                logger.warning("the database failed: %s", type(error.orig).__name__)
                self._stopping.wait(_RETRY_S)
        with contextlib.suppress(DBAPIError):
            queue.leave(self._name)
        database.close()

    def _make(self, job: Job, queue: Queue, store: Store) -> None:
        """Makes the film of one job and stores it, or why it cannot be made."""
        facts = {"worker": self._name, "job": job.id, "attempt": job.attempt}
        logger.info("job begun", extra=facts)
        began_s = time.monotonic()
        folder = store.work / f"{job.id}-{job.lease}"
        beat = _Beat(queue, job, self._settings, self._hurry)
        try:
            with beat, _job_folder(folder):
                outcome = self._film(job, folder, beat, queue, store)
        except Interrupted:
            outcome = "returned" if beat.held else "not wanted any more"
            if beat.held:
                _when_possible(lambda: queue.give_back(job), self._settings.lease_s)
        except (PcavsError, OSError) as error:
            line = plain_text(error, folder) if isinstance(error, PcavsError) else _disk_line(error)
            outcome = "failed" if _when_possible(lambda: queue.fail(job, line), self._settings.lease_s) else "lost"
        logger.info("job %s", outcome, extra=facts | {"took_s": round(time.monotonic() - began_s, 2)})

    def _film(self, job: Job, folder: Path, beat: "_Beat", queue: Queue, store: Store) -> str:
        from pcavs.animate.run import make_film
        from pcavs.animate.say import with_driving_audio

        try:
            options = self._options(job, folder, store)
            with with_driving_audio(options) as resolved:
                summary = make_film(self._talker, resolved, beat.progress)
        except (PcavsError, OSError, Interrupted):
            raise
        except Exception as error:
            raise_if_out_of_memory(error)
            logger.exception("a fault while a film was made", extra={"job": job.id})
            raise PcavsError("the film could not be made: a fault of the service; its log says why") from error
        result = {
            "frames": summary.frames,
            "seconds": summary.seconds,
            "fps": summary.fps,
            "seed": summary.seed,
            "took_s": summary.took_s,
            "weights": summary.weights,
            "notes": [plain_text(note, folder) for note in summary.notes],
        }
        key = f"films/{job.id}-{job.lease}{options.out.suffix}"
        size = options.out.stat().st_size
        store.stage(options.out, key)
        beat.pause()
        stored = _when_possible(
            lambda: queue.finish(job, result, key, size, lambda: store.publish(options.out, key)),
            self._settings.lease_s,
        )
        if not stored:
            store.remove(key)
        return "done" if stored else "lost"

    def _options(self, job: Job, folder: Path, store: Store) -> AnimateOptions:
        """Brings the uploads of a job into its folder and returns the settings of its film."""
        from pcavs.serve.order import TalkOrder, animate_options

        order = TalkOrder.model_validate(job.request["order"])
        files: dict[str, Path] = {}
        for upload, key in job.request["files"].items():
            files[upload] = folder / Path(key).name
            try:
                store.bring(key, files[upload])
            except FileNotFoundError as error:
                raise PcavsError(f"the upload {upload} was removed; send it again") from error
        options = animate_options(order, folder, files, folder / f"film.{order.format}")
        facts = self._settings
        return dataclasses.replace(options, voices=facts.voices, sign_with=facts.sign_with, tsa=facts.tsa)

    def _hurry(self) -> bool:
        return self._stop_at is not None and time.monotonic() >= self._stop_at


class _Beat:
    """Renews the lease of a job from a thread, and interrupts the film if it is lost or the worker must stop."""

    def __init__(self, queue: Queue, job: Job, settings: WorkerSettings, hurry: Any) -> None:
        self._queue, self._job, self._settings, self._hurry = queue, job, settings, hurry
        self._progress: tuple[str, int, int] = ("reading", 0, 0)
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._lost_s: float | None = None
        self.held = True
        """Whether this worker holds the job, as far as it knows."""

    def progress(self, activity: str, done: int, total: int) -> None:
        """The callback of the film.

        Raises:
            Interrupted: The film is to be given up.
        """
        self._progress = (activity, done, total)
        if not self.held or self._hurry():
            raise Interrupted

    def pause(self) -> None:
        """Ends the renewals: the job is about to be stored."""
        self._done.set()
        self._thread.join()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self.pause()

    def _run(self) -> None:
        began_s = renewed_s = time.monotonic()
        while not self._done.wait(min(_BEAT_S, self._settings.lease_s / 4)):
            now_s = time.monotonic()
            if now_s - began_s > self._settings.job_s:
                _fail_hard(self._queue, self._job, self._settings.job_s)
            try:
                self.held = self.held and self._queue.renew(self._job, *self._progress)
                renewed_s = now_s
            except DBAPIError:
                # Others take the job when its lease has ended, so that this film is given up at that moment.
                self.held = now_s - renewed_s < self._settings.lease_s
            if not self.held and self._lost_s is None:
                self._lost_s = now_s
            if self._lost_s is not None and now_s - self._lost_s > _LOST_S:
                os._exit(1)  # stuck in something that calls no progress callback


def _fail_hard(queue: Queue, job: Job, job_s: float) -> None:
    """Ends a job that takes too long, with the process: what is stuck may not return to Python."""
    with contextlib.suppress(DBAPIError):
        queue.fail(job, f"the film was not finished within {job_s / 60:g} minutes; give shorter or smaller files")
    os._exit(1)


def _when_possible(act: Any, for_s: float) -> Any:
    """Calls a function of the queue; waits for a database that fails, for the time of a lease at most."""
    end_s = time.monotonic() + for_s
    while True:
        try:
            return act()
        except DBAPIError:
            if time.monotonic() > end_s:
                raise
            time.sleep(_RETRY_S)


@contextlib.contextmanager
def _job_folder(folder: Path) -> Generator[None]:
    folder.mkdir(mode=0o700)
    try:
        yield
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _disk_line(error: OSError) -> str:
    """Returns the message about a file of the service that cannot be read or written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "the service has no space left; try again later"
    logger.error("a file failed: %s", error.strerror or error)
    return "the film could not be made: a fault of the service; its log says why"


def plain_text(text: object, folder: Path) -> str:
    """Returns a message as one line without paths of this machine: uploads are named by their ids.

    Args:
        text: The message or error.
        folder: Folder of the job.
    """
    line = " ".join(str(text).split()).replace(f"{folder}{os.sep}", "")
    return _SPOKEN.sub("", line)


def _limit_memory(num_bytes: int | None) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    if num_bytes is not None:
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        limit = num_bytes if hard == resource.RLIM_INFINITY else min(num_bytes, hard)
        resource.setrlimit(resource.RLIMIT_AS, (limit, hard))


def worker_name(number: int) -> str:
    """Returns the name of a new worker process: machine, process of its parent, number and start."""
    return f"{socket.gethostname()[:40]}-{os.getpid()}-{number}-{time.monotonic_ns() % 10**9}"
