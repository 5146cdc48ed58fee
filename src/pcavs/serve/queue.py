"""The queue of films: who takes which job, how long it is held, and who may store its result.

A job is taken for a limited time, the lease. The holder renews it; if it dies, the lease ends and another worker takes
the job. Only who holds the lease can store a result, so a job has one result even if two workers believe they have it.
"""

import json
import secrets
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update

from pcavs.serve.database import Database
from pcavs.serve.tables import hooks, jobs, now_s, owners, workers

LEASE_S: Final = 30.0
"""Time after its last sign of life at which a worker counts as dead. Tuned by hand; not measured."""
_LEASE_BYTES: Final = 16
_WORKER_GONE_S: Final = 10 * LEASE_S
"""Time after which a silent worker is no longer listed."""


class Job(NamedTuple):
    """A job that a worker holds."""

    number: int
    id: str
    owner: str
    lease: str
    attempt: int
    """From 1 on."""
    request: dict[str, Any]


class Queue:
    """The jobs of a service; used by servers and workers."""

    def __init__(self, database: Database, tries: int = 3, lease_s: float = LEASE_S) -> None:
        """Stores the settings.

        Args:
            database: Where the jobs are.
            tries: How often a job is begun whose worker ends without a result.
            lease_s: Time for which a job is held without a sign of life.
        """
        self._database, self._tries, self.lease_s = database, tries, lease_s

    def take(self, worker: str) -> Job | None:
        """Takes the next job; None if none waits.

        Owners take turns: the one with the fewest running jobs is served first; among equals, the one whose turn was
        longest ago. Jobs of one owner are begun in the order in which they came, previews first.
        """
        lease = secrets.token_urlsafe(_LEASE_BYTES)
        with self._database.write() as connection:
            self._reap(connection)
            number = connection.execute(_next_job()).scalar()
            if number is None:
                return None
            values = {
                "state": "running",
                "lease": lease,
                "lease_until": now_s() + self.lease_s,
                "worker": worker,
                "attempts": jobs.c.attempts + 1,
                "started_at": now_s(),
                "activity": None,
                "steps_done": 0,
                "steps": 0,
            }
            connection.execute(update(jobs).where(jobs.c.number == number).values(values))
            row = connection.execute(select(jobs).where(jobs.c.number == number)).one()
            connection.execute(update(owners).where(owners.c.id == row.owner).values(served_at=now_s()))
        return Job(number, row.id, row.owner, lease, row.attempts, json.loads(row.request))

    def renew(self, job: Job, activity: str, done: int, total: int) -> bool:
        """Extends the lease and stores the progress.

        Returns:
            Whether the job is still held; if not, nobody wants its result.
        """
        values = {
            "lease_until": now_s() + self.lease_s,
            "activity": activity,
            "steps_done": done,
            "steps": total,
        }
        with self._database.write() as connection:
            return connection.execute(update(jobs).where(_held(job)).values(values)).rowcount == 1

    def finish(self, job: Job, result: dict[str, Any], key: str, num_bytes: int, publish: Callable[[], None]) -> bool:
        """Stores the result of a job that is still held.

        Args:
            job: The job.
            result: Facts about the film, and notes.
            key: Name of the film in the store.
            num_bytes: Size of the film.
            publish: Gives the film that name; called while the job is locked, and only if it is still held.

        Returns:
            Whether the result was stored.
        """
        values = {"state": "done", "result": json.dumps(result), "film_key": key, "film_bytes": num_bytes}
        return self._end(job, values, publish)

    def fail(self, job: Job, error: str) -> bool:
        """Stores why a job cannot be done; returns whether it was still held."""
        return self._end(job, {"state": "failed", "error": error}, lambda: None)

    def give_back(self, job: Job) -> None:
        """Returns a job to the queue; the attempt does not count."""
        values = {**_waiting(), "attempts": jobs.c.attempts - 1}
        with self._database.write() as connection:
            connection.execute(update(jobs).where(_held(job)).values(values))

    def lose_worker(self, worker: str) -> None:
        """Returns the jobs of a worker that died to the queue, before their leases end; the attempts count."""
        with self._database.write() as connection:
            mine = and_(jobs.c.state == "running", jobs.c.worker == worker)
            connection.execute(update(jobs).where(mine).values(lease_until=0.0))
            connection.execute(delete(workers).where(workers.c.id == worker))
            self._reap(connection)

    def reap(self) -> None:
        """Returns jobs whose lease has ended to the queue, or sets them aside after their last attempt."""
        with self._database.write() as connection:
            self._reap(connection)

    def seen(self, worker: str) -> None:
        """Notes that a worker is alive."""
        with self._database.write() as connection:
            if not connection.execute(update(workers).where(workers.c.id == worker).values(seen_at=now_s())).rowcount:
                connection.execute(insert(workers).values(id=worker, started_at=now_s(), seen_at=now_s()))
            connection.execute(delete(workers).where(workers.c.seen_at < now_s() - _WORKER_GONE_S))

    def leave(self, worker: str) -> None:
        """Removes a worker that ends as planned from the list."""
        with self._database.write() as connection:
            connection.execute(delete(workers).where(workers.c.id == worker))

    def count_workers(self) -> int:
        """Counts the workers that were alive within the length of a lease."""
        with self._database.read() as connection:
            alive = select(func.count()).select_from(workers).where(workers.c.seen_at > now_s() - self.lease_s)
            return int(connection.execute(alive).scalar_one())

    def count_states(self) -> dict[str, int]:
        """Counts the jobs of each state."""
        with self._database.read() as connection:
            rows = connection.execute(select(jobs.c.state, func.count()).group_by(jobs.c.state)).all()
        return {"queued": 0, "running": 0, "done": 0, "failed": 0} | {row[0]: int(row[1]) for row in rows}

    def _end(self, job: Job, values: dict[str, Any], publish: Callable[[], None]) -> bool:
        with self._database.write() as connection:
            row = connection.execute(select(jobs).where(_held(job)).with_for_update()).first()
            if row is None:
                return False
            publish()
            ended = {"ended_at": now_s(), "lease": None, "lease_until": None, **values}
            connection.execute(update(jobs).where(jobs.c.number == job.number).values(ended))
            _tell(connection, row, values["state"], values.get("error"))
        return True

    def _reap(self, connection: Connection) -> None:
        """Ends leases that were not renewed.

        A lease that ends much later than it can was given before the clock of the database was set back.
        """
        lapsed = or_(jobs.c.lease_until < now_s(), jobs.c.lease_until > now_s() + 3 * self.lease_s)
        lost = select(jobs).where(jobs.c.state == "running", lapsed).with_for_update(skip_locked=True)
        for row in connection.execute(lost).all():
            this = update(jobs).where(jobs.c.number == row.number)
            if row.attempts < self._tries:
                connection.execute(this.values(_waiting()))
                continue
            error = (
                f"the worker ended {row.attempts} times without a result, perhaps because memory ran out or a file is "
                "damaged; try smaller files, or retry"
            )
            values = {"state": "failed", "error": error, "ended_at": now_s(), "lease": None, "lease_until": None}
            connection.execute(this.values(values))
            _tell(connection, row, "failed", error)


