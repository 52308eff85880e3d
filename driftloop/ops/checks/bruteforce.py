"""Features, computed a second time from raw events, for single predictions, by SQL over all pairs.

Shares nothing with the features service except the definitions of visible and windowed in `docs/architecture.md`,
"Time".
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True)
class Aggregate:
    """A feature of a windowed view: ``function`` (count or sum) of ``column`` over the last ``window_ms``."""

    name: str
    function: str
    column: str
    window_ms: int


@dataclass(frozen=True)
class View:
    """A stream feature view; without aggregates its features are columns of the newest event."""

    name: str
    event_type: str
    join_keys: tuple[str, ...]
    aggregates: tuple[Aggregate, ...]
    columns: tuple[str, ...]


def compute(
    view: View, events: pa.Table, derive: Mapping[str, str], entities: pa.Table
) -> dict[str, NDArray[np.float64]]:
    """Return each feature of the view per row of ``entities``, float64 [n]; NaN if the entity has no value.

    ``events``: raw rows with ``event_time_ms``, ``arrival_watermark_ms``, ``source_partition``, ``source_offset`` and
    the message's fields. ``entities``: ``row`` int64 0..n-1, ``watermark_ms`` int64 and the join keys.
    """
    with _open_database(events, derive, entities) as connection:
        query = _windowed(view) if view.aggregates else _newest(view)
        result = connection.execute(query).to_arrow_table()
    return _fill(result, [*(aggregate.name for aggregate in view.aggregates)] or list(view.columns), entities.num_rows)


def not_yet_visible(
    view: View, events: pa.Table, derive: Mapping[str, str], entities: pa.Table
) -> dict[int, list[tuple[int, str]]]:
    """Return (event time, id) of the view's late events that were not yet visible for each row, sorted by time.

    Their event time is before the row's watermark, and the watermark at which they arrived is not. Arguments as in
    `compute`; rows without such events are absent.
    """
    with _open_database(events, derive, entities) as connection:
        query = (
            f"SELECT a.row, e.event_time_ms, e.event_id FROM rows a JOIN seen e ON {_same_entity(view)} "  # noqa: S608
            "AND e.event_time_ms < a.watermark_ms AND e.effective_ms >= a.watermark_ms "
            "WHERE e.effective_ms > e.event_time_ms ORDER BY 1, 2, 3"
        )
        rows = connection.execute(query).fetchall()
    late: dict[int, list[tuple[int, str]]] = defaultdict(list)
    for row, time_ms, event_id in rows:
        late[row].append((time_ms, event_id))
    return late


@contextmanager
def _open_database(
    events: pa.Table, derive: Mapping[str, str], entities: pa.Table
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database with the tables ``rows`` and ``seen``: events with derived columns and ``effective_ms``."""
    with duckdb.connect() as connection:
        connection.register("raw", events)
        connection.register("rows", entities)
        extra = "".join(f', ({expression}) AS "{name}"' for name, expression in derive.items())
        connection.execute(f"CREATE TABLE events AS SELECT *{extra} FROM raw")  # noqa: S608 - the loop author's own expressions
        connection.execute(
            "CREATE TABLE seen AS SELECT *, greatest(event_time_ms, arrival_watermark_ms) AS effective_ms FROM events"
        )
        yield connection


def _same_entity(view: View) -> str:
    return " AND ".join(f'e."{key}" = a."{key}"' for key in view.join_keys)


def _windowed(view: View) -> str:
    """Return a query over entities with a visible event and all their events within the longest window."""
    parts = []
    for aggregate in view.aggregates:
        inside = f"FILTER (WHERE e.event_time_ms >= a.watermark_ms - {aggregate.window_ms})"
        value = f'e."{aggregate.column}"'
        parts.append(f'coalesce({aggregate.function}({value}) {inside}, 0)::DOUBLE AS "{aggregate.name}"')
    keys = ", ".join(f'"{key}"' for key in view.join_keys)
    longest_ms = max(aggregate.window_ms for aggregate in view.aggregates)
    return (
        f"WITH entities AS (SELECT {keys}, min(effective_ms) AS since_ms FROM seen GROUP BY ALL), "  # noqa: S608
        f"known AS (SELECT a.* FROM rows a JOIN entities e ON {_same_entity(view)} AND e.since_ms < a.watermark_ms) "
        f"SELECT a.row AS row, {', '.join(parts)} FROM known a LEFT JOIN seen e ON {_same_entity(view)} "
        f"AND e.event_time_ms >= a.watermark_ms - {longest_ms} AND e.effective_ms < a.watermark_ms GROUP BY a.row"
    )


def _newest(view: View) -> str:
    order = "(e.event_time_ms, e.source_partition, e.source_offset)"
    newest = ", ".join(f'arg_max_null(e."{name}", {order})::DOUBLE AS "{name}"' for name in view.columns)
    return (
        f"SELECT a.row AS row, {newest} FROM rows a JOIN seen e ON {_same_entity(view)} "  # noqa: S608
        "AND e.effective_ms < a.watermark_ms GROUP BY a.row"
    )


def _fill(table: pa.Table, names: Sequence[str], count: int) -> dict[str, NDArray[np.float64]]:
    rows = table.column("row").to_numpy()
    out: dict[str, NDArray[np.float64]] = {}
    for name in names:
        values = np.full(count, np.nan)
        values[rows] = table.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
        out[name] = values
    return out
