"""Databases of a simulation: SQLite in memory, one for each service, with gates at the start of transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, event, make_url
from sqlalchemy.pool import StaticPool

from driftloop.runner.tables import open_database
from tests.simulation.scheduler import Scheduler

_URL = "sqlite://"
_READS = "driftloop_reads"
"""Option of the connections of `driftloop.runner.tables.reading`, which wait for nobody."""


class Database:
    """What outlives all instances of a service."""

    def __init__(self, scheduler: Scheduler, tables: Sequence[MetaData]) -> None:
        self._scheduler = scheduler
        self._dialect, schema = _template(tuple(tables))
        self._raw = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        self._raw.deserialize(schema)

    def engine(self) -> Engine:
        """Return an engine for a new instance."""
        engine = Engine(StaticPool(lambda: self._raw), self._dialect, make_url(_URL))  # type: ignore[arg-type]
        event.listen(engine, "begin", self._begin)
        event.listen(engine, "commit", self._commit)
        return engine

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return the committed rows of a query. Not a step of the simulation."""
        return self._raw.execute(query, values).fetchall()

    def changes(self) -> int:
        """Return the number of rows that were ever changed."""
        return self._raw.total_changes

    def change(self, statement: str) -> None:
        """Execute a statement that is not a step of the simulation."""
        self._raw.execute(statement)

    def _begin(self, connection: Connection) -> None:
        if not reads(connection):
            self._scheduler.pause()
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def _commit(self, _connection: Connection) -> None:
        self._scheduler.commit_transaction()


def reads(connection: Connection) -> bool:
    """Return whether a connection only reads, so that it waits for nobody."""
    return _READS in connection.get_execution_options()


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
