"""Computes derived columns with DuckDB, in memory, without access to anything but the current batch."""

from __future__ import annotations

import json
from collections.abc import Mapping

import duckdb
import numpy as np
import pyarrow as pa

from driftloop.process.errors import InvalidEvent, LoopDefinitionError
from driftloop.process.sql_names import quote_name
from services.ingestion.domain.schema import STANDARD, EventSchema, Where

_LOCKED = (
    "SET enable_external_access = false",
    "SET autoinstall_known_extensions = false",
    "SET autoload_known_extensions = false",
    "SET python_enable_replacements = false",
    "SET TimeZone = 'UTC'",
    "SET threads = 1",  # keeps the order of rows, and batches are small
    "SET lock_configuration = true",
)
_EXPLAINED = 20
"""Failing rows of a batch whose own error is reported; each takes one run."""
_KEPT = (pa.types.is_floating, pa.types.is_signed_integer, pa.types.is_boolean, pa.types.is_string)


def connect() -> duckdb.DuckDBPyConnection:
    """Return a connection for all expressions of a process. Threads must not share it."""
    connection = duckdb.connect(":memory:")
    for statement in _LOCKED:
        connection.execute(statement)
    return connection


class _Scanned:
    """The current batch as DuckDB sees it: registered once, with changing content."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self.batch = batch

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.batch.__arrow_c_stream__(requested_schema)


class DuckDbDerive:
    """One event type's expressions as one prepared statement; planning costs more than running a small batch."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        name: str,
        schema: EventSchema,
        derive: Mapping[str, str],
        where: Where,
    ) -> None:
        self._connection = connection
        self._scanned = _Scanned(_empty(schema.fields))
        self._view, self._statement = f'"rows of {name}"', f'"derive {name}"'
        connection.register(self._view.strip('"'), self._scanned)
        values = {name: _value(connection, self._view, schema, name, sql, where) for name, sql in derive.items()}
        columns = [f"{value} AS {quote_name(name)}" for name, value in values.items()]
        # S608: the expressions are the loop owner's code, and the connection reaches nothing but the batch
        query = f"SELECT {', '.join(columns)} FROM {self._view}"  # noqa: S608
        self._inputs = pa.schema([schema.fields.field(name) for name in _read_by(connection, query, schema)])
        self._scanned.batch = self._nothing = _empty(self._inputs)
        connection.execute(f"PREPARE {self._statement} AS {query}")
        self._try_statement = self._prepare_try(f'"try {name}"', list(values.values()))
        self.schema: pa.Schema = self._run().schema
        if not all(self._row_by_row(_sample(self._inputs, blank)) for blank in (True, False)):
            location = where("events", schema.event_type, "derive")
            raise LoopDefinitionError([f"{location}: derive: give each row one value, made from that row alone"])

    def __call__(self, rows: pa.RecordBatch) -> list[pa.Array]:
        self._scanned.batch = rows.select(self._inputs.names)
        try:
            derived = self._run()
        except duckdb.Error as error:
            raise InvalidEvent("derive", str(error)) from error
        finally:
            self._scanned.batch = self._nothing
        return [column.combine_chunks() for column in derived.columns]

    def failures(self, rows: pa.RecordBatch) -> list[tuple[int, str]]:
        """Return the rows on which an expression fails, ascending, and why."""
        failing = self._tried(rows)
        if not failing or self._fails(rows.take(pa.array(np.setdiff1d(np.arange(rows.num_rows), failing)))):
            failing = self._bisect(rows, 0)
        explained = {row: self._fails(rows.slice(row, 1)) for row in failing[:_EXPLAINED]}
        other = f"an expression fails on this row; the first {_EXPLAINED} of its batch have the reason"
        return [(row, explained.get(row, other)) for row in failing]

    def _fails(self, rows: pa.RecordBatch) -> str:
        """Return the error of the expressions on these rows; empty if there is none."""
        try:
            self(rows)
        except InvalidEvent as error:
            return error.detail
        return ""

    def _bisect(self, rows: pa.RecordBatch, first: int) -> list[int]:
        """Return the failing rows by halving: for one of n rows, about 2 log2(n) runs on ever fewer rows."""
        if not self._fails(rows):
            return []
        if rows.num_rows == 1:
            return [first]
        half = rows.num_rows // 2
        return self._bisect(rows.slice(0, half), first) + self._bisect(rows.slice(half), first + half)

    def _tried(self, rows: pa.RecordBatch) -> list[int]:
        """Return the rows on which an expression fails according to SQL's TRY, in one run."""
        if self._try_statement is None:
            return []
        self._scanned.batch = rows.select(self._inputs.names)
        try:
            fails = self._connection.execute(f"EXECUTE {self._try_statement}").to_arrow_table().column(0)
        except duckdb.Error:
            return []
        finally:
            self._scanned.batch = self._nothing
        return [int(row) for row in np.flatnonzero(fails.to_numpy())]

    def _prepare_try(self, name: str, values: list[str]) -> str | None:
        """Prepare a statement that says of each row whether an expression fails; None if TRY cannot hold one of them.

        ``TRY(value IS NULL)`` is null only on an error. TRY refuses subqueries and volatile functions, such as error().
        """
        fails = " OR ".join(f"(TRY({value} IS NULL) IS NULL)" for value in values)
        try:
            self._connection.execute(f"PREPARE {name} AS SELECT {fails} FROM {self._view}")  # noqa: S608
        except duckdb.Error:
            return None
        return name

    def _row_by_row(self, row: pa.RecordBatch) -> bool:
        """Return whether a row's values stay the same beside a copy of the row: no window, unnesting or randomness."""
        try:
            alone = pa.Table.from_arrays(self(row), schema=self.schema)
            beside = pa.Table.from_arrays(self(pa.concat_batches([row, row])), schema=self.schema)
        except InvalidEvent:
            return True  # it fails on this sample; it may do so on a row
        return alone.num_rows == 1 and repr(alone.to_pylist() * 2) == repr(beside.to_pylist())  # NaN equals NaN here

    def _run(self) -> pa.Table:
        return self._connection.execute(f"EXECUTE {self._statement}").to_arrow_table()


