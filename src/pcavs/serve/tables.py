"""The tables of the service, the same on SQLite and PostgreSQL. All times are seconds since 1970, by the database."""

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Float, Index, Integer, MetaData, String, Table, Text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

metadata = MetaData()

SCHEMA: Final = "1"
"""Version of the tables, stored in them."""

_NUMBER = BigInteger().with_variant(Integer(), "sqlite")  # SQLite numbers rows by its own integers only

facts: Final = Table("facts", metadata, Column("name", String(40), primary_key=True), Column("value", Text))
"""Single values: version of the tables, the secret that signs addresses of films."""

owners: Final = Table(
    "owners",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(100), nullable=False),
    Column("token_hash", String(64), unique=True),  # SHA-256; the token itself is not kept
    Column("created_at", Float, nullable=False),
    Column("revoked_at", Float),
    Column("waiting", Integer, nullable=False),
    Column("films_per_day", Integer, nullable=False),
    Column("requests_per_minute", Integer, nullable=False),
    Column("storage_bytes", BigInteger, nullable=False),
    Column("served_at", Float, nullable=False, default=0.0),  # when a film of this owner was last begun
    Column("day_from", Float, nullable=False, default=0.0),  # beginning of the day that `day_films` counts
    Column("day_films", Integer, nullable=False, default=0),
)
"""Who orders films: one row for each token, and "local" for the user of a service without tokens."""

uploads: Final = Table(
    "uploads",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("owner", String(40), nullable=False, index=True),
    Column("kind", String(8), nullable=False),  # image, audio, video or track
    Column("key", String(80), nullable=False),  # name in the file store
    Column("bytes", BigInteger, nullable=False),
    Column("facts", Text, nullable=False),  # JSON: size, duration
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False, index=True),
)
"""Files that users sent."""

jobs: Final = Table(
    "jobs",
    metadata,
    Column("number", _NUMBER, primary_key=True, autoincrement=True),
    Column("id", String(40), nullable=False, unique=True),
    Column("owner", String(40), nullable=False),
    Column("state", String(8), nullable=False),  # queued, running, done or failed
    Column("request", Text, nullable=False),  # JSON: what was ordered
    Column("preview", Integer, nullable=False, default=0),
    Column("attempts", Integer, nullable=False, default=0),
    Column("lease", String(40)),  # who has it may store the result
    Column("lease_until", Float),
    Column("worker", String(80)),
    Column("activity", String(40)),
    Column("steps_done", Integer, nullable=False, default=0),
    Column("steps", Integer, nullable=False, default=0),
    Column("result", Text),  # JSON: facts about the film, and notes
    Column("error", Text),
    Column("film_key", String(80)),
    Column("film_bytes", BigInteger, nullable=False, default=0),
    Column("webhook", Text),
    Column("created_at", Float, nullable=False),
    Column("started_at", Float),
    Column("ended_at", Float),
    Column("expires_at", Float, nullable=False, index=True),
    Index("jobs_by_state", "state", "owner"),
    Index("jobs_by_owner", "owner", "number"),
)
"""Films that were ordered."""

idempotency: Final = Table(
    "idempotency",
    metadata,
    Column("owner", String(40), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("digest", String(64), nullable=False),  # of the request, so that a key is used for one request only
    Column("job", String(40), nullable=False),
    Column("created_at", Float, nullable=False, index=True),
)
"""Orders by the key that the client gave them, so that an order sent twice makes one film."""

hooks: Final = Table(
    "hooks",
    metadata,
    Column("id", _NUMBER, primary_key=True, autoincrement=True),
    Column("job", String(40), nullable=False),
    Column("url", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False, default=0),
    Column("due_at", Float, nullable=False, index=True),
)
"""Messages about finished films that are still to be sent."""

workers: Final = Table(
    "workers",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("started_at", Float, nullable=False),
    Column("seen_at", Float, nullable=False),
)
"""Worker processes that are running, on any machine."""


class now_s(FunctionElement[float]):  # noqa: N801 - it is written like a function of SQL
    """The clock of the database, in seconds since 1970, so that clocks of hosts need not agree."""

    type = Float()
    inherit_cache = True


@compiles(now_s, "sqlite")
def _now_sqlite(*_: Any, **__: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now_s, "postgresql")
def _now_postgresql(*_: Any, **__: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"
