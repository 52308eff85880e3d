"""Generated events for a loop from `driftloop init`: cases in two places, measured every hour.

The outcome follows the signal of the models in `tests.helpers.exported`, with `reading` and `size` equal to 1.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
START_MS = 1_600_000_000_000 // DAY_MS * DAY_MS
"""Midnight UTC, 13 September 2020."""
CASES_A_DAY = 60
DAYS = 12
MEASURED = {"north": 1, "south": 2}
"""Measurements per hour, by place."""

_SOURCE = """\
from tests.helpers import generated_past


def events(start_ms, end_ms):
    return generated_past.events({name!r}, {kind!r}, start_ms, end_ms)
"""
_REQUESTS = """\
from tests.helpers import generated_past


def requests(events):
    return generated_past.requests({name!r}, events)
"""


def write(folder: Path, name: str, kind: str) -> None:
    """Write the two modules that a replay needs to a loop's folder."""
    (folder / "source.py").write_text(_SOURCE.format(name=name, kind=kind))
    (folder / "requests.py").write_text(_REQUESTS.format(name=name))


def events(name: str, kind: str, start_ms: int, end_ms: int) -> dict[str, pa.Table]:
    """Return the events with event time in [start, end), by type (`driftloop.ops.replay.source.Source`)."""
    tables = {f"{name}.asked": _asked(), f"{name}.measured": _measured(), f"{name}.settled": _settled(kind)}
    return {event_type: _between(table, start_ms, end_ms) for event_type, table in tables.items()}


def requests(name: str, tables: dict[str, pa.Table]) -> pa.Table:
    """Return one request per case (`driftloop.ops.replay.source.Requests`)."""
    rows = tables[f"{name}.asked"]
    columns = {column: rows[column] for column in ("case_id", "place", "size")} | {
        "decision_time_ms": rows["decide_at_ms"]
    }
    return pa.table(columns).sort_by([("decision_time_ms", "ascending"), ("case_id", "ascending")])


def outcomes(kind: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return the outcome of each case, float64 [n]."""
    random = np.random.default_rng(11)
    size, place = cases()
    noise = random.normal(scale=0.3, size=len(size))
    if kind == "regression":  # the difference of two columns, as the torch model computes it
        return np.asarray(size - np.where(place == "north", *MEASURED.values()) + noise)
    signal = 2.5 * size + 0.7 * (place == "north") + noise
    return np.asarray(np.round(np.exp(signal / 2)) if kind == "count" else signal > 0, dtype=np.float64)


def cases() -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.str_]]]:
    """Return size and place of each case."""
    random = np.random.default_rng(7)
    count = DAYS * CASES_A_DAY
    return random.normal(size=count), random.choice(np.array(list(MEASURED)), count)


def _times() -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return START_MS + np.arange(DAYS * CASES_A_DAY, dtype=np.int64) * (DAY_MS // CASES_A_DAY)


def _asked() -> pa.Table:
    size, place = cases()
    at_ms, ids = _times(), _ids("a")
    columns = {"event_id": ids, "event_time_ms": at_ms, "case_id": _ids("case"), "place": place, "size": size}
    return pa.table({**columns, "decide_at_ms": at_ms + HOUR_MS})


def _settled(kind: str) -> pa.Table:
    _, place = cases()
    at_ms = _times() + 8 * HOUR_MS
    columns = {"event_id": _ids("s"), "event_time_ms": at_ms, "case_id": _ids("case"), "place": place}
    return pa.table({**columns, "outcome": outcomes(kind)})


def _measured() -> pa.Table:
    rows = [
        (START_MS + hour * HOUR_MS + 60_000 * (1 + number), f"m-{hour:04d}-{number}-{place}", place)
        for hour in range(DAYS * 24)
        for place, count in MEASURED.items()
        for number in range(count)
    ]
    at_ms, ids, places = zip(*sorted(rows), strict=True)
    return pa.table({"event_id": ids, "event_time_ms": at_ms, "place": places, "amount": np.ones(len(rows))})


def _ids(head: str) -> list[str]:
    return [f"{head}-{number:05d}" for number in range(DAYS * CASES_A_DAY)]


def _between(table: pa.Table, start_ms: int, end_ms: int) -> pa.Table:
    time = table["event_time_ms"]
    return table.filter(pc.and_(pc.greater_equal(time, start_ms), pc.less(time, end_ms)))
