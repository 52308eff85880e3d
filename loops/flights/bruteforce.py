"""Every feature value of a prediction, counted again from the raw events: the check on the engine, and no part of it.

It shares no code with the services and reads no loop.yaml: the derived columns and the windows are written out again,
so that a mistake there shows as a difference. One prediction is one pass over the events that its key and window hold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

HOUR_MS = 3_600_000
Floats = NDArray[np.float64]
Times = NDArray[np.int64]


@dataclass(frozen=True)
class _Source:
    """A column of an event type that is summed: name, and its values float64 [n] with NaN for absent."""

    event_type: str
    column: str


_DELAY = _Source("flights.departed", "dep_delay_clipped")
_LATE = _Source("flights.arrived", "late")
_WINDOWS: Mapping[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "network": ((), (1, 3, 24, 168)),
    "origin": (("origin",), (1, 3, 24, 168)),
    "carrier": (("carrier",), (1, 3, 24, 168)),
    "origin_carrier": (("origin", "carrier"), (3, 24, 168)),
    "route": (("origin", "dest"), (24, 168)),
    "tailnum": (("tailnum",), (12, 168)),
}
_WEATHER = (
    "temperature_f",
    "dew_point_f",
    "humidity_percent",
    "wind_direction_deg",
    "wind_speed_mph",
    "wind_gust_mph",
    "precipitation_in",
    "pressure_mb",
    "visibility_miles",
)


def features(events: Mapping[str, pa.Table], requests: pa.Table) -> dict[str, Floats]:
    """Feature values as the online store should have held them for each request.

    Args:
        events: raw event tables by type, in any order; a column ``arrival_watermark_ms`` is used where there is one,
            else every row counts as in time.
        requests: ``watermark_ms`` int64 (the feature views' watermark that the request saw) and the columns ``origin``,
            ``carrier``, ``dest``, ``tailnum``.

    Returns:
        ``view:feature`` to float64 [rows of requests], in the order of ``requests``; NaN where the store had no row for
        the key, or a null.
    """
    watermark = requests["watermark_ms"].to_numpy()
    found: dict[str, Floats] = {}
    for source, view in ((_DELAY, "departed"), (_LATE, "arrived")):
        for name, (keys, hours) in _WINDOWS.items():
            counted = _windows(events[source.event_type], source.column, keys, hours, requests, watermark)
            found |= {f"flights_{name}_{view}:{feature}": values for feature, values in counted.items()}
    weather = events["weather.observed"]
    latest = _latest(weather, _WEATHER, requests, watermark)
    found |= {f"flights_weather_latest:{feature}": values for feature, values in latest.items()}
    for column in ("precipitation_hundredths", "pressure_tenths"):
        counted = _windows(weather, column, ("origin",), (3,), requests, watermark)
        found |= {f"flights_weather_recent:{feature}": values for feature, values in counted.items()}
    return found


def _value(table: pa.Table, column: str) -> Floats:
    """A column, or a derived one, float64 [n] with NaN for null."""
    match column:
        case "dep_delay_clipped":
            return np.clip(_floats(table["dep_delay_minutes"]), -20.0, 180.0)
        case "late":
            return (_floats(table["arr_delay_minutes"]) > 15.0).astype(np.float64)
        case "precipitation_hundredths":
            return np.round(_floats(table["precipitation_in"]) * 100.0)
        case "pressure_tenths":
            return np.round(_floats(table["pressure_mb"]) * 10.0)
    return _floats(table[column])


def _floats(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column.cast(pa.float64()).fill_null(float("nan")).to_numpy(), np.float64)


def _visible_from(table: pa.Table) -> Times:
    """A row is visible at watermarks above this, int64 [n] ms."""
    time = table["event_time_ms"].to_numpy()
    if "arrival_watermark_ms" not in table.column_names:
        return np.asarray(time, np.int64)
    return np.asarray(np.maximum(time, table["arrival_watermark_ms"].to_numpy()), np.int64)


def _codes(table: pa.Table, requests: pa.Table, keys: Sequence[str]) -> tuple[Times, Times]:
    """The same whole number for the same key in both tables, int64 [n] each."""
    if not keys:
        return np.zeros(table.num_rows, np.int64), np.zeros(requests.num_rows, np.int64)
    both = [_joined(each, keys) for each in (table, requests)]
    codes = np.asarray(pa.chunked_array(both).dictionary_encode().combine_chunks().indices.to_numpy(), np.int64)
    return codes[: table.num_rows], codes[table.num_rows :]


def _joined(table: pa.Table, keys: Sequence[str]) -> pa.Array:
    columns = [table[key].cast(pa.string()).combine_chunks() for key in keys]
    return pc.binary_join_element_wise(*columns, "\x1f")


def _windows(
    table: pa.Table, column: str, keys: Sequence[str], hours: Sequence[int], requests: pa.Table, watermark: Times
) -> dict[str, Floats]:
    time, visible, value = table["event_time_ms"].to_numpy(), _visible_from(table), _value(table, column)
    row_code, request_code = _codes(table, requests, keys)
    late = visible > time
    names = [(f"{function}_{column}_{each * 3600}s", each) for each in hours for function in ("count", "sum")]
    found = {name: np.full(requests.num_rows, np.nan) for name, _ in names}
    for code in np.unique(request_code):
        mine, asked = row_code == code, request_code == code
        intime = _Series(time[mine & ~late], value[mine & ~late])
        behind = (time[mine & late], visible[mine & late], value[mine & late])
        at = watermark[asked]
        first = visible[mine].min() if mine.any() else np.iinfo(np.int64).max
        for name, each in names:
            counting = name.startswith("count")
            total = intime.between(at - each * HOUR_MS, at, counting) + _late(behind, at, each * HOUR_MS, counting)
            found[name][asked] = np.where(first < at, total, np.nan)
    return found


class _Series:
    """Values in order of time, with running totals."""

    def __init__(self, time: Times, value: Floats) -> None:
        order = np.argsort(time, kind="stable")
        self._time = time[order]
        known = ~np.isnan(value[order])
        self._count = np.concatenate([[0.0], np.cumsum(known, dtype=np.float64)])
        self._sum = np.concatenate([[0.0], np.cumsum(np.where(known, value[order], 0.0))])

    def between(self, start: Times, end: Times, counting: bool) -> Floats:
        """Count or sum of what is known with start <= time < end, float64 like ``start``."""
        total = self._count if counting else self._sum
        return np.asarray(total[np.searchsorted(self._time, end)] - total[np.searchsorted(self._time, start)])


def _late(behind: tuple[Times, Times, Floats], at: Times, length_ms: int, counting: bool) -> Floats:
    """The same over late rows, one by one: there are few."""
    total = np.zeros(len(at))
    for time, visible, value in zip(*behind, strict=True):
        if not np.isnan(value):
            inside = (visible < at) & (time >= at - length_ms)
            total += np.where(inside, 1.0 if counting else value, 0.0)
    return total


def _latest(table: pa.Table, columns: Sequence[str], requests: pa.Table, watermark: Times) -> dict[str, Floats]:
    """Columns of the visible row with the greatest event time (of equals, the later in the table)."""
    time, visible = table["event_time_ms"].to_numpy(), _visible_from(table)
    row_code, request_code = _codes(table, requests, ("origin",))
    chosen = np.full(requests.num_rows, -1, np.int64)
    moments, at_moment = np.unique(watermark, return_inverse=True)
    for code in np.unique(request_code):
        rows = np.flatnonzero(row_code == code)
        rows = rows[np.argsort(time[rows], kind="stable")]
        seen = [rows[visible[rows] < at] for at in moments]
        newest = np.asarray([each[-1] if len(each) else -1 for each in seen])
        asked = request_code == code
        chosen[asked] = newest[at_moment[asked]]
    values = {name: np.append(_value(table, name), np.nan) for name in columns}
    return {name: each[chosen] for name, each in values.items()}
