"""Decodes and validates the raw topics a second time, row by row, from the rules in ``loop.yaml`` alone.

Ingestion works in columns; this is the simplest way: one message after the other.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message

from driftloop.bus.ports import Record
from driftloop.bus.unreadable import unreadable
from driftloop.events.probe import is_probe
from driftloop.events.raw_watermark import watermark_ms_of, watermark_text
from driftloop.loop import Loop, to_ms
from driftloop.loop.definition import EventDefinition, FieldRule, LabelDefinition

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_UINT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_UINT64,
}
_MAX_OUTCOME = 1e100


@dataclass
class Recount:
    """The expected result for the raw records."""

    accepted: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """Rows by event type: the message's fields, with None for an absent optional, and the standard columns."""
    invalid: set[str] = field(default_factory=set)
    """``topic/partition/offset`` of records that must be dead letters."""
    duplicates: int = 0
    _tables: dict[str, pa.Table] = field(default_factory=dict)

    def table(self, event_type: str) -> pa.Table:
        """Return the accepted rows of an event type in columns, cached."""
        if event_type not in self._tables:
            self._tables[event_type] = pa.Table.from_pylist(self.accepted[event_type])
        return self._tables[event_type]


def recount(records: Iterable[Record], loop: Loop, probe_secret: str) -> Recount:
    """Validate records, sorted by partition and offset.

    Skips probes of this system. A duplicate is an accepted event id that comes again; assumes that ids repeat only
    within the duplicate window.
    """
    expected = Recount()
    seen: set[str] = set()
    watermarks: dict[tuple[str, int], int] = {}
    validators = {name: _Validator(event, loop.messages[name], loop) for name, event in loop.definition.events.items()}
    for record in records:
        if is_probe(record, probe_secret):
            continue
        partition = (record.topic, record.partition)
        if watermark_text(record) is not None:
            watermark_ms = watermark_ms_of(record)
            if watermark_ms is None:
                watermarks.pop(partition, None)
            else:
                watermarks[partition] = max(watermarks.get(partition, -1), watermark_ms)
            continue
        row = validators[record.topic].validate(record, watermarks.get(partition))
        if row is None:
            expected.invalid.add(f"{record.topic}/{record.partition}/{record.offset}")
        elif row["event_id"] in seen:
            expected.duplicates += 1
        else:
            seen.add(row["event_id"])
            expected.accepted[record.topic].append(row)
    return expected


class _Validator:
    """Validates the records of one event type."""

    def __init__(self, event: EventDefinition, message: type[Message], loop: Loop) -> None:
        self._event = event
        self._message = message
        label = loop.definition.label
        self._label = label if loop.definition.events[label.source] is event else None
        self._time = loop.definition.time
        self._max_advance_ms = to_ms(loop.definition.time.max_advance)
        self._fields = [field.name for field in message.DESCRIPTOR.fields]
        self._integers = [field.name for field in message.DESCRIPTOR.fields if field.cpp_type in _INTEGERS]
        self._optional = [field.name for field in message.DESCRIPTOR.fields if field.has_presence]

    def validate(self, record: Record, mark_ms: int | None) -> dict[str, Any] | None:
        """Return its row; None if the rules refuse it. ``mark_ms``: its partition's newest watermark before it."""
        if unreadable(record) is not None:
            return None
        if record.value is None or len(record.value) > self._time.max_record_bytes:
            return None
        event, row = self._event, self._decoded(record)
        if row is None or not row[event.id] or not row[event.key] or not row[event.time]:
            return None
        if mark_ms is not None and row[event.time] > mark_ms + self._max_advance_ms:
            return None
        if any(_breaks_rule(event.rules.get(name, FieldRule()), row.get(name)) for name in self._fields):
            return None
        if self._label is not None and _is_invalid_outcome(self._label, row.get(self._label.value)):
            return None
        standard = {
            "event_id": row[event.id],
            "event_time_ms": int(row[event.time]),
            "arrival_watermark_ms": -(2**63) if mark_ms is None else mark_ms,
            "source_partition": record.partition,
            "source_offset": record.offset,
        }
        return {**row, **standard}

    def _decoded(self, record: Record) -> dict[str, Any] | None:
        value = record.value or b""
        kind = record.header("content-type")
        try:
            if kind == b"application/json" or (kind is None and value.lstrip()[:1] == b"{"):
                text, ignore = value.decode(), self._event.unknown_fields == "ignore"
                parsed = json_format.Parse(text, self._message(), ignore_unknown_fields=ignore)
                fields = json.loads(text, parse_float=Decimal)
                if not all(_is_exact(fields.get(name, 0)) for name in self._integers):
                    return None
            else:
                parsed = self._message.FromString(value)
        except (DecodeError, json_format.ParseError, UnicodeDecodeError):
            return None
        row = {name: getattr(parsed, name) for name in self._fields}
        row.update((name, None) for name in self._optional if not parsed.HasField(name))
        return row


def _is_exact(value: Any) -> bool:
    """Return whether the JSON value of an integer field loses nothing: digits, or a number up to 2^53."""
    if isinstance(value, str):
        return value.removeprefix("-").isdecimal()
    return not isinstance(value, Decimal) or (abs(value) <= 2**53 and value == value.to_integral_value())


def _breaks_rule(rule: FieldRule, value: Any) -> bool:
    if value is None or value == "":
        return rule.required
    if isinstance(value, str):
        too_long = rule.max_length is not None and len(value) > rule.max_length
        return too_long or (rule.enum is not None and value not in rule.enum)
    if not rule.allow_non_finite and not math.isfinite(value):
        return True
    return (rule.min is not None and not value >= rule.min) or (rule.max is not None and not value <= rule.max)


def _is_invalid_outcome(label: LabelDefinition, value: Any) -> bool:
    """Return whether an outcome is present and not a value of the label. A derived outcome is not checked here."""
    if value is None or value == "":
        return False
    if label.classes:
        return value not in label.classes if isinstance(value, str) else not 0 <= value < len(label.classes)
    if label.kind == "binary":
        return value not in (0, 1)
    return not abs(value) <= _MAX_OUTCOME or (label.kind == "count" and (value < 0 or value != int(value)))


def records_of_topics(records: Iterable[Record], topics: Iterable[str]) -> Iterator[Record]:
    """Yield records of some topics, sorted by partition and offset."""
    wanted = set(topics)
    chosen = [record for record in records if record.topic in wanted]
    yield from sorted(chosen, key=lambda record: (record.topic, record.partition, record.offset))
