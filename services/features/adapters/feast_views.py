"""Feast definitions: applied to the registry, read back as plain views, checked against the loop's definition."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, NamedTuple, cast

from feast import Entity, FeatureService, FeatureStore, FeatureView, OnDemandFeatureView, StreamFeatureView
from feast.aggregation import Aggregation
from feast.types import Float64, Int64, String

from driftloop.loop.code import load_features
from driftloop.loop.load import Loop
from driftloop.loop.source_lines import SourceLines
from driftloop.process.errors import LoopDefinitionError
from services.features.domain.key_types import key_type_problems
from services.features.domain.views import Aggregate, Feed, KeyKind, Kind, Latest, ViewSpec, feed_columns

_KINDS: dict[Any, Kind] = {Float64: "double", String: "string"}
_KEY_KINDS: dict[Any, KeyKind] = {String: "string", Int64: "int64"}


def apply(store: FeatureStore, loops: Sequence[Loop], feature_repo: Path) -> dict[str, list[ViewSpec]]:
    """Register what ``<feature_repo>/<loop>.py`` defines, which creates the online tables; return each loop's views.

    Raises:
        LoopDefinitionError: a definition is missing, cannot be executed, or does not fit the loop's events.
    """
    problems: list[str] = []
    modules = {loop.name: load_features(loop.name, feature_repo) for loop in loops}
    lines = {name: SourceLines(module) for name, module in modules.items()}
    defined = {name: feast_objects(module) for name, module in modules.items()}
    problems += _shared_names(defined, lines)
    for name, objects in defined.items():
        problems += _not_computed(objects, lines[name])
    _refuse(problems)
    try:
        store.apply([definition for objects in defined.values() for definition in objects], partial=True)
    except Exception as error:  # of Feast's many classes
        text = " ".join(f"{type(error).__name__}: {error}".split())
        raise LoopDefinitionError([f"{_mentioned(error, defined, lines)}: {text}"]) from error
    specs: dict[str, list[ViewSpec]] = {}
    for loop in loops:
        where = lines[loop.name]
        names = [definition.name for definition in defined[loop.name] if isinstance(definition, StreamFeatureView)]
        views = [store.get_stream_feature_view(name) for name in names]  # not those that an older version left behind
        for view in views:
            problems += [f"{where.of_name(view.name)}: {problem}" for problem in _problems(view, loop.name)]
        _refuse(problems)
        specs[loop.name] = [spec(view) for view in views]
        problems += [f"{_line_of(where, misfit)}: {misfit.text}" for misfit in misfits(loop, specs[loop.name])]
        problems += key_type_problems(loop, specs[loop.name])
        problems += _service_misfits(loop, defined[loop.name])
    _refuse(problems)
    return specs


def _line_of(lines: SourceLines, misfit: Misfit) -> str:
    [view] = [item for item in feast_objects(lines.module) if item.name == misfit.view]
    return lines.of(view, misfit.word)


def _mentioned(error: Exception, defined: Mapping[str, list[Any]], lines: Mapping[str, SourceLines]) -> str:
    """Return the line of the longest name that an error of Feast mentions."""
    text = str(error)
    named = [(item.name, loop) for loop, objects in defined.items() for item in objects if item.name in text]
    name, loop = max(named, key=lambda pair: len(pair[0]), default=("", next(iter(defined))))
    return lines[loop].of_name(name)


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


class Misfit(NamedTuple):
    """What a view requires of a loop's events that its loop.yaml lacks; ``word`` is a text in the view's code."""

    view: str
    word: str
    text: str


def misfits(loop: Loop, views: Iterable[ViewSpec]) -> Iterator[Misfit]:
    """Return what views require of a loop's events that its loop.yaml lacks."""
    events = loop.definition.events
    kinds: dict[tuple[Feed, str], str] = {}
    for view in views:
        event_type, join_keys = view.feed
        if event_type not in events:
            text = f"{view.view} reads {event_type!r}, which `events` of loop.yaml does not declare"
            yield Misfit(view.view, event_type, text)
            continue
        if join_keys not in {tuple(sorted(keys)) for keys in events[event_type].feeds}:
            text = f"{view.view} needs `- [{', '.join(join_keys)}]` in `events.{event_type}.feeds` of loop.yaml"
            yield Misfit(view.view, event_type, text)
        columns = set(loop.messages[event_type].DESCRIPTOR.fields_by_name) | set(events[event_type].derive)
        wanted = {*(f.column for f in view.aggregates), *(f.name for f in view.latest), *join_keys}
        for column in sorted(wanted - columns):
            text = f"{view.view} reads the column {column!r}, which {event_type} neither has nor derives"
            yield Misfit(view.view, column, text)
        for column, kind in feed_columns([view]).items():
            if kinds.setdefault((view.feed, column), kind) != kind:
                text = f"{view.view} reads the column {column!r} as a {kind}, but another view of {event_type} with "
                yield Misfit(view.view, column, text + f"the same entity reads it as a {kinds[view.feed, column]}")