def _value(
    connection: duckdb.DuckDBPyConnection, view: str, schema: EventSchema, name: str, sql: str, where: Where
) -> str:
    """Return the expression of a column. A type that Delta or Arrow cannot store, such as a decimal, becomes a double.

    Raises:
        LoopDefinitionError: the expression is wrong, yields no scalar, or its name is taken.
    """
    location = where("events", schema.event_type, "derive", name)
    if name in schema.by_name or name in STANDARD.names:
        raise LoopDefinitionError([f"{location}: the event has a column {name!r} already"])
    if not name.isidentifier():
        raise LoopDefinitionError([f"{location}: {name!r} is no name for a column; use letters, digits and _"])
    try:
        parsed = connection.sql(f"SELECT ({sql}\n) AS derived FROM {view}").to_arrow_table()  # noqa: S608
    except duckdb.Error as error:
        raise LoopDefinitionError([f"{location}: derive.{name}: {str(error).splitlines()[0]}"]) from error
    if parsed.num_columns != 1 or parsed.num_rows:
        raise LoopDefinitionError(
            [f"{location}: derive.{name}: give one expression, no aggregate, over the row's columns"]
        )
    kind = parsed.schema.field(0).type
    if any(keeps(kind) for keeps in _KEPT):
        return f"({sql}\n)"
    if pa.types.is_decimal(kind) or pa.types.is_integer(kind):
        return f"CAST(({sql}\n) AS DOUBLE)"
    raise LoopDefinitionError([f"{location}: derive.{name}: yields {kind}; give a number, a bool or a string"])


def _read_by(connection: duckdb.DuckDBPyConnection, query: str, schema: EventSchema) -> list[str]:
    """Return the columns that the query's plan scans, in order, or the id. DuckDB reads every column it is given."""
    [(_, plan)] = connection.execute(f"EXPLAIN (FORMAT json) {query}").fetchall()
    steps = json.loads(plan)
    scanned: set[str] = set()
    while steps:
        step = steps.pop()
        steps += step["children"]
        if step["name"] == "ARROW_SCAN":
            columns = step["extra_info"]["Projections"]
            scanned |= {columns} if isinstance(columns, str) else set(columns)
    return [name for name in schema.fields.names if name in scanned] or [schema.id]


def _sample(schema: pa.Schema, blank: bool) -> pa.RecordBatch:
    """Return one row of nulls or of ones."""
    arrays = [pa.nulls(1, field.type) if blank else pa.array(["1"]).cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in schema], schema=schema)
