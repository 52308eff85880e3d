"""The Feast definitions of the flights loop against loop.yaml and a list. Importing Feast takes seconds."""

import warnings

import pytest

from driftloop.loop import load_loop
from driftloop.process.settings import ROOT
from loops.flights import source

pytestmark = pytest.mark.integration
warnings.simplefilter("ignore", RuntimeWarning)

LOOP = load_loop(ROOT / "loops" / "flights").definition


WINDOW_HOURS = {
    "network": (1, 3, 24, 168),
    "origin": (1, 3, 24, 168),
    "carrier": (1, 3, 24, 168),
    "origin_carrier": (3, 24, 168),
    "route": (24, 168),
    "tailnum": (12, 168),
}


def windowed(column: str, hours: tuple[int, ...]) -> list[str]:
    return [f"{function}_{column}_{hour * 3600}s" for hour in hours for function in ("count", "sum")]


def test_the_service_has_exactly_these_features_in_the_order_of_the_model() -> None:
    from feature_repo import flights

    expected = {
        f"flights_{name}_departed": windowed("dep_delay_clipped", hours) for name, hours in WINDOW_HOURS.items()
    }
    expected |= {f"flights_{name}_arrived": windowed("late", hours) for name, hours in WINDOW_HOURS.items()}
    expected["flights_weather_latest"] = list(source.WEATHER_FIELDS)
    expected["flights_weather_recent"] = windowed("precipitation_hundredths", (3,)) + windowed("pressure_tenths", (3,))
    projections = flights.flights_v1.feature_view_projections
    assert [(view.name, [field.name for field in view.features]) for view in projections] == list(expected.items())
    assert flights.flights_v1.name == LOOP.prediction.feature_service


def test_every_event_type_feeds_the_entities_of_its_views() -> None:
    from feature_repo import flights

    needed: dict[str, set[tuple[str, ...]]] = {name: set() for name in LOOP.events}
    for view in [*flights.departed_views, *flights.arrived_views, flights.weather_latest, flights.weather_recent]:
        keys = tuple(column.name for column in view.entity_columns)
        needed[view.stream_source.tags["event_type"]].add(keys)
        assert set(keys) <= set(LOOP.prediction.join_keys)
    assert needed == {name: set(event.feeds) for name, event in LOOP.events.items()}


def test_every_aggregated_column_is_a_field_or_derived() -> None:
    from feature_repo import flights

    for view in [*flights.departed_views, *flights.arrived_views, flights.weather_recent]:
        event_type = view.stream_source.tags["event_type"]
        known = {*source.SCHEMAS[event_type].names, *LOOP.events[event_type].derive}
        assert {aggregation.column for aggregation in view.aggregations} <= known


def test_feasts_own_loader_finds_every_object() -> None:
    from feast.repo_operations import parse_repo

    from feature_repo import flights
    from services.features.adapters.feast_views import feast_objects

    found = parse_repo(ROOT / "feature_repo")
    names = {item.name for item in (*found.stream_feature_views, *found.feature_services, *found.entities)}
    assert names - {"__dummy"} == {item.name for item in feast_objects(flights)}
