"""What SQLite's one writer keeps apart is kept apart on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, insert, select, update
from sqlalchemy.exc import DBAPIError

from driftloop.runner.tables import open_database, reading

pytestmark = [pytest.mark.integration]

metadata = MetaData()
counters = Table("counters", metadata, Column("name", String, primary_key=True), Column("value", Integer))
_THREADS, _TIMES = 4, 10


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    made = open_database(f"sqlite:///{tmp_path / 'state.db'}", metadata)
    with made.begin() as connection:
        connection.execute(insert(counters), [{"name": name, "value": 0} for name in ("a", "b")])
    yield made
    made.dispose()


def _value(engine: Engine, name: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(select(counters.c.value).where(counters.c.name == name)).scalar_one())


def test_it_is_postgresql(engine: Engine) -> None:
    assert engine.dialect.name == "postgresql"


def test_nobody_changes_what_another_has_read_to_change(engine: Engine) -> None:
    def count(_: int) -> None:
        for _time in range(_TIMES):
            with engine.begin() as connection:
                value = connection.execute(select(counters.c.value).where(counters.c.name == "a")).scalar_one()
                connection.execute(update(counters).where(counters.c.name == "a").values(value=value + 1))

    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(count, range(_THREADS)))
    assert _value(engine, "a") == _THREADS * _TIMES


def test_two_that_change_the_same_rows_in_another_order_do_not_deadlock(engine: Engine) -> None:
    def change(order: str) -> None:
        for _time in range(_TIMES):
            with engine.begin() as connection:
                for name in order:
                    row = counters.c.name == name
                    connection.execute(update(counters).where(row).values(value=counters.c.value + 1))

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(change, ("ab", "ba")))
    assert (_value(engine, "a"), _value(engine, "b")) == (2 * _TIMES, 2 * _TIMES)


def test_a_reader_waits_for_no_writer_and_sees_one_moment(engine: Engine) -> None:
    written = threading.Event()

    def write() -> None:
        with engine.begin() as connection:
            connection.execute(update(counters).values(value=7))
        written.set()

    with engine.begin() as writer:
        writer.execute(update(counters).where(counters.c.name == "a").values(value=1))
        with reading(engine) as reader:
            assert reader.execute(select(counters.c.value)).scalars().all() == [0, 0]
    with reading(engine) as reader:
        before = reader.execute(select(counters.c.value)).scalars().all()
        write()
        assert written.is_set()
        assert reader.execute(select(counters.c.value)).scalars().all() == before


def test_a_reader_writes_nothing(engine: Engine) -> None:
    with reading(engine) as reader, pytest.raises(DBAPIError, match="read-only"):
        reader.execute(update(counters).values(value=9))
