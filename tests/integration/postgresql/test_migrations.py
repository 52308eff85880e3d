"""Every service's schema, made and brought up to date on PostgreSQL."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, Table, delete, insert, select, text

from driftloop.runner import tables
from driftloop.runner.migrate import TABLE
from driftloop.runner.tables import open_database
from tests.integration.driftloop.test_migrate import (
    FIRST,
    OLD,
    database_url,
    differences,
    history,
    metadata_of,
    test_a_revision_that_fails_leaves_nothing_of_itself,
    test_revisions_are_applied_in_their_order,
    test_revisions_make_the_tables_that_the_code_declares,
    test_starts_at_once_apply_each_revision_once,
)

pytestmark = [pytest.mark.integration]

__all__ = [
    "history",
    "test_a_revision_that_fails_leaves_nothing_of_itself",
    "test_revisions_are_applied_in_their_order",
    "test_revisions_make_the_tables_that_the_code_declares",
    "test_starts_at_once_apply_each_revision_once",
]


@OLD
def test_rows_of_the_first_schema_stay_as_it_is_brought_here(name: str, tmp_path: Path) -> None:
    first = _first_rows(name, tmp_path)
    engine = open_database(database_url(tmp_path), metadata_of(name))
    _as_before_there_were_revisions(engine, name, first)
    engine.dispose()
    engine = open_database(database_url(tmp_path), metadata_of(name))
    assert differences(engine, name) == []
    for table, rows in first.items():
        with engine.connect() as connection:
            found = connection.execute(select(_tables(name)[table])).mappings().all()
        kept = [{column: row[column] for column in rows[0]} for row in found] if rows else []
        assert sorted(map(_comparable, kept)) == sorted(map(_comparable, rows))


def _tables(name: str) -> dict[str, Table]:
    metadata: tuple[MetaData, MetaData] = (tables.metadata, metadata_of(name))
    return {table.name: table for each in metadata for table in each.tables.values()}


def _first_rows(name: str, folder: Path) -> dict[str, list[dict[str, Any]]]:
    """What a database of that time held, by table."""
    path = folder / "first.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((FIRST / f"{name}.sql").read_text())
        connection.row_factory = sqlite3.Row
        found = [table for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            table: [dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')]
            for table in found
            if not table.startswith("sqlite_")
        }


def _first_names(name: str) -> set[str]:
    """Return the names of that time's columns, as `table.column`, and of its indexes."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript((FIRST / f"{name}.sql").read_text())
        master = connection.execute("SELECT type, name FROM sqlite_master").fetchall()
        columns = {
            f"{table}.{column[1]}"
            for kind, table in master
            if kind == "table"
            for column in connection.execute(f'PRAGMA table_info("{table}")')
        }
    return columns | {index for kind, index in master if kind == "index"}


def _as_before_there_were_revisions(engine: Engine, name: str, rows: dict[str, list[dict[str, Any]]]) -> None:
    """The same tables and rows on PostgreSQL, and no note of a revision; what came later is not there."""
    known, first = _tables(name), _first_names(name)
    with engine.begin() as connection:
        for table in known.keys() - rows.keys():
            connection.execute(text(f'DROP TABLE "{table}"'))
        for table, held in rows.items():
            for index in known[table].indexes:
                if index.name not in first:
                    connection.execute(text(f'DROP INDEX "{index.name}"'))
            for column in known[table].columns:
                if f"{table}.{column.name}" not in first:
                    connection.execute(text(f'ALTER TABLE "{table}" DROP COLUMN "{column.name}"'))
            connection.execute(delete(known[table]))
            if held:
                connection.execute(insert(known[table]), [_typed(known[table], row) for row in held])
        connection.execute(text(f"DROP TABLE {TABLE}"))


def _typed(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    """SQLite has no booleans."""
    booleans = {column.name for column in table.columns if column.type.python_type is bool}
    return {name: bool(value) if name in booleans else value for name, value in row.items()}


def _comparable(row: dict[str, Any]) -> str:
    plain = {name: int(value) if isinstance(value, bool) else value for name, value in row.items()}
    return repr({name: bytes(value) if isinstance(value, memoryview) else value for name, value in plain.items()})
