"""Turns a loop's definition into what its pipeline needs, and reports problems with their lines."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa
from google.protobuf import descriptor_pb2
from google.protobuf.message import Message

from driftloop.featurestore.lake import LakeTable
from driftloop.loop import Loop
from driftloop.loop.definition import LoopDefinition, TimeRules
from driftloop.process.errors import LoopDefinitionError
from driftloop.process.object_store import Folder
from services.ingestion.domain.fanout import OutcomeColumns
from services.ingestion.domain.schema import STANDARD, EventSchema, Where, read_schema
from services.ingestion.pipeline import Feeds
from services.ingestion.ports import Derive

_KEEP = "keep the column as it was; what changes needs a new column or event type"
_KEYS = ("string", "int32", "int64")
_VALUES = ("bool", "int32", "int64", "float", "double")
_CLASSES = ("string", "int32", "int64")


class MakeDerive(Protocol):
    """Prepares expressions under a name."""

    def __call__(self, name: str, schema: EventSchema, derive: Mapping[str, str], where: Where) -> Derive:
        """Raise LoopDefinitionError if an expression is wrong."""
        ...


@dataclass(frozen=True)
class CompiledLoop:
    """A checked loop. ``schemas`` and ``derives`` by event type."""

    name: str
    schemas: Mapping[str, EventSchema]
    derives: Mapping[str, Derive]
    feeds: Feeds
    time: TimeRules
    digests: Mapping[str, str]
    """Changes whenever something changes that decides which records of an event type are refused."""


def compile_loop(loop: Loop, make_derive: MakeDerive) -> CompiledLoop:
    """Check a loop against its messages.

    Raises:
        LoopDefinitionError: all problems of its events, as ``file:line: what``.
    """
    where = loop.line_of
    problems: list[str] = []
    schemas: dict[str, EventSchema] = {}
    derives: dict[str, Derive] = {}
    columns: dict[str, dict[str, pa.DataType]] = {}
    for name, event in loop.definition.events.items():
        try:
            schemas[name] = schema = read_schema(name, event, loop.messages[name], where)
            columns[name] = {**_types(STANDARD), **_types(schema.fields)}
            if event.derive:
                derives[name] = make_derive(f"{loop.name} {name}", schema, event.derive, where)
                columns[name] |= _types(derives[name].schema)
        except LoopDefinitionError as error:
            problems += error.problems
            columns.pop(name, None)  # checked once its own problems are fixed
    problems += _feed_problems(loop.definition, columns, where)
    if problems:
        raise LoopDefinitionError(problems)
    digests = {name: _digest(loop.definition, name, loop.messages[name]) for name in schemas}
    return CompiledLoop(loop.name, schemas, derives, _feeds(loop.definition), loop.definition.time, digests)


def lake_problems(loop: Loop, compiled: CompiledLoop, events: Folder) -> list[str]:
    """Return where a loop's events no longer fit the rows in the lake, as ``file:line: what``.

    ``events`` has the loop's event tables. A new column is added to its table. A column that is gone or has another
    type would make training mix two meanings.
    """
    problems = []
    for event_type, schema in compiled.schemas.items():
        table = LakeTable(events / event_type)
        derived = compiled.derives[event_type].schema if event_type in compiled.derives else ()
        columns = pa.schema([*STANDARD, *(schema.fields.field(name) for name in schema.own), *derived])
        gone = [name for name in table.columns() if name not in columns.names]
        found = table.conflicts(columns)
        found |= {name: f"column {name!r} is in the lake, and the event no longer has it" for name in gone}
        for name, problem in found.items():
            line = loop.line_of("events", event_type, "derive", name)
            problems.append(f"{line}: {event_type}: {problem}; {_KEEP}")
    return problems


def _digest(definition: LoopDefinition, event_type: str, message: type[Message]) -> str:
    fields = descriptor_pb2.DescriptorProto()
    message.DESCRIPTOR.CopyToProto(fields)  # type: ignore[no-untyped-call]
    parts = [definition.events[event_type].model_dump_json(), definition.time.model_dump_json()]
    parts.append(fields.SerializeToString(deterministic=True).hex())
    if event_type == definition.label.source:
        parts.append(definition.label.model_dump_json())
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _feeds(definition: LoopDefinition) -> Feeds:
    entities = {name: tuple(tuple(sorted(keys)) for keys in event.feeds) for name, event in definition.events.items()}
    label = definition.label
    return Feeds(entities, label.source, OutcomeColumns(label.key, label.value, label.kind, label.classes))


def _feed_problems(
    definition: LoopDefinition, columns: Mapping[str, Mapping[str, pa.DataType]], where: Where
) -> list[str]:
    problems = []
    for name, known in columns.items():
        keys = sorted({key for feed in definition.events[name].feeds for key in feed})
        problems += _misused(where("events", name, "feeds"), "feeds", keys, known, _KEYS)
    label = definition.label
    if label.source in columns:
        outcome = columns[label.source]
        problems += _misused(where("label", "key"), "label.key", [label.key], outcome, _KEYS)
        kinds = _CLASSES if label.classes else _VALUES
        problems += _misused(where("label", "value"), "label.value", [label.value], outcome, kinds)
        problems += _class_problems(definition, where)
    return problems


def _class_problems(definition: LoopDefinition, where: Where) -> list[str]:
    """Return values that the event's rules accept and the label does not; each would become a dead letter."""
    label = definition.label
    rule = definition.events[label.source].rules.get(label.value)
    if not label.classes or rule is None or rule.enum is None:
        return []
    location = where("label", "classes")
    return [
        f"{location}: label.classes lacks {value!r}, which the rules of {label.value!r} list"
        for value in rule.enum
        if value not in label.classes
    ]


def _misused(
    location: str, role: str, names: list[str], known: Mapping[str, pa.DataType], kinds: tuple[str, ...]
) -> list[str]:
    problems = []
    for name in names:
        if name not in known:
            problems.append(f"{location}: {role} names {name!r}, which is no column of the event")
        elif str(known[name]) not in kinds:
            problems.append(f"{location}: {role}: {name!r} is {known[name]}; it must be one of {', '.join(kinds)}")
    return problems


def _types(schema: pa.Schema) -> dict[str, pa.DataType]:
    return {field.name: field.type for field in schema}
