"""Builds stream feature views that the features service can execute. `sources.py` states the rules for them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from feast import Entity, Field, StreamFeatureView
from feast.aggregation import Aggregation
from feast.types import Float64, String

from feature_repo.sources import EVENT_TIMESTAMP, stream_source


def windowed_view(
    loop: str,
    name: str,
    event_type: str,
    entities: Sequence[Entity],
    columns: Sequence[str],
    windows: Sequence[timedelta],
) -> StreamFeatureView:
    """Return a view with count and sum of each column over each trailing window. Join keys are strings."""
    sums = [
        Aggregation(column=column, function=function, time_window=window)
        for column in columns
        for window in windows
        for function in ("count", "sum")
    ]
    features = [total.resolved_name(total.time_window) for total in sums]
    return _view(loop, name, event_type, entities, features, sums)


def newest_view(
    loop: str, name: str, event_type: str, entities: Sequence[Entity], features: Sequence[str]
) -> StreamFeatureView:
    """Return a view of the newest event. Join keys are strings, features are Float64 columns of the event."""
    return _view(loop, name, event_type, entities, features, [])


def _view(
    loop: str,
    name: str,
    event_type: str,
    entities: Sequence[Entity],
    features: Sequence[str],
    sums: list[Aggregation],
) -> StreamFeatureView:
    return StreamFeatureView(
        name=name,
        entities=list(entities),
        ttl=timedelta(0),
        schema=[
            *(Field(name=entity.join_key, dtype=String) for entity in entities),
            *(Field(name=feature, dtype=Float64) for feature in features),
        ],
        source=stream_source(loop, event_type, name),
        aggregations=sums,
        timestamp_field=EVENT_TIMESTAMP,
        online=True,
        offline=True,
        tags={"loop": loop},
    )
