"""What the pure tests share."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import Engine

from driftloop.runner import tables
from driftloop.runner.migrate import migrate


class _Templates:
    """New SQLite databases are copied from the first that was migrated so: the same schema, many times as fast."""

    def __init__(self) -> None:
        self._made: dict[tuple[Path, ...], sqlite3.Connection] = {}

    def migrate(self, engine: Engine, folders: Sequence[Path]) -> None:
        """See `driftloop.runner.migrate.migrate`."""
        with _opened(engine) as database:
            new = database.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,)
            if new and (template := self._made.get(tuple(folders))) is not None:
                template.backup(database)
                return
        migrate(engine, folders)
        if new:
            with _opened(engine) as database:
                self._made[tuple(folders)] = template = sqlite3.connect(":memory:")
                database.backup(template)


@contextmanager
def _opened(engine: Engine) -> Iterator[sqlite3.Connection]:
    pooled = engine.raw_connection()
    try:
        assert isinstance(pooled.driver_connection, sqlite3.Connection)
        yield pooled.driver_connection
    finally:
        pooled.close()


@pytest.fixture(scope="session", autouse=True)
def _databases_from_templates() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "migrate", _Templates().migrate)
        yield
