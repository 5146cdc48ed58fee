"""Opens the database of the service: SQLite (write-ahead log) or PostgreSQL."""

import contextlib
import secrets
from collections.abc import Generator
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from sqlalchemy import Connection, event, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from pcavs.errors import InputError, install_hint
from pcavs.serve.tables import SCHEMA, facts, metadata, now_s

_BUSY_MS: Final = 30_000
"""Time that a transaction of SQLite waits for another one to end."""
_POOL: Final[dict[str, Any]] = {"pool_size": 20, "max_overflow": 40}
"""Connections that are kept, and further ones that are opened: more than there are threads."""
_SECRET_BYTES: Final = 32
_SQLITE: Final = "sqlite:///"


class Database:
    """Connections to the tables of the service, for any number of threads."""

    def __init__(self, url: str) -> None:
        """Opens the database and makes tables that are missing.

        Args:
            url: `sqlite:///FILE` or `postgresql://...`.

        Raises:
            InputError: It cannot be opened, or is of another version.
        """
        self._engine = _engine(url)
        self.is_sqlite = self._engine.dialect.name == "sqlite"
        try:
            self._prepare()
        except SQLAlchemyError as error:
            self._engine.dispose()
            reason = str(getattr(error, "orig", error)).splitlines()[0]
            raise InputError(f"the database {_shown(url)} cannot be opened ({reason}); check --jobs") from error

    @contextlib.contextmanager
    def read(self) -> Generator[Connection]:
        """Yields a connection whose statements see one state of the tables."""
        with self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def write(self) -> Generator[Connection]:
        """Yields a connection in a transaction that is committed at the end; SQLite has one at a time."""
        with self._engine.connect().execution_options(pcavs_write=True) as connection, connection.begin():
            yield connection

    def now(self) -> float:
        """Returns the time by the database, in seconds since 1970."""
        with self.read() as connection:
            return float(connection.execute(select(now_s())).scalar_one())

    def fact(self, name: str) -> str:
        """Returns a stored single value.

        Raises:
            KeyError: There is none of this name.
        """
        with self.read() as connection:
            value = connection.execute(select(facts.c.value).where(facts.c.name == name)).scalar()
        if value is None:
            raise KeyError(name)
        return str(value)

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()

    def _prepare(self) -> None:
        with self.write() as connection:
            if not self.is_sqlite:
                # Two processes that start at once would both make the tables.
                connection.execute(sqlalchemy.text("SELECT pg_advisory_xact_lock(7228271)"))
            metadata.create_all(connection)
            known = {row.name for row in connection.execute(select(facts.c.name))}
            for name, value in (("schema", SCHEMA), ("secret", secrets.token_hex(_SECRET_BYTES))):
                if name not in known:
                    with contextlib.suppress(IntegrityError):
                        connection.execute(insert(facts).values(name=name, value=value))
            found = connection.execute(select(facts.c.value).where(facts.c.name == "schema")).scalar_one()
        if found != SCHEMA:
            raise InputError(f"the database is of version {found}, and this program of {SCHEMA}; use the newer program")


def _engine(url: str) -> sqlalchemy.Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InputError(f"{_shown(url)} is no address of a database; see docs/serve.md") from error
    if parsed.drivername in ("postgresql", "postgres"):
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() not in ("sqlite", "postgresql"):
        raise InputError(f"{parsed.drivername} is not supported; give sqlite or postgresql")
    if parsed.get_backend_name() == "postgresql":
        try:
            return sqlalchemy.create_engine(parsed, pool_pre_ping=True, **_POOL)
        except ModuleNotFoundError as error:
            raise InputError(f"PostgreSQL needs psycopg; run {install_hint('serve-postgres')}") from error
    engine = sqlalchemy.create_engine(parsed, connect_args={"timeout": _BUSY_MS / 1000}, **_POOL)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _set_up_sqlite(connection: Any, _: Any) -> None:
    connection.isolation_level = None  # transactions begin where `_begin_sqlite` says
    for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={_BUSY_MS}", "trusted_schema=OFF"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later would fail if another one wrote in between.
    kind = "IMMEDIATE" if connection.get_execution_options().get("pcavs_write") else "DEFERRED"
    connection.exec_driver_sql(f"BEGIN {kind}")


def _shown(url: str) -> str:
    """Returns an address without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return url.partition("://")[0] + "://..."


def database_url(jobs: str | None, folder: Path) -> str:
    """Returns the address of the database: the given one, or that of a file in the data folder.

    Files have full paths in it, as workers run in another folder.
    """
    if jobs is None:
        return f"sqlite:///{folder / 'jobs.sqlite'}"
    if jobs.startswith(_SQLITE) and jobs != _SQLITE:
        return _SQLITE + str(Path(jobs.removeprefix(_SQLITE)).absolute())
    return jobs
