"""Records of uploads."""

import contextlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from pcavs.errors import InputError
from pcavs.serve.database import Database
from pcavs.serve.ids import new_id
from pcavs.serve.order import suffix_of
from pcavs.serve.people import Owner
from pcavs.serve.problems import Problem
from pcavs.serve.store import Store
from pcavs.serve.tables import jobs, now_s, uploads

_PREFIXES = {"image": "img", "audio": "aud", "video": "vid", "track": "trk"}


class Uploads:
    """The files that users sent."""

    def __init__(self, database: Database, store: Store, keep_s: float) -> None:
        """Stores where they are, and how long they are kept."""
        self._database, self._store, self._keep_s = database, store, keep_s

    def add(self, owner: Owner, part: Path, facts: dict[str, Any]) -> Any:
        """Keeps a checked file and returns its row.

        Raises:
            Problem: The owner has no space left.
        """
        size = part.stat().st_size
        name = new_id(_PREFIXES[facts["kind"]])
        key = f"uploads/{name}{suffix_of(facts['kind'])}"
        self._store.stage(part, key)
        self._store.publish(part, key)
        try:
            with self._database.write() as connection:
                if used_bytes(connection, owner) + size > owner.limits.storage_bytes:
                    raise Problem(507, "your space is used up; delete uploads or films, or wait until they expire")
                values = {
                    "id": name,
                    "owner": owner.id,
                    "kind": facts["kind"],
                    "key": key,
                    "bytes": size,
                    "facts": json.dumps(facts),
                    "created_at": now_s(),
                    "expires_at": now_s() + self._keep_s,
                }
                connection.execute(insert(uploads).values(values))
                return connection.execute(select(uploads).where(uploads.c.id == name)).one()
        except BaseException:
            with contextlib.suppress(OSError):
                self._store.remove(key)
            raise

    def get(self, owner: Owner, name: str) -> Any:
        """Returns the row of an upload of this owner.

        Raises:
            Problem: There is none.
        """
        with self._database.read() as connection:
            mine = (uploads.c.id == name, uploads.c.owner == owner.id)
            row = connection.execute(select(uploads).where(*mine)).first()
        if row is None:
            raise Problem(404, "there is no such upload; it was removed, or is another's")
        return row

    def remove(self, owner: Owner, name: str) -> None:
        """Removes an upload.

        Raises:
            Problem: There is none.
        """
        row = self.get(owner, name)
        with self._database.write() as connection:
            connection.execute(delete(uploads).where(uploads.c.id == name))
        self._store.remove(row.key)

    def keep(self, connection: Connection, owner: Owner, wanted: dict[str, tuple[str, ...]]) -> dict[str, str]:
        """Returns the file of each upload that a film reads, and keeps them for as long as the film.

        Raises:
            InputError: There is no such upload of this owner, or it is of a wrong kind.
        """
        found: dict[str, str] = {}
        for name, kinds in wanted.items():
            row = connection.execute(select(uploads).where(uploads.c.id == name, uploads.c.owner == owner.id)).first()
            if row is None:
                raise InputError(f"there is no upload {name}; it was removed or has expired: send it again")
            if row.kind not in kinds:
                raise InputError(f"{name} is of the kind {row.kind}; give {' or '.join(kinds) or 'another'}")
            connection.execute(update(uploads).where(uploads.c.id == name).values(expires_at=now_s() + self._keep_s))
            found[name] = row.key
        return found


def used_bytes(connection: Connection, owner: Owner) -> int:
    """Returns the bytes of an owner's uploads and films."""
    sums: Iterable[Any] = (
        select(func.coalesce(func.sum(uploads.c.bytes), 0)).where(uploads.c.owner == owner.id),
        select(func.coalesce(func.sum(jobs.c.film_bytes), 0)).where(jobs.c.owner == owner.id),
    )
    return sum(int(connection.execute(each).scalar_one()) for each in sums)
