"""The Feast definitions of the flights loop against loop.yaml and the brute force. Importing Feast takes seconds."""

import warnings

import pytest

from driftloop.loop import load_loop
from driftloop.process.settings import ROOT
from loops.flights import bruteforce, requests, source

pytestmark = pytest.mark.integration
warnings.simplefilter("ignore", RuntimeWarning)

LOOP = load_loop(ROOT / "loops" / "flights").definition


def test_the_service_holds_the_features_that_the_brute_force_counts() -> None:
    from feature_repo import flights

    nothing = {name: schema.empty_table() for name, schema in source.SCHEMAS.items()}
    asked = requests.requests(nothing)
    counted = bruteforce.features(nothing, asked.append_column("watermark_ms", asked["decision_time_ms"]))
    projections = flights.flights_v1.feature_view_projections
    assert [f"{view.name}:{field.name}" for view in projections for field in view.features] == list(counted)
    assert flights.flights_v1.name == LOOP.prediction.feature_service


def test_every_event_type_feeds_the_entities_of_its_views() -> None:
    from feature_repo import flights

    needed: dict[str, set[tuple[str, ...]]] = {name: set() for name in LOOP.events}
    for view in [*flights.departed_views, *flights.arrived_views, flights.weather_latest, flights.weather_recent]:
        keys = tuple(each.name for each in view.entity_columns)
        needed[view.stream_source.tags["event_type"]].add(keys)
        assert set(keys) <= set(LOOP.prediction.join_keys)
    assert needed == {name: set(event.feeds) for name, event in LOOP.events.items()}


def test_every_aggregated_column_is_a_field_or_derived() -> None:
    from feature_repo import flights

    for view in [*flights.departed_views, *flights.arrived_views, flights.weather_recent]:
        event_type = view.stream_source.tags["event_type"]
        known = {*source.SCHEMAS[event_type].names, *LOOP.events[event_type].derive}
        assert {each.column for each in view.aggregations} <= known
