"""Stored features of the flights loop: delays and late arrivals by six entities, and the weather at the origin.

Counts and sums only: means, shrinkage and scaling are inside the model's graph. Values that the caller sends are not
stored features; they are listed in `loops/flights/loop.yaml` under `prediction.inputs`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from feast import Entity, FeatureService, ValueType

from feature_repo.views import newest_view, windowed_view

LOOP = "flights"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW_AND_WEEK = (HOUR, 3 * HOUR, DAY, 7 * DAY)

network = Entity(name="network", join_keys=["network"], value_type=ValueType.STRING, description="Every departure")
origin = Entity(name="origin", join_keys=["origin"], value_type=ValueType.STRING, description="Airport of departure")
carrier = Entity(name="carrier", join_keys=["carrier"], value_type=ValueType.STRING, description="Airline")
dest = Entity(name="dest", join_keys=["dest"], value_type=ValueType.STRING, description="Airport of arrival")
tailnum = Entity(name="tailnum", join_keys=["tailnum"], value_type=ValueType.STRING, description="Aircraft")


@dataclass(frozen=True)
class Grouping:
    """Entities whose delays are aggregated together, and the lengths of the windows."""

    name: str
    entities: tuple[Entity, ...]
    windows: tuple[timedelta, ...]


GROUPINGS = (
    Grouping("network", (network,), NOW_AND_WEEK),
    Grouping("origin", (origin,), NOW_AND_WEEK),
    Grouping("carrier", (carrier,), NOW_AND_WEEK),
    Grouping("origin_carrier", (origin, carrier), (3 * HOUR, DAY, 7 * DAY)),
    Grouping("route", (origin, dest), (DAY, 7 * DAY)),
    Grouping("tailnum", (tailnum,), (12 * HOUR, 7 * DAY)),
)

WEATHER_COLUMNS = (
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


departed_views = [
    windowed_view(
        LOOP, f"flights_{group.name}_departed", "flights.departed", group.entities, ["dep_delay_clipped"], group.windows
    )
    for group in GROUPINGS
]
arrived_views = [
    windowed_view(LOOP, f"flights_{group.name}_arrived", "flights.arrived", group.entities, ["late"], group.windows)
    for group in GROUPINGS
]
# Feast's command line finds only objects that have a name in the module, and `feast apply` deletes all others.
globals().update({view.name: view for view in (*departed_views, *arrived_views)})
weather_latest = newest_view(LOOP, "flights_weather_latest", "weather.observed", [origin], WEATHER_COLUMNS)
weather_recent = windowed_view(
    LOOP,
    "flights_weather_recent",
    "weather.observed",
    [origin],
    ["precipitation_hundredths", "pressure_tenths"],
    [3 * HOUR],
)

flights_v1 = FeatureService(
    name="flights_v1",
    features=[*departed_views, *arrived_views, weather_latest, weather_recent],
    tags={"loop": LOOP},
)
