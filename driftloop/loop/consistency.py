"""Finds edits of ``loop.yaml`` that no service refuses and that cannot work: keys that contradict each other. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from driftloop.bus.dead_letters import SUFFIX
from driftloop.contracts.topics import declared
from driftloop.loop.definition import FieldRule, LoopDefinition
from driftloop.loop.effects import span_text
from driftloop.loop.findings import Read
from driftloop.loop.load import Loop

RESERVED_INPUTS = ("key", "label", "score", "decision_time_ms")
"""Names that an input cannot have: columns of a run's holdout, or the tensor of the decision time."""


class Problem(NamedTuple):
    """A problem at a key of ``loop.yaml``."""

    path: tuple[str, ...]
    text: str


def contradictions(loop: Loop) -> Iterator[str]:
    """Yield the problems of one definition, as ``file:line: message``."""
    definition = loop.definition
    for problems in (_spans, _inputs, _detectors, _rules, _feeds, _numbers, _topic_names):
        for path, text in problems(definition):
            yield f"{loop.line_of(*path)}: {'.'.join(path)}: {text}"


def conflicts(loop: Loop, others: Iterable[Loop]) -> Iterator[str]:
    """Yield the problems of a definition beside those of other loops: they share the names of topics."""
    for other in others:
        for name, event in loop.definition.events.items():
            for other_name, other_event in other.definition.events.items():
                path: tuple[str, ...] = ("events", name)
                text = ""
                if name != other_name and _metric_name(name) == _metric_name(other_name):
                    text = f"Kafka refuses it beside {other_name!r} of {other.name}: the names differ only in . and _"
                elif name == other_name and event.message != other_event.message:
                    path = (*path, "message")
                    text = f"{event.message}, but {other.name} reads the same topic as {other_event.message}"
                elif name == other_name and event.partitions != other_event.partitions:
                    path = (*path, "partitions")
                    text = f"{event.partitions}, but {other.name} declares {other_event.partitions} for the same topic"
                if text:
                    yield f"{loop.line_of(*path)}: {'.'.join(path)}: {text}"


def type_problems(reads: Iterable[Read], columns: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield columns that a service reads and whose type it cannot use."""
    for read in reads:
        kind = columns.get(read.event_type, {}).get(read.column)
        if kind and kind not in read.types:
            column = f"{read.event_type}.{read.column}"
            yield f"{read.where}: {read.what}: {column} is {kind}; it must be one of {', '.join(read.types)}"


def _spans(definition: LoopDefinition) -> Iterator[Problem]:
    time, training = definition.time, definition.training
    if time.lateness >= time.max_advance:
        longest, shown = span_text(time.max_advance), span_text(time.lateness)
        text = f"{shown} is not below max_advance ({longest}), so every event would be too far ahead of the watermark"
        yield Problem(("time", "lateness"), text)
    if training.trainer is None:
        return
    shown = span_text(training.validation)
    for name, window in training.window:
        if window <= training.validation:
            text = f"{span_text(window)} is not above training.validation ({shown}), so no row is left to train on"
            yield Problem(("training", "window", name), text)
    if training.first_champion_after <= training.validation:
        text = f"{shown} is not below first_champion_after ({span_text(training.first_champion_after)}), so the first "
        yield Problem(("training", "validation"), text + "run has no row to train on")


def _inputs(definition: LoopDefinition) -> Iterator[Problem]:
    prediction = definition.prediction
    for name in prediction.inputs:
        path = ("prediction", "inputs", name)
        if name == prediction.key:
            yield Problem(path, "is prediction.key, which every request has; remove it from the inputs")
        elif name in RESERVED_INPUTS:
            yield Problem(path, f"the name is reserved ({', '.join(RESERVED_INPUTS)}); rename it and set its `column`")
    if prediction.key == "decision_time_ms":
        yield Problem(("prediction", "key"), "is the name of the decision time in a request; use another column")
    for name, source in prediction.join_keys.items():
        if source.const == "":
            yield Problem(("prediction", "join_keys", name), "an empty constant is a missing key; give a value")


def _detectors(definition: LoopDefinition) -> Iterator[Problem]:
    for name, detector in definition.monitoring.detectors.items():
        if detector.on is not None and detector.kind != "psi":
            text = f"{detector.kind} judges losses, not an input; remove the key, or use the kind psi"
            yield Problem(("monitoring", "detectors", name, "on"), text)


def _rules(definition: LoopDefinition) -> Iterator[Problem]:
    for event_type, event in definition.events.items():
        for name, rule in event.rules.items():
            for text in _rule(rule):
                yield Problem(("events", event_type, "rules", name), text)


def _rule(rule: FieldRule) -> Iterator[str]:
    bounds = {"min": rule.min, "max": rule.max}
    for name, bound in bounds.items():
        if bound is not None and math.isnan(bound):
            yield f"{name} is not a number"
    if rule.min is not None and rule.max is not None and rule.min > rule.max:
        yield f"min {rule.min:g} is above max {rule.max:g}, so every event would be refused"
    if rule.enum is None:
        return
    fitting = [text for text in rule.enum if rule.max_length is None or len(text) <= rule.max_length]
    if not rule.enum:
        yield "enum lists no value, so every event would be refused"
    for text in sorted(set(rule.enum) - set(fitting)):
        yield f"enum lists {text!r}, which is longer than max_length ({rule.max_length})"


def _feeds(definition: LoopDefinition) -> Iterator[Problem]:
    for event_type, event in definition.events.items():
        path = ("events", event_type, "feeds")
        for keys in event.feeds:
            if not keys or len(set(keys)) < len(keys):
                yield Problem(path, f"[{', '.join(keys)}]: an entity is a list of different join keys")
        for entity, count in Counter(tuple(sorted(keys)) for keys in event.feeds).items():
            if count > 1:
                yield Problem(path, f"lists [{', '.join(entity)}] {count} times; each event would count as often")


def _numbers(definition: LoopDefinition) -> Iterator[Problem]:
    """Yield numbers that are infinite or NaN. A bound of a rule may be infinite."""
    for path, number in _floats(definition.model_dump(by_alias=True)):
        if not math.isfinite(number) and path[0] != "events":
            yield Problem(path, f"{number} is not a finite number")


def _floats(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], float]]:
    if isinstance(value, float):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _floats(item, (*path, str(key)))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _floats(item, (*path, str(index)))


def _topic_names(definition: LoopDefinition) -> Iterator[Problem]:
    """Yield event types whose topics Kafka refuses or driftloop uses."""
    taken = dict.fromkeys(declared(), "a topic of driftloop")
    taken |= {name + SUFFIX: f"the dead-letter topic of {name!r}" for name in (*declared(), *definition.events)}
    by_metric = {_metric_name(name): name for name in taken}
    seen: dict[str, str] = {}
    for name in definition.events:
        metric = _metric_name(name)
        if name in taken:
            yield Problem(("events", name), f"is {taken[name]}; choose another name")
        elif metric in by_metric or seen.setdefault(metric, name) != name:
            other = by_metric.get(metric) or seen[metric]
            yield Problem(("events", name), f"Kafka refuses it beside {other!r}: the names differ only in . and _")


def _metric_name(topic: str) -> str:
    return topic.replace(".", "_")
