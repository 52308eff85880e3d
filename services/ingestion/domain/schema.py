"""The schema of an event type, from the message's descriptor and the loop's definition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from driftloop.loop.definition import EventDefinition, FieldRule
from driftloop.process.errors import LoopDefinitionError

Where = Callable[..., str]
"""Maps the path of a key of loop.yaml to ``file:line``."""

STANDARD = pa.schema(
    [
        ("event_id", pa.string()),
        ("event_time_ms", pa.int64()),
        ("arrival_watermark_ms", pa.int64()),
        ("source_topic", pa.string()),
        ("source_partition", pa.int32()),
        ("source_offset", pa.int64()),
    ]
)
"""Columns that every accepted row begins with."""

_TYPES = {
    FieldDescriptor.TYPE_DOUBLE: pa.float64(),
    FieldDescriptor.TYPE_FLOAT: pa.float32(),
    FieldDescriptor.TYPE_INT32: pa.int32(),
    FieldDescriptor.TYPE_SINT32: pa.int32(),
    FieldDescriptor.TYPE_SFIXED32: pa.int32(),
    FieldDescriptor.TYPE_UINT32: pa.int64(),  # Delta has no unsigned types
    FieldDescriptor.TYPE_FIXED32: pa.int64(),
    FieldDescriptor.TYPE_INT64: pa.int64(),
    FieldDescriptor.TYPE_SINT64: pa.int64(),
    FieldDescriptor.TYPE_SFIXED64: pa.int64(),
    FieldDescriptor.TYPE_BOOL: pa.bool_(),
    FieldDescriptor.TYPE_STRING: pa.string(),
}
_NO_RULE = FieldRule()
_UNSIGNED = {FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_FIXED32}


@dataclass(frozen=True, slots=True)
class Column:
    """A field of the message. ``default`` replaces an absent value; None for ``optional`` fields."""

    name: str
    type: pa.DataType
    default: str | int | float | bool | None
    unsigned: bool = False

    @property
    def optional(self) -> bool:
        """Return whether an absent value is null."""
        return self.default is None

    @property
    def is_string(self) -> bool:
        return bool(pa.types.is_string(self.type))


@dataclass(frozen=True)
class EventSchema:
    """One event type of a loop. ``columns`` in the order of the message's field numbers."""

    event_type: str
    message: type[Message]
    id: str
    key: str
    time: str
    columns: tuple[Column, ...]
    rules: Mapping[str, FieldRule]
    refuse_unknown: bool = False
    """Whether a record with a field that the message lacks is refused."""

    @cached_property
    def fields(self) -> pa.Schema:
        """The message's fields, as decoded."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    @cached_property
    def by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    def rule(self, column: str) -> FieldRule:
        """Return the rule of a column of the message or of `derive`."""
        return self.rules.get(column, _NO_RULE)

    @cached_property
    def own(self) -> tuple[str, ...]:
        """Return fields that accepted rows have beside the standard columns, which already hold id and time."""
        return tuple(column.name for column in self.columns if column.name not in STANDARD.names)


def read_schema(event_type: str, event: EventDefinition, message: type[Message], where: Where) -> EventSchema:
    """Return the schema of an event type.

    Raises:
        LoopDefinitionError: a field's type has no column, or the definition names a wrong field or rule.
    """
    descriptor: Any = message.DESCRIPTOR  # of either implementation of protobuf
    problems = [*_field_problems(event_type, descriptor, where), *_role_problems(event_type, event, descriptor, where)]
    problems += _rule_problems(event_type, event, descriptor, where)
    if problems:
        raise LoopDefinitionError(problems)
    columns = tuple(_column(field) for field in descriptor.fields)
    refuse_unknown = event.unknown_fields == "refuse"
    return EventSchema(event_type, message, event.id, event.key, event.time, columns, event.rules, refuse_unknown)


def field_types(message: type[Message]) -> dict[str, pa.DataType]:
    """Return the type of each field that has a column."""
    descriptor: Any = message.DESCRIPTOR
    return {field.name: _TYPES[field.type] for field in descriptor.fields if _has_column(field)}


def _has_column(field: FieldDescriptor) -> bool:
    return not field.is_repeated and field.type in _TYPES


def _column(field: FieldDescriptor) -> Column:
    default = None if field.has_presence else field.default_value
    return Column(field.name, _TYPES[field.type], default, field.type in _UNSIGNED)


def _field_problems(event_type: str, descriptor: Descriptor, where: Where) -> list[str]:
    odd = [field.name for field in descriptor.fields if not _has_column(field)]
    kinds = "a field here is a number up to 64 bits, signed, a bool or a string"
    return [f"{where('events', event_type)}: {descriptor.full_name}.{name} has no column; {kinds}" for name in odd]


def _role_problems(event_type: str, event: EventDefinition, descriptor: Descriptor, where: Where) -> list[str]:
    known = descriptor.fields_by_name
    roles = {"id": event.id, "key": event.key, "time": event.time}
    problems = [
        f"{where('events', event_type, role)}: {role} names {field!r}, which {descriptor.full_name} does not have"
        for role, field in roles.items()
        if field not in known
    ]
    if event.time in known and known[event.time].type != FieldDescriptor.TYPE_INT64:
        location = where("events", event_type, "time")
        problems.append(f"{location}: {event.time!r} must be int64 milliseconds since the epoch")
    allowed = {"event_id": event.id, "event_time_ms": event.time}
    clashes = [name for name in STANDARD.names if name in known and allowed.get(name) != name]
    location = where("events", event_type)
    return problems + [f"{location}: the field {name!r} has the name of a standard column" for name in clashes]


def _rule_problems(event_type: str, event: EventDefinition, descriptor: Descriptor, where: Where) -> list[str]:
    problems = []
    for name, rule in event.rules.items():
        field, location = descriptor.fields_by_name.get(name), where("events", event_type, "rules", name)
        if name in event.derive:
            if rule != FieldRule(allow_non_finite=rule.allow_non_finite):
                text = f"rules: {name!r} is a column of `derive`, for which only allow_non_finite is possible"
                problems.append(f"{location}: {text}")
        elif field is None:
            problems.append(f"{location}: rules: {descriptor.full_name} has no field {name!r}")
        elif misfit := _misfit(rule, field.type):
            problems.append(f"{location}: {misfit} does not fit {name!r}, for its type")
    return problems


def _misfit(rule: FieldRule, kind: int) -> str | None:
    given: dict[str, Any] = rule.model_dump(exclude_none=True, exclude_defaults=True, exclude={"required"})
    fitting = {"min", "max"}
    if kind == FieldDescriptor.TYPE_STRING:
        fitting = {"enum", "max_length"}
    elif kind == FieldDescriptor.TYPE_BOOL:
        fitting = set()
    elif kind in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FLOAT):
        fitting = {"min", "max", "allow_non_finite"}
    return next((name for name in given if name not in fitting), None)
