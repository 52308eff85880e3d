"""The event streams against what is known of single flights, and against what must hold for all."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from driftloop.loop import Loop
from loops.flights import source
from loops.flights.source import ARRIVED, CANCELLED, DEPARTED, SCHEDULED, WEATHER, events

pytestmark = pytest.mark.integration


def ms(*moment: int) -> int:
    return round(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc,arg-type]


def one(table: pa.Table, flight_id: str) -> dict[str, object]:
    [row] = table.filter(pc.equal(table["flight_id"], flight_id)).to_pylist()
    return dict(row)


def test_the_period_has_126717_complete_flights(story: dict[str, pa.Table]) -> None:
    assert {name: table.num_rows for name, table in story.items() if name != WEATHER} == {
        SCHEDULED: 126_717,
        DEPARTED: 123_206,
        ARRIVED: 122_829,
        CANCELLED: 3_511,
    }
    assert not pc.any(pc.is_in(story[CANCELLED]["flight_id"], story[DEPARTED]["flight_id"])).as_py()


def test_tables_are_sorted_by_time_and_id_and_ids_are_unique(story: dict[str, pa.Table]) -> None:
    for name, table in story.items():
        assert table.schema == source.SCHEMAS[name]
        order = [("event_time_ms", "ascending"), ("event_id", "ascending")]
        assert pc.sort_indices(table, sort_keys=order).equals(pa.array(np.arange(table.num_rows), pa.uint64()))
        assert pc.count_distinct(table["event_id"]).as_py() == table.num_rows


def test_every_event_is_in_the_period(story: dict[str, pa.Table]) -> None:
    for table in story.values():
        times = table["event_time_ms"].to_numpy()
        assert times.min() >= ms(2012, 12, 31)
        assert times.max() < ms(2013, 5, 21)


def test_the_first_flight_of_the_year_is_in_utc(story: dict[str, pa.Table]) -> None:
    flight = "UA1545-EWR-20130101T0515"
    scheduled = one(story[SCHEDULED], flight)
    assert scheduled["event_time_ms"] == ms(2012, 12, 31, 10, 15)
    assert scheduled["scheduled_departure_ms"] == ms(2013, 1, 1, 10, 15)
    assert scheduled["scheduled_arrival_ms"] == ms(2013, 1, 1, 14, 19)  # 8:19 in Houston
    assert (scheduled["local_minute"], scheduled["local_weekday"], scheduled["plane_age_years"]) == (315, 2, 14.0)
    assert one(story[DEPARTED], flight)["event_time_ms"] == ms(2013, 1, 1, 10, 17)
    assert one(story[ARRIVED], flight)["event_time_ms"] == ms(2013, 1, 1, 14, 30)


def test_a_destination_that_the_package_lacks_has_its_time_zone(story: dict[str, pa.Table]) -> None:
    flights = story[SCHEDULED].filter(pc.equal(story[SCHEDULED]["dest"], "SJU"))
    block = flights["block_minutes"].to_numpy()
    assert len(block) > 1000
    assert block.min() > 200
    assert block.max() < 260


def test_flights_that_cross_a_change_of_clocks_take_as_long_as_the_day_before(story: dict[str, pa.Table]) -> None:
    """Clocks went forward on 10 March at 2:00, where there is daylight saving: not in Arizona nor in Puerto Rico."""
    scheduled = story[SCHEDULED].select(["dest", "scheduled_departure_ms", "block_minutes"]).to_pandas()
    day = scheduled["scheduled_departure_ms"] // 86_400_000 - ms(2013, 3, 10) // 86_400_000
    near = scheduled[(day >= -1) & (day <= 1)].assign(day=day)
    by_day = near.groupby(["dest", "day"])["block_minutes"].median().unstack().dropna()
    assert len(by_day) > 50
    assert float((by_day.max(axis=1) - by_day.min(axis=1)).max()) < 45


def test_no_flight_arrives_before_it_departs(story: dict[str, pa.Table]) -> None:
    both = story[DEPARTED].join(story[ARRIVED], "flight_id", right_suffix="_arrived", join_type="inner")
    assert both.num_rows == story[ARRIVED].num_rows
    assert pc.min(pc.subtract(both["event_time_ms_arrived"], both["event_time_ms"])).as_py() > 20 * 60_000


def test_weather_is_published_55_minutes_after_its_hour(story: dict[str, pa.Table]) -> None:
    weather = story[WEATHER]
    assert pc.unique(pc.subtract(weather["event_time_ms"], weather["observed_ms"])).to_pylist() == [55 * 60_000]
    assert weather["wind_gust_mph"].null_count > 0


def test_nearby_departures_are_counted_with_the_flight_itself() -> None:
    minutes = np.array([0, 30, 61, 0], np.int64) * 60_000
    origin = np.array(["A", "A", "A", "B"], object)
    assert source.count_nearby_departures(minutes, origin).tolist() == [2, 2, 1, 1]


def test_a_period_has_the_flights_of_days_with_a_day_before_and_after() -> None:
    tables = events(ms(2013, 3, 1), ms(2013, 3, 4))
    days = {flight[-13:-5] for flight in tables[SCHEDULED]["flight_id"].to_pylist()}
    assert days == {"20130302"}


def test_a_period_without_a_flight_is_refused() -> None:
    with pytest.raises(ValueError, match="no flight"):
        events(ms(2013, 3, 1), ms(2013, 3, 2))


def test_columns_are_the_fields_of_the_messages(loop: Loop) -> None:
    assert set(source.SCHEMAS) == set(loop.definition.events)
    for name, message in loop.messages.items():
        assert source.SCHEMAS[name].names == [field.name for field in message.DESCRIPTOR.fields]
