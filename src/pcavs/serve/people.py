"""Who may use the service: tokens, their limits, and the user of a service without tokens."""

import secrets
from typing import Any, Final, NamedTuple

from sqlalchemy import func, insert, select, update

from pcavs.errors import InputError
from pcavs.serve.database import Database
from pcavs.serve.ids import new_token, token_hash
from pcavs.serve.tables import now_s, owners

LOCAL: Final = "local"
"""Owner of everything on a service without tokens."""
_UNLIMITED: Final = 2**31 - 1
_NAME_BYTES: Final = 8


class Limits(NamedTuple):
    """What one token may use."""

    waiting: int = _UNLIMITED
    """Films that wait or run at once."""
    films_per_day: int = _UNLIMITED
    requests_per_minute: int = _UNLIMITED
    storage_bytes: int = 2**62


class Owner(NamedTuple):
    """Who sends a request."""

    id: str
    limits: Limits


class People:
    """The tokens of a service."""

    def __init__(self, database: Database) -> None:
        """Makes the user of a service without tokens, if there is none yet."""
        self._database = database
        with database.write() as connection:
            if connection.execute(select(owners.c.id).where(owners.c.id == LOCAL)).first() is None:
                connection.execute(insert(owners).values(**_row(LOCAL, LOCAL, None, Limits())))

    def add(self, name: str, limits: Limits) -> str:
        """Makes a token and returns it; it is stored as a hash only, so nobody can show it again.

        Raises:
            InputError: There is a valid token of this name.
        """
        token = new_token()
        with self._database.write() as connection:
            taken = select(owners.c.id).where(owners.c.name == name, owners.c.revoked_at.is_(None))
            if name == LOCAL or connection.execute(taken).first() is not None:
                raise InputError(f"there is a token named {name}; choose another name, or revoke it first")
            row = _row(f"own_{secrets.token_hex(_NAME_BYTES)}", name, token_hash(token), limits)
            connection.execute(insert(owners).values(**row))
        return token

    def revoke(self, name: str) -> None:
        """Makes a token invalid.

        Raises:
            InputError: There is no valid token of this name.
        """
        with self._database.write() as connection:
            mine = (owners.c.name == name, owners.c.revoked_at.is_(None), owners.c.token_hash.is_not(None))
            if not connection.execute(update(owners).where(*mine).values(revoked_at=now_s())).rowcount:
                raise InputError(f"there is no valid token named {name}; pcavs tokens list shows all")

    def all(self) -> list[Any]:
        """Returns the rows of all tokens, the oldest first."""
        with self._database.read() as connection:
            rows = connection.execute(select(owners).where(owners.c.id != LOCAL).order_by(owners.c.created_at))
            return list(rows.all())

    def are_needed(self) -> bool:
        """Tells whether any token was ever made; from then on every request needs one, also if all were revoked."""
        with self._database.read() as connection:
            count = connection.execute(select(func.count()).select_from(owners).where(owners.c.id != LOCAL))
            return bool(count.scalar_one())

    def find(self, token: str) -> Owner | None:
        """Returns whose token this is; None if it is not valid."""
        with self._database.read() as connection:
            mine = (owners.c.token_hash == token_hash(token), owners.c.revoked_at.is_(None))
            row = connection.execute(select(owners).where(*mine)).first()
        return None if row is None else _owner(row)

    def local(self) -> Owner:
        """Returns the user of a service without tokens."""
        return Owner(LOCAL, Limits())


def _row(owner: str, name: str, hashed: str | None, limits: Limits) -> dict[str, Any]:
    return {"id": owner, "name": name, "token_hash": hashed, "created_at": now_s(), **limits._asdict()}


def _owner(row: Any) -> Owner:
    return Owner(row.id, Limits(row.waiting, row.films_per_day, row.requests_per_minute, row.storage_bytes))
