"""Feast definitions: applied to the registry, read back as plain views, checked against the loop's definition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, cast

from feast import Entity, FeatureService, FeatureStore, FeatureView, OnDemandFeatureView, StreamFeatureView
from feast.aggregation import Aggregation
from feast.types import Float64, Int64, String

from driftloop.loop.code import load_features
from driftloop.loop.load import Loop
from driftloop.process.errors import LoopDefinitionError
from services.features.domain.views import Aggregate, Feed, KeyKind, Kind, Latest, ViewSpec

_KINDS: dict[Any, Kind] = {Float64: "double", String: "string"}
_KEY_KINDS: dict[Any, KeyKind] = {String: "string", Int64: "int64"}


def apply(store: FeatureStore, loops: Sequence[Loop], feature_repo: Path) -> dict[str, list[ViewSpec]]:
    """Register what ``<feature_repo>/<loop>.py`` defines, which creates the online tables; return each loop's views.

    Raises:
        LoopDefinitionError: a definition is missing, cannot be executed, or does not fit the loop's events.
    """
    problems: list[str] = []
    defined = {loop.name: list(_objects(load_features(loop.name, feature_repo))) for loop in loops}
    _refuse(_shared_names(defined, feature_repo))
    store.apply([definition for objects in defined.values() for definition in objects], partial=True)
    specs: dict[str, list[ViewSpec]] = {}
    for loop in loops:
        path = feature_repo / f"{loop.name}.py"
        names = [definition.name for definition in defined[loop.name] if isinstance(definition, StreamFeatureView)]
        views = [store.get_stream_feature_view(name) for name in names]  # not those that an older version left behind
        problems += [f"{path}:1: {problem}" for view in views for problem in _problems(view, loop.name)]
        _refuse(problems)
        specs[loop.name] = [spec(view) for view in views]
        problems += [f"{path}:1: {problem}" for problem in misfits(loop, specs[loop.name])]
        problems += _service_misfits(loop, defined[loop.name])
    _refuse(problems)
    return specs


def spec(view: StreamFeatureView) -> ViewSpec:
    """Return a stream feature view as plain data."""
    source = view.stream_source
    join_keys = tuple(sorted(column.name for column in view.entity_columns))
    feed = Feed(source.tags["event_type"], join_keys)
    types = {column.name: column.dtype for column in view.entity_columns}
    kinds = tuple(_KEY_KINDS[types[key]] for key in join_keys)
    if view.aggregations:
        return ViewSpec(view.name, feed, kinds, tuple(_aggregate(aggregation) for aggregation in view.aggregations))
    # Feast returns a view's features in random order
    features = sorted((f for f in view.features if f.name not in join_keys), key=lambda f: f.name)
    return ViewSpec(view.name, feed, kinds, latest=tuple(Latest(f.name, _KINDS[f.dtype]) for f in features))


def misfits(loop: Loop, views: Iterable[ViewSpec]) -> Iterator[str]:
    """Return what views require of a loop's events that its loop.yaml lacks."""
    events = loop.definition.events
    for view in views:
        event_type, join_keys = view.feed
        if event_type not in events:
            yield f"{view.view} reads {event_type!r}, which `events` of loop.yaml does not declare"
            continue
        if join_keys not in {tuple(sorted(keys)) for keys in events[event_type].feeds}:
            yield f"{view.view} needs `- [{', '.join(join_keys)}]` in `events.{event_type}.feeds` of loop.yaml"
        columns = set(loop.messages[event_type].DESCRIPTOR.fields_by_name) | set(events[event_type].derive)
        wanted = {*(f.column for f in view.aggregates), *(f.name for f in view.latest), *join_keys}
        for column in sorted(wanted - columns):
            yield f"{view.view} reads the column {column!r}, which {event_type} neither has nor derives"


def _service_misfits(loop: Loop, objects: Iterable[object]) -> Iterator[str]:
    wanted = loop.definition.prediction.feature_service
    where = loop.line_of("prediction", "feature_service")
    services = {definition.name: definition for definition in objects if isinstance(definition, FeatureService)}
    if wanted not in services:
        yield f"{where}: there is no feature service {wanted!r} among the loop's Feast definitions"
        return
    views = {definition.name: definition for definition in objects if isinstance(definition, StreamFeatureView)}
    names = [projection.name for projection in services[wanted].feature_view_projections]
    used = [views[name] for name in names if name in views]
    needed = {column.name for view in used for column in view.entity_columns}
    for absent in sorted(needed - set(loop.definition.prediction.join_keys)):
        yield f"{where}: {wanted} needs the join key {absent!r} in `prediction.join_keys`"


def _problems(view: StreamFeatureView, loop: str) -> Iterator[str]:
    """Return what this service cannot execute in a view."""
    join_keys = {column.name for column in view.entity_columns}
    features = {feature.name: feature.dtype for feature in view.features if feature.name not in join_keys}
    if view.tags.get("loop") != loop:
        yield f"{view.name} must have tags={{'loop': '{loop}'}}"
    if "event_type" not in view.stream_source.tags:
        yield f"{view.name} must take its source from feature_repo.sources.stream_source"
    if view.ttl:
        yield f"{view.name} must have ttl=timedelta(0): a row is right until the next one"
    for column in view.entity_columns:
        if column.dtype not in _KEY_KINDS:
            yield f"{view.name}: the join key {column.name} must be String or Int64"
    if view.aggregations:
        yield from _aggregation_problems(view.name, view.aggregations, features)
    else:
        wrong = sorted(name for name, dtype in features.items() if dtype not in _KINDS)
        yield from (f"{view.name}: {name} must be Float64 or String" for name in wrong)


def _aggregation_problems(name: str, aggregations: Iterable[Aggregation], features: dict[str, Any]) -> Iterator[str]:
    for aggregation in aggregations:
        function, window = aggregation.function, aggregation.time_window
        if function not in ("count", "sum") or window is None or window <= timedelta(0):
            yield f"{name}: {function} of {aggregation.column}: write a count or a sum over a time_window above zero"
    made = {aggregation.resolved_name(aggregation.time_window) for aggregation in aggregations}
    if made != set(features):
        yield f"{name}: schema and aggregations differ in {', '.join(sorted(made ^ set(features)))}"
    for feature in sorted(name for name, dtype in features.items() if dtype != Float64):
        yield f"{name}: {feature} must be Float64"


def _aggregate(aggregation: Aggregation) -> Aggregate:
    window = aggregation.time_window
    function = cast(Literal["count", "sum"], aggregation.function)
    name = aggregation.resolved_name(window)
    return Aggregate(name, function, aggregation.column, window // timedelta(milliseconds=1))


def _objects(module: ModuleType) -> Iterator[Entity | FeatureView | OnDemandFeatureView | FeatureService]:
    """Return Feast objects among a module's names and in its lists."""
    for value in vars(module).values():
        for item in value if isinstance(value, list | tuple) else [value]:
            if isinstance(item, Entity | FeatureView | OnDemandFeatureView | FeatureService):
                yield item


def _shared_names(defined: dict[str, list[Any]], feature_repo: Path) -> list[str]:
    """Return names used twice; views and services share one namespace over all loops."""
    owner: dict[str, str] = {}
    problems = []
    for loop, objects in defined.items():
        names = sorted({item.name for item in objects if not isinstance(item, Entity)})
        taken = [name for name in names if owner.setdefault(name, loop) != loop]
        problems += [f"{feature_repo / loop}.py:1: {name} is the name of one of {owner[name]}'s, too" for name in taken]
    return problems


def _refuse(problems: list[str]) -> None:
    if problems:
        raise LoopDefinitionError(problems)
