"""The requests of the caller: one row for each scheduled flight."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

import pyarrow as pa
import pyarrow.compute as pc

from loops.flights.source import SCHEDULED

DECIDED_AHEAD = timedelta(hours=2)
"""The decision time of a prediction is this long before the scheduled departure."""

INPUTS = (
    "carrier",
    "origin",
    "dest",
    "tailnum",
    "distance_miles",
    "block_minutes",
    "flights_within_30min",
    "local_minute",
    "local_weekday",
    "plane_age_years",
    "seats",
)
"""Inputs that the loop declares, in its order: strings, then doubles (NaN is missing)."""


def requests(events: Mapping[str, pa.Table]) -> pa.Table:
    """Return the requests for events of `loops.flights.source.events`.

    Returns:
        ``flight_id`` string, ``decision_time_ms`` int64 (UTC) and `INPUTS` (string, or float64 with NaN for missing),
        sorted by (decision time, flight id).
    """
    scheduled = events[SCHEDULED]
    decided = pc.subtract(scheduled["scheduled_departure_ms"], DECIDED_AHEAD // timedelta(milliseconds=1))
    columns = {"flight_id": scheduled["flight_id"], "decision_time_ms": decided}
    columns |= {name: _as_sent(scheduled[name]) for name in INPUTS}
    return pa.table(columns).sort_by([("decision_time_ms", "ascending"), ("flight_id", "ascending")])


def _as_sent(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_string(column.type):
        return column
    return column.cast(pa.float64()).fill_null(float("nan"))
