"""The recount of the flights loop's features by SQL, against Python loops over a few events."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from driftloop.loop import load_loop
from driftloop.ops.checks.bruteforce import Aggregate, View, compute
from driftloop.process.settings import ROOT

EVENTS = load_loop(ROOT / "loops" / "flights").definition.events
HOUR = 3_600_000
MOVEMENT = st.fixed_dictionaries(
    {
        "event_time_ms": st.integers(0, 30).map(lambda half_hours: half_hours * HOUR // 2),
        "late_by": st.sampled_from([0, 0, 0, 5 * HOUR]),
        "carrier": st.sampled_from(["UA", "DL"]),
        "origin": st.sampled_from(["EWR", "JFK"]),
        "dest": st.sampled_from(["ORD", "SFO"]),
        "tailnum": st.sampled_from(["N1", "N2", ""]),
        "delay": st.integers(-40, 300).map(float),
    }
)
REQUEST = st.fixed_dictionaries(
    {
        "watermark_ms": st.integers(0, 20).map(lambda hours: hours * HOUR),
        "carrier": st.sampled_from(["UA", "DL", "XX"]),
        "origin": st.sampled_from(["EWR", "JFK"]),
        "dest": st.sampled_from(["ORD", "SFO"]),
        "tailnum": st.sampled_from(["N1", "N2", ""]),
        "network": st.just("all"),
    }
)
Row = dict[str, object]
KEYS = ("carrier", "origin", "dest", "tailnum")
WEATHER = ("temperature_f", "precipitation_in", "pressure_mb")
ROUTE = {"carrier": "UA", "origin": "EWR", "dest": "ORD", "tailnum": "N1"}


def windowed(event_type: str, keys: tuple[str, ...], column: str, hours: int) -> View:
    aggregates = tuple(Aggregate(name, name, column, hours * HOUR) for name in ("count", "sum"))
    return View("view", event_type, keys, aggregates, ())


def sourced(columns: Mapping[str, pa.Array], rows: list[Row]) -> pa.Table:
    """Raw events with their position and their arrival."""
    times = [int(str(row["event_time_ms"])) for row in rows]
    arrivals = [time + int(str(row.get("late_by", 0))) for time, row in zip(times, rows, strict=True)]
    return pa.table(
        {
            "event_time_ms": pa.array(times, pa.int64()),
            "arrival_watermark_ms": pa.array(arrivals, pa.int64()),
            "source_partition": pa.array([0] * len(rows), pa.int32()),
            "source_offset": pa.array(range(len(rows)), pa.int64()),
            **columns,
        }
    )


def movements(rows: list[Row], delay: str) -> pa.Table:
    columns = {name: pa.array([row[name] for row in rows], pa.string()) for name in KEYS}
    return sourced(columns | {delay: pa.array([row["delay"] for row in rows], pa.float64())}, rows)


def weather(rows: list[Row]) -> pa.Table:
    columns = {name: pa.array([row.get(name) for row in rows], pa.float64()) for name in WEATHER}
    return sourced({"origin": pa.array([row["origin"] for row in rows], pa.string())} | columns, rows)


def recount(view: View, events: pa.Table, *requests: Row) -> dict[str, NDArray[np.float64]]:
    keys = {key: pa.array([request[key] for request in requests], pa.string()) for key in view.join_keys}
    watermarks = pa.array([request["watermark_ms"] for request in requests], pa.int64())
    entities = pa.table({"row": np.arange(len(requests)), "watermark_ms": watermarks, **keys})
    return compute(view, events, EVENTS[view.event_type].derive, entities)


@settings(max_examples=40, deadline=None)
@given(st.lists(MOVEMENT, max_size=25), st.lists(REQUEST, min_size=1, max_size=4))
def test_a_window_has_the_visible_events_that_are_young_enough(rows: list[Row], requests: list[Row]) -> None:
    for keys, hours in ((("network",), 3), (("origin", "dest"), 24), (("tailnum",), 12)):
        view = windowed("flights.departed", keys, "dep_delay_clipped", hours)
        values = recount(view, movements(rows, "dep_delay_minutes"), *requests)
        for number, request in enumerate(requests):
            now_ms = int(str(request["watermark_ms"]))
            same = [row for row in rows if all(row.get(key, "all") == request[key] for key in keys)]
            visible = [row for row in same if int(str(row["event_time_ms"])) + int(str(row["late_by"])) < now_ms]
            inside = [row for row in visible if int(str(row["event_time_ms"])) >= now_ms - hours * HOUR]
            count = float(len(inside)) if visible else np.nan
            total = sum(min(max(float(str(row["delay"])), -20.0), 180.0) for row in inside) if visible else np.nan
            np.testing.assert_equal(values["count"][number], count)
            np.testing.assert_equal(values["sum"][number], total)


def test_an_arrival_counts_as_late_above_15_minutes() -> None:
    rows: list[Row] = [{**ROUTE, "event_time_ms": HOUR, "delay": delay} for delay in (15.0, 15.5, 300.0)]
    view = windowed("flights.arrived", ("carrier",), "late", 1)
    values = recount(view, movements(rows, "arr_delay_minutes"), {**ROUTE, "watermark_ms": 2 * HOUR})
    assert (values["sum"].tolist(), values["count"].tolist()) == ([2.0], [3.0])


def test_the_newest_weather_is_used_even_if_it_has_fewer_values() -> None:
    events = weather(
        [
            {"event_time_ms": 1 * HOUR, "origin": "EWR", "pressure_mb": 1010.1, "precipitation_in": 0.29},
            {"event_time_ms": 2 * HOUR, "origin": "EWR", "temperature_f": 40.0, "precipitation_in": 0.0},
        ]
    )
    requests = [{**ROUTE, "watermark_ms": hour * HOUR} for hour in (1, 2, 3)]
    latest = recount(View("latest", "weather.observed", ("origin",), (), WEATHER), events, *requests)
    np.testing.assert_array_equal(latest["pressure_mb"], [np.nan, 1010.1, np.nan])
    np.testing.assert_array_equal(latest["temperature_f"], [np.nan, np.nan, 40.0])
    rain = recount(windowed("weather.observed", ("origin",), "precipitation_hundredths", 3), events, *requests)
    np.testing.assert_array_equal(rain["sum"], [np.nan, 29.0, 29.0])
    pressure = recount(windowed("weather.observed", ("origin",), "pressure_tenths", 3), events, *requests)
    np.testing.assert_array_equal(pressure["count"], [np.nan, 1.0, 1.0])