def _not_computed(objects: Iterable[object], lines: SourceLines) -> Iterator[str]:
    """Yield views of feature services whose features no part of driftloop computes."""
    views = {definition.name for definition in objects if isinstance(definition, StreamFeatureView)}
    for service in objects:
        if isinstance(service, FeatureService):
            for name in [view.name for view in service.feature_view_projections if view.name not in views]:
                text = f"{service.name} has {name}, which is not a stream feature view of this loop"
                yield f"{lines.of(service, name)}: {text}; nothing would compute its features"


def _service_misfits(loop: Loop, objects: Iterable[object]) -> Iterator[str]:
    wanted = loop.definition.prediction.feature_service
    where = loop.line_of("prediction", "feature_service")
    services = {definition.name: definition for definition in objects if isinstance(definition, FeatureService)}
    if wanted not in services:
        yield f"{where}: there is no feature service {wanted!r} among the loop's Feast definitions"
        return
    views = {definition.name: definition for definition in objects if isinstance(definition, StreamFeatureView)}
    used = [views[projection.name] for projection in services[wanted].feature_view_projections]
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


def feast_objects(module: ModuleType) -> list[Entity | FeatureView | OnDemandFeatureView | FeatureService]:
    """Return Feast objects among a module's names and in its lists."""
    values = [value if isinstance(value, list | tuple) else [value] for value in vars(module).values()]
    items = {id(item): item for several in values for item in several}  # an object may have several names
    return [i for i in items.values() if isinstance(i, Entity | FeatureView | OnDemandFeatureView | FeatureService)]


def entity_conflicts(module: ModuleType, other: ModuleType, other_loop: str) -> Iterator[str]:
    """Yield entities of a module that another loop defines with another key: Feast has one entity of each name."""
    others = {item.name: item for item in feast_objects(other) if isinstance(item, Entity)}
    for entity in feast_objects(module):
        taken = others.get(entity.name)
        if not isinstance(entity, Entity) or taken is None:
            continue
        keys = [f"{item.join_key} ({item.value_type.name.lower()})" for item in (entity, taken)]
        if keys[0] != keys[1]:
            where = SourceLines(module).of(entity)
            yield f"{where}: the entity {entity.name!r} has the key {keys[0]}, but {keys[1]} in {other_loop}; rename it"


def _shared_names(defined: Mapping[str, list[Any]], lines: Mapping[str, SourceLines]) -> Iterator[str]:
    """Yield names used twice; views and services share one namespace over all loops."""
    owner: dict[str, tuple[str, Any]] = {}
    for loop, objects in defined.items():
        for item in sorted(objects, key=lambda item: str(item.name)):
            if not isinstance(item, Entity) and (other := owner.setdefault(item.name, (loop, item)))[1] is not item:
                yield f"{lines[loop].of(item)}: {item.name} is the name of another view or service of {other[0]}, too"


def _refuse(problems: list[str]) -> None:
    if problems:
        raise LoopDefinitionError(problems)
