"""Inbox and outbox: the two tables that every lifecycle service has beside its own."""

from __future__ import annotations

from collections.abc import Mapping
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

READS: Mapping[str, bool] = MappingProxyType({"driftloop_reads": True})
"""Execution option of a connection that only reads."""

_REVISIONS = "revisions"


def versioned(revisions: Path) -> MetaData:
    """Tables whose schema is what the revisions in a folder make (`driftloop.runner.migrate`)."""
    return MetaData(info={_REVISIONS: revisions})


metadata = versioned(COMMON)

inbox = Table(
    "inbox",
    metadata,
    Column("event_id", String, primary_key=True),
    Column("type", String, nullable=False),
    Column("handled_wall_ms", BigInteger, nullable=False),
)
"""Events whose effect stands."""

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
"""Events to send, in order; sent ones stay, so that an id is sent once."""

Index("outbox_unsent", outbox.c.sent_wall_ms, outbox.c.position)


def open_database(url: str, *tables: MetaData) -> Engine:
    """An engine on a service's database, with inbox, outbox and the service's own tables as this version has them.

    Tables that have no revisions are created where missing. SQLite runs in WAL with full durability at checkpoints. It
    begins a transaction as a writer, so that two never deadlock, unless the connection has the option `READS`: then it
    waits for no writer.

    Raises:
        ConfigError: a newer version of driftloop wrote the database.
    """
    engine = create_engine(
        url, connect_args={"timeout": 30, "check_same_thread": False} if url.startswith("sqlite") else {}
    )
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _sqlite_settings)
        event.listen(engine, "begin", _begin_sqlite)
    every = (metadata, *tables)
    migrate(engine, [each.info[_REVISIONS] for each in every if _REVISIONS in each.info])
    for each in every:
        if _REVISIONS not in each.info:
            each.create_all(engine)
    return engine


def insert(connection: Connection, table: Table) -> Any:
    """An insert of the database's dialect, which knows about conflicts."""
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    return dialect.insert(table)


def _begin_sqlite(connection: Connection) -> None:
    reads = connection.get_execution_options().keys() & READS.keys()
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _sqlite_settings(connection: object, _entry: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # type: ignore[attr-defined]  # we begin ourselves
    for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()  # type: ignore[attr-defined]
