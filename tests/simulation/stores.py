"""Databases of a simulation: SQLite in memory, one for each service, with gates at the start of transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, make_url
from sqlalchemy.pool import StaticPool

from driftloop.runner.tables import open_database
from tests.simulation.scheduler import Scheduler

_URL = "sqlite://"
_COMPILED: dict[Any, Any] = {}
"""Compiled statements of all engines. An engine of its own would compile each of them again at each start."""


class Database:
    """What outlives all instances of a service."""

    def __init__(self, scheduler: Scheduler, tables: Sequence[MetaData]) -> None:
        self._scheduler = scheduler
        self._dialect, schema = _template(tuple(tables))
        self._raw = sqlite3.connect(":memory:", isolation_level=None, cached_statements=1000)
        self._raw.deserialize(schema)
        self.written = Written()
        self._engines: list[SimulatedEngine] = []
        """Kept, because an engine that is garbage collected rolls back the transaction of another one."""

    def engine(self) -> SimulatedEngine:
        """Return an engine for a new instance."""
        self._engines.append(SimulatedEngine(self._scheduler, self._raw, self._dialect, self.written))
        return self._engines[-1]

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the committed rows of a query. Not a step of the simulation."""
        return self._raw.execute(query, values).fetchall()

    def changes(self) -> int:
        """Return the number of rows that were ever changed."""
        return self._raw.total_changes

    def change(self, statement: str) -> None:
        """Execute a statement that is not a step of the simulation."""
        self._raw.execute(statement)


@dataclass
class Written:
    """What committed transactions did, since these lists were last cleared."""

    owners: list[tuple[str, str]] = field(default_factory=list)
    """The writer and the lease's owner at each change by an instance that has, or had, the lease."""
    handled: list[str] = field(default_factory=list)
    """Id of each event that had its effect."""


HANDLED = "simulation-handled"
"""Key in the `info` of a connection that handles an event."""


class SimulatedEngine(Engine):
    """The engine of one instance. One connection serves all of a service's instances.

    That is possible because nothing runs between two statements of a transaction. The engine keeps its connections open
    instead of taking them from a pool, and calls its hooks itself: SQLAlchemy's pool and events take longer than the
    statements.
    """

    fence: Callable[[Connection], None] | None = None
    """Runs at the beginning of each write transaction, as that of `driftloop.runner.tables.open_database`."""
    owner = ""
    """Name of the instance in the lease, once it has the lease."""

    def __init__(self, scheduler: Scheduler, raw: sqlite3.Connection, dialect: Any, written: Written) -> None:
        pool = StaticPool(lambda: raw)  # type: ignore[arg-type]
        super().__init__(pool, dialect, make_url(_URL), execution_options={"compiled_cache": _COMPILED})
        self._scheduler = scheduler
        self._raw = raw
        self._written = written
        self._writer = super().connect()
        self._reader = super().connect()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        self._scheduler.pause()
        connection = self._writer
        connection.info.clear()
        try:
            with connection.begin():
                self._raw.execute("BEGIN IMMEDIATE")
                changes = self._raw.total_changes
                if self.fence is not None:
                    self.fence(connection)
                yield connection
                self._note_commit(connection, self._raw.total_changes > changes)
        finally:
            for listener in self.pool.dispatch.checkin:
                listener(self._raw, connection)

    @contextmanager
    def connect(self) -> Iterator[Connection]:  # type: ignore[override]
        """Return a connection that only reads, and so waits for nobody."""
        yield self._reader

    def _note_commit(self, connection: Connection, has_changed: bool) -> None:
        self._scheduler.commit_transaction(has_changed)
        if self.owner and has_changed:
            owners = self._raw.execute("SELECT owner FROM leases")
            self._written.owners += [(self.owner, owner) for (owner,) in owners]
        self._written.handled += connection.info.get(HANDLED, ())


@cache
def _template(tables: tuple[MetaData, ...]) -> tuple[Any, bytes]:
    """Return the dialect and the content of an empty database of a service."""
    engine = open_database(_URL, *tables)
    pooled = engine.raw_connection()
    try:
        assert isinstance(pooled.driver_connection, sqlite3.Connection)
        schema = bytearray(pooled.driver_connection.serialize())
        schema[18:20] = b"\1\1"  # no write-ahead log, which memory cannot have (SQLite's file format, section 1.3.3)
        return engine.dialect, bytes(schema)
    finally:
        pooled.close()
