"""Inbox and outbox: two tables that every lifecycle service has beside its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    create_engine,
    event,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.pool import ConnectionPoolEntry

from driftloop.runner.migrate import COMMON, migrate

_READS: Mapping[str, bool] = MappingProxyType({"driftloop_reads": True})
"""Execution option of a connection that only reads."""
_REVISIONS = "revisions"
_WRITER = 0x64726966
"""PostgreSQL's advisory locks are numbers, separate for each database. The second number is for the schema."""


def versioned(revisions: Path) -> MetaData:
    """Return tables whose schema the revisions in a folder define (`driftloop.runner.migrate`)."""
    return MetaData(info={_REVISIONS: revisions})


metadata = versioned(COMMON)

inbox = Table(
    "inbox",
    metadata,
    Column("event_id", String, primary_key=True),
    Column("type", String, nullable=False),
    Column("handled_wall_ms", BigInteger, nullable=False),
)
"""Events whose effect is committed."""

Index("inbox_handled", inbox.c.handled_wall_ms)

handled_positions = Table(
    "handled_positions",
    metadata,
    Column("topic", String, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("topic_id", String, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
)
"""The offset after the last handled event, by partition. ``topic_id``: which topic of that name it was."""

outbox = Table(
    "outbox",
    metadata,
    Column("position", Integer, primary_key=True, autoincrement=True),
    Column("event_id", String, unique=True, nullable=False),
    Column("topic", String, nullable=False),
    Column("key", LargeBinary, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("headers", LargeBinary, nullable=False),
    Column("sent_wall_ms", BigInteger),
)
"""Events to send, in order. Sent events stay for a time, so that no id is sent twice (`driftloop.runner.inbox`)."""

Index("outbox_unsent", outbox.c.sent_wall_ms, outbox.c.position)


Fence = Callable[[Connection], None]
"""Raises if this process must not write any more; called at the beginning of each write transaction."""


def open_database(url: str, *tables: MetaData, fence: Fence | None = None) -> Engine:
    """Return an engine on a service's database, with inbox, outbox and the service's own tables of this version.

    Tables without revisions are created if they are missing. A transaction begins as the database's one writer. So two
    never deadlock, and none decides on data that another one is about to change. A connection of `reading` is
    different: it sees the database as it was at its first read, and does not wait for a writer. SQLite runs in WAL
    mode with full durability at checkpoints. PostgreSQL takes an advisory lock until the end of the transaction
    (`docs/decisions/0009-one-writer-per-database.md`).

    ``fence`` stops a process that another one has replaced (`driftloop.runner.lease`).

    Raises:
        ConfigError: a newer version of driftloop wrote the database.
    """
    engine = connect(url)
    if fence is not None:
        event.listen(engine, "begin", lambda connection: None if _reads(connection) else fence(connection))
    schemas = (metadata, *tables)
    migrate(engine, [schema.info[_REVISIONS] for schema in schemas if _REVISIONS in schema.info])
    for schema in schemas:
        if _REVISIONS not in schema.info:
            schema.create_all(engine)
    return engine


def connect(url: str) -> Engine:
    """Return an engine on a database as it is, whose transactions begin as `open_database` says."""
    engine = create_engine(
        url, connect_args={"timeout": 30, "check_same_thread": False} if url.startswith("sqlite") else {}
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_settings)
        event.listen(engine, "begin", _begin_sqlite)
    elif engine.dialect.name == "postgresql":
        event.listen(engine, "begin", _begin_postgresql)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a connection that only reads. It waits for no writer, and no writer waits for it."""
    with engine.connect() as connection:
        yield connection.execution_options(**_READS)


def insert(connection: Connection, table: Table) -> Any:
    """Return the dialect's insert statement, which supports conflict clauses."""
    return insert_of(connection.dialect.name, table)


def insert_of(dialect: str, table: Table) -> Any:
    """Return the insert statement of a dialect, by its name."""
    module: Any = postgresql if dialect == "postgresql" else sqlite
    return module.insert(table)


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN" if _reads(connection) else "BEGIN IMMEDIATE")


def _begin_postgresql(connection: Connection) -> None:
    """Execute a first statement, because the driver begins a transaction with it."""
    if _reads(connection):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    else:
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_WRITER}, hashtext(coalesce(current_schema(), '')))")


def _reads(connection: Connection) -> bool:
    return bool(connection.get_execution_options().keys() & _READS.keys())


def _sqlite_settings(connection: object, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]  # we begin ourselves
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()  # type: ignore[attr-defined]
