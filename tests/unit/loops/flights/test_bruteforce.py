"""The brute force against a plainer one still: Python loops over a handful of events."""

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from loops.flights.bruteforce import features

HOUR = 3_600_000
MOVEMENT = st.fixed_dictionaries(
    {
        "event_time_ms": st.integers(0, 30).map(lambda each: each * HOUR // 2),
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
        "watermark_ms": st.integers(0, 20).map(lambda each: each * HOUR),
        "carrier": st.sampled_from(["UA", "DL", "XX"]),
        "origin": st.sampled_from(["EWR", "JFK"]),
        "dest": st.sampled_from(["ORD", "SFO"]),
        "tailnum": st.sampled_from(["N1", "N2", ""]),
    }
)
Row = dict[str, object]
PLACES = ("carrier", "origin", "dest", "tailnum")


def movements(rows: list[Row], delay: str) -> pa.Table:
    times = [int(str(row["event_time_ms"])) for row in rows]
    arrivals = [time + int(str(row["late_by"])) for time, row in zip(times, rows, strict=True)]
    columns = {"event_time_ms": pa.array(times, pa.int64()), "arrival_watermark_ms": pa.array(arrivals, pa.int64())}
    columns |= {name: pa.array([row[name] for row in rows], pa.string()) for name in PLACES}
    return pa.table(columns | {delay: pa.array([row["delay"] for row in rows], pa.float64())})


def weather(rows: list[Row]) -> pa.Table:
    names = ["temperature_f", "dew_point_f", "humidity_percent", "wind_direction_deg", "wind_speed_mph"]
    names += ["wind_gust_mph", "precipitation_in", "pressure_mb", "visibility_miles"]
    schema = pa.schema(
        [("event_time_ms", pa.int64()), ("origin", pa.string()), *((name, pa.float64()) for name in names)]
    )
    return pa.Table.from_pylist(rows, schema)


def tables(departed: list[Row], arrived: list[Row], observed: list[Row]) -> dict[str, pa.Table]:
    return {
        "flights.departed": movements(departed, "dep_delay_minutes"),
        "flights.arrived": movements(arrived, "arr_delay_minutes"),
        "weather.observed": weather(observed),
    }


def asked(*rows: Row) -> pa.Table:
    schema = pa.schema([("watermark_ms", pa.int64()), *((name, pa.string()) for name in PLACES)])
    return pa.Table.from_pylist(list(rows), schema)


@settings(max_examples=60, deadline=None)
@given(st.lists(MOVEMENT, max_size=25), st.lists(REQUEST, min_size=1, max_size=4))
def test_windows_hold_what_is_visible_and_young_enough(rows: list[Row], requests: list[Row]) -> None:
    found = features(tables(rows, [], []), asked(*requests))
    for place, request in enumerate(requests):
        at = int(str(request["watermark_ms"]))
        for view, keys, hours in (("network", (), 3), ("route", ("origin", "dest"), 24), ("tailnum", ("tailnum",), 12)):
            mine = [row for row in rows if all(row[key] == request[key] for key in keys)]
            seen = [row for row in mine if int(str(row["event_time_ms"])) + int(str(row["late_by"])) < at]
            inside = [row for row in seen if int(str(row["event_time_ms"])) >= at - hours * HOUR]
            count = float(len(inside)) if seen else np.nan
            total = sum(min(max(float(str(row["delay"])), -20.0), 180.0) for row in inside) if seen else np.nan
            name = f"flights_{view}_departed:%s_dep_delay_clipped_{hours * 3600}s"
            np.testing.assert_equal(found[name % "count"][place], count)
            np.testing.assert_equal(found[name % "sum"][place], total)


def test_an_arrival_counts_as_late_above_15_minutes() -> None:
    place = {"carrier": "UA", "origin": "EWR", "dest": "ORD", "tailnum": "N1", "late_by": 0}
    rows: list[Row] = [{**place, "event_time_ms": HOUR, "delay": delay} for delay in (15.0, 15.5, 300.0)]
    found = features(tables([], rows, []), asked({**place, "watermark_ms": 2 * HOUR}))
    assert found["flights_carrier_arrived:sum_late_3600s"].tolist() == [2.0]
    assert found["flights_carrier_arrived:count_late_3600s"].tolist() == [3.0]


def test_the_newest_weather_wins_also_where_it_knows_less() -> None:
    rows: list[Row] = [
        {"event_time_ms": 1 * HOUR, "origin": "EWR", "pressure_mb": 1010.1, "precipitation_in": 0.29},
        {"event_time_ms": 2 * HOUR, "origin": "EWR", "temperature_f": 40.0, "precipitation_in": 0.0},
    ]
    request = {"carrier": "UA", "origin": "EWR", "dest": "ORD", "tailnum": "N1"}
    requests = [{**request, "watermark_ms": hour * HOUR} for hour in (1, 2, 3)]
    found = features(tables([], [], rows), asked(*requests))
    np.testing.assert_array_equal(found["flights_weather_latest:pressure_mb"], [np.nan, 1010.1, np.nan])
    np.testing.assert_array_equal(found["flights_weather_latest:temperature_f"], [np.nan, np.nan, 40.0])
    recent = found["flights_weather_recent:sum_precipitation_hundredths_10800s"]
    np.testing.assert_array_equal(recent, [np.nan, 29.0, 29.0])
    counted = found["flights_weather_recent:count_pressure_tenths_10800s"]
    np.testing.assert_array_equal(counted, [np.nan, 1.0, 1.0])