def _waiting() -> dict[str, Any]:
    """Returns the columns of a job that waits."""
    return {
        "state": "queued",
        "lease": None,
        "lease_until": None,
        "worker": None,
        "activity": None,
        "steps_done": 0,
        "steps": 0,
    }


def _held(job: Job) -> ColumnElement[bool]:
    return and_(jobs.c.number == job.number, jobs.c.lease == job.lease, jobs.c.state == "running")


def _next_job() -> Any:
    """Returns the query for the number of the job to begin next."""
    running = (
        select(jobs.c.owner, func.count().label("count"))
        .where(jobs.c.state == "running")
        .group_by(jobs.c.owner)
        .subquery()
    )
    turn = (
        func.coalesce(running.c.count, 0),
        owners.c.served_at,
        jobs.c.preview.desc(),  # a second of film, for which somebody waits
        jobs.c.number,
    )
    return (
        select(jobs.c.number)
        .join(owners, owners.c.id == jobs.c.owner)
        .outerjoin(running, running.c.owner == jobs.c.owner)
        .where(jobs.c.state == "queued")
        .order_by(*turn)
        .limit(1)
        .with_for_update(of=jobs, skip_locked=True)
    )


def _tell(connection: Connection, row: Any, state: str, error: str | None) -> None:
    """Queues the message about the end of a job, in the transaction that ends it."""
    if row.webhook is None:
        return
    body = {"id": row.id, "status": "done" if state == "done" else "error", "error": error}
    connection.execute(insert(hooks).values(job=row.id, url=row.webhook, body=json.dumps(body), due_at=now_s()))
