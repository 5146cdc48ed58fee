"""Records of ordered films: order, list, retry, remove."""

import json
from typing import Any, Final

from sqlalchemy import Connection, delete, func, insert, select, update

from pcavs.serve.database import Database
from pcavs.serve.ids import new_id
from pcavs.serve.order import TalkOrder, uploads_of
from pcavs.serve.people import Owner
from pcavs.serve.problems import Problem
from pcavs.serve.store import Store
from pcavs.serve.tables import hooks, idempotency, jobs, now_s, owners
from pcavs.serve.uploads import Uploads, used_bytes

_DAY_S: Final = 86_400.0
_PREVIEW_S: Final = 3600.0
"""Time for which a preview is kept."""
_MOST: Final = 100
"""Most films on one page of the list."""


class Talks:
    """The films of all owners; each owner sees their own."""

    def __init__(self, database: Database, store: Store, uploads: Uploads, keep_s: float) -> None:
        """Stores where they are, and how long they are kept."""
        self._database, self._store, self._uploads, self._keep_s = database, store, uploads, keep_s

    def earlier(self, owner: Owner, key: str | None, order_digest: str) -> Any | None:
        """Returns the film that was ordered with an idempotency key; None if there is none.

        Raises:
            Problem: The key was used for another order.
        """
        if key is None:
            return None
        with self._database.read() as connection:
            return self._earlier(connection, owner, key, order_digest)

    def add(self, owner: Owner, order: TalkOrder, key: str | None, order_digest: str) -> tuple[Any, bool]:
        """Queues a film that was checked.

        Args:
            owner: Who orders it.
            order: What is ordered.
            key: Idempotency key; the same order with the same key is queued once.
            order_digest: Digest of the order as it was sent.

        Returns:
            The row of the film, and whether it is new.

        Raises:
            InputError: An upload does not exist, or is of a wrong kind.
            Problem: A limit of the owner is reached, or the key was used for another order.
        """
        fields = order.model_dump(mode="json")
        wanted = uploads_of(order)
        with self._database.write() as connection:
            mine = select(owners).where(owners.c.id == owner.id).with_for_update()
            row = connection.execute(mine).one()  # locked: requests of one owner wait for each other
            earlier = None if key is None else self._earlier(connection, owner, key, order_digest)
            if earlier is not None:
                return earlier, False
            files = self._uploads.keep(connection, owner, wanted)
            self._count(connection, owner, row)
            name = new_id("tlk")
            values = {
                "id": name,
                "owner": owner.id,
                "state": "queued",
                "request": json.dumps({"order": fields, "files": files}),
                "preview": int(order.preview),
                "webhook": order.webhook,
                "created_at": now_s(),
                "expires_at": now_s() + (min(_PREVIEW_S, self._keep_s) if order.preview else self._keep_s),
            }
            connection.execute(insert(jobs).values(values))
            if key is not None:
                stored = {
                    "owner": owner.id,
                    "key": key,
                    "digest": order_digest,
                    "job": name,
                    "created_at": now_s(),
                }
                connection.execute(insert(idempotency).values(stored))
            return connection.execute(_shown().where(jobs.c.id == name)).one(), True

    def get(self, owner: Owner, name: str) -> Any:
        """Returns the row of a film of this owner.

        Raises:
            Problem: There is none.
        """
        row = self.find(name)
        if row is None or row.owner != owner.id:
            raise _missing()
        return row

    def find(self, name: str) -> Any | None:
        """Returns the row of a film of any owner; None if there is none."""
        with self._database.read() as connection:
            return connection.execute(_shown().where(jobs.c.id == name)).first()

    def page(self, owner: Owner, limit: int, before: int | None, *, previews: bool) -> tuple[list[Any], int | None]:
        """Lists films, the newest first.

        Args:
            owner: Whose films.
            limit: Most films to return, up to 100.
            before: Number of the film at which the last page ended; None begins.
            previews: Lists previews as well.

        Returns:
            Rows, and where the next page begins; None after the last one.
        """
        limit = min(max(limit, 1), _MOST)
        query = _shown().where(jobs.c.owner == owner.id).order_by(jobs.c.number.desc()).limit(limit + 1)
        if before is not None:
            query = query.where(jobs.c.number < before)
        if not previews:
            query = query.where(jobs.c.preview == 0)
        with self._database.read() as connection:
            rows = list(connection.execute(query).all())
        return rows[:limit], rows[limit - 1].number if len(rows) > limit else None

    def place(self, row: Any) -> int | None:
        """Returns how many films of all owners wait before this one, about; None if it does not wait."""
        if row.state != "queued":
            return None
        with self._database.read() as connection:
            before = select(func.count()).where(jobs.c.state == "queued", jobs.c.number < row.number)
            return int(connection.execute(before).scalar_one())

    def retry(self, owner: Owner, name: str) -> Any:
        """Queues a film again that failed.

        Raises:
            Problem: There is none, or it did not fail.
        """
        with self._database.write() as connection:
            locked = select(owners).where(owners.c.id == owner.id).with_for_update()
            mine = connection.execute(locked).one()
            row = connection.execute(select(jobs).where(jobs.c.id == name, jobs.c.owner == owner.id)).first()
            if row is None:
                raise _missing()
            if row.state != "failed":
                raise Problem(409, f"the film is {status_of(row)}; only failed ones are tried again")
            self._count(connection, owner, mine)
            values = {
                "state": "queued",
                "attempts": 0,
                "error": None,
                "worker": None,
                "ended_at": None,
                "started_at": None,
                "steps_done": 0,
                "steps": 0,
                "expires_at": now_s() + self._keep_s,
            }
            connection.execute(update(jobs).where(jobs.c.number == row.number).values(values))
            return connection.execute(_shown().where(jobs.c.number == row.number)).one()

    def remove(self, owner: Owner, name: str) -> None:
        """Removes a film. If it is being made, its worker finds that it lost the job, and gives it up.

        Raises:
            Problem: There is none.
        """
        with self._database.write() as connection:
            mine = (jobs.c.id == name, jobs.c.owner == owner.id)
            row = connection.execute(select(jobs).where(*mine).with_for_update()).first()
            if row is None:
                raise _missing()
            connection.execute(delete(jobs).where(jobs.c.number == row.number))
            connection.execute(delete(hooks).where(hooks.c.job == name))
        if row.film_key is not None:
            self._store.remove(row.film_key)

    def _earlier(self, connection: Connection, owner: Owner, key: str, order_digest: str) -> Any | None:
        mine = (idempotency.c.owner == owner.id, idempotency.c.key == key)
        used = connection.execute(select(idempotency).where(*mine)).first()
        if used is None:
            return None
        if used.digest != order_digest:
            raise Problem(422, "this Idempotency-Key was used for another film; give a new one")
        row = connection.execute(_shown().where(jobs.c.id == used.job)).first()
        if row is None:
            raise Problem(409, "the film of this Idempotency-Key was deleted; give a new key")
        return row

    def _count(self, connection: Connection, owner: Owner, row: Any) -> None:
        """Counts an order against the limits of its owner."""
        limits = owner.limits
        busy = select(func.count()).where(jobs.c.owner == owner.id, jobs.c.state.in_(("queued", "running")))
        if int(connection.execute(busy).scalar_one()) >= limits.waiting:
            raise Problem(429, f"{limits.waiting} of your films wait already; order more when some are finished")
        now = float(connection.execute(select(now_s())).scalar_one())
        is_new_day = not row.day_from <= now < row.day_from + _DAY_S
        count = 0 if is_new_day else row.day_films
        if count >= limits.films_per_day:
            raise Problem(429, f"you ordered {limits.films_per_day} films today; order more tomorrow")
        if used_bytes(connection, owner) > limits.storage_bytes:
            raise Problem(507, "your space is used up; delete uploads or films, or wait until they expire")
        values = {"day_films": count + 1, "day_from": now if is_new_day else row.day_from}
        connection.execute(update(owners).where(owners.c.id == owner.id).values(values))


def status_of(row: Any) -> str:
    """Returns the state of a film as the API names it: created, started, done or error."""
    return {"queued": "created", "running": "started", "done": "done", "failed": "error"}[row.state]


def _shown() -> Any:
    """Returns the query of a film's row with the time of the database as `now_s`."""
    return select(jobs, now_s().label("now_s"))


def _missing() -> Problem:
    return Problem(404, "there is no such film; it was deleted, has expired, or is another's")
