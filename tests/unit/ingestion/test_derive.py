"""Which rows of a batch an expression fails on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from services.ingestion.adapters.derive import DuckDbDerive, connect
from services.ingestion.domain.schema import read_schema
from tests.unit.ingestion.fixtures import PLACED, write_loop

STRICT = "CAST(shop AS BIGINT)"
WITHOUT_TRY = f"{STRICT} + (SELECT 1)"
"""TRY refuses subqueries."""


class CountedConnection:
    """A connection that counts its statements."""

    def __init__(self) -> None:
        self.statements = 0
        self._connection = connect()

    def execute(self, statement: str) -> duckdb.DuckDBPyConnection:
        self.statements += 1
        return self._connection.execute(statement)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.mark.parametrize("expression", [STRICT, WITHOUT_TRY])
@pytest.mark.parametrize("failing", [[], [0], [999], [500], [3, 700, 701]])
def test_failing_rows_are_found_without_a_run_for_each_row(tmp_path: Path, expression: str, failing: list[int]) -> None:
    derive, connection, rows = of_rows(tmp_path, expression, failing)
    before = connection.statements
    failures = derive.failures(rows)
    assert [row for row, _ in failures] == failing
    assert all("'north'" in why for _, why in failures)
    assert connection.statements - before <= 25 * len(failing) + 3


def test_many_failing_rows_take_one_run_and_the_first_ones_are_explained(tmp_path: Path) -> None:
    failing = list(range(0, 1000, 2))
    derive, connection, rows = of_rows(tmp_path, STRICT, failing)
    before = connection.statements
    failures = derive.failures(rows)
    assert [row for row, _ in failures] == failing
    assert "'north'" in failures[0][1]
    assert failures[-1][1]
    assert connection.statements - before <= 25


def of_rows(
    folder: Path, expression: str, failing: list[int]
) -> tuple[DuckDbDerive, CountedConnection, pa.RecordBatch]:
    loop = write_loop(folder)
    where = loop.line_of
    schema = read_schema(PLACED, loop.definition.events[PLACED], loop.messages[PLACED], where)
    connection: Any = CountedConnection()
    derive = DuckDbDerive(connection, "orders", schema, {"number": expression}, where)
    shops = ["north" if row in failing else "7" for row in range(1000)]
    arrays = [pa.array(shops) if field.name == "shop" else pa.nulls(1000, field.type) for field in schema.fields]
    return derive, connection, pa.RecordBatch.from_arrays(arrays, schema=schema.fields)
