"""Raw topics, decoded and judged again, row by row, from the rules in ``loop.yaml`` alone.

What ingestion does in columns is done here in the plainest way: one message after the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from driftloop.bus.ports import Record
from driftloop.loop import Loop, to_ms
from driftloop.loop.definition import EventDefinition, FieldRule


@dataclass
class Recount:
    """What should have become of the raw records."""

    accepted: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    """Rows by event type: the message's fields, with None for an absent optional, and the standard columns."""
    invalid: set[str] = field(default_factory=set)
    """``topic/partition/offset`` of records that are dead letters."""
    duplicates: int = 0


def recount(records: Iterable[Record], loop: Loop) -> Recount:
    """Judge records, which come partition by partition in order.

    A duplicate is an accepted event id that comes again; ids are taken to repeat within the duplicate window.
    """
    found = Recount()
    seen: set[str] = set()
    marks: dict[tuple[str, int], int] = {}
    for record in records:
        place = (record.topic, record.partition)
        mark = record.header("driftloop-watermark")
        if not record.value and mark is not None:
            marks[place] = max(marks.get(place, -1), int(mark))
            continue
        event = loop.definition.events[record.topic]
        row = _valid(record, event, loop, marks.get(place))
        if row is None:
            found.invalid.add(f"{record.topic}/{record.partition}/{record.offset}")
        elif row["event_id"] in seen:
            found.duplicates += 1
        else:
            seen.add(row["event_id"])
            found.accepted[record.topic].append(row)
    return found


def _valid(record: Record, event: EventDefinition, loop: Loop, mark_ms: int | None) -> dict[str, Any] | None:
    time = loop.definition.time
    if record.value is None or len(record.value) > time.max_record_bytes:
        return None
    fields = _fields(record, loop.messages[record.topic])
    if fields is None or not fields[event.id] or not fields[event.key] or not fields[event.time]:
        return None
    if mark_ms is not None and fields[event.time] > mark_ms + to_ms(time.max_advance):
        return None
    if any(_broken(rule, fields.get(name)) for name, rule in event.rules.items()):
        return None
    standard = {
        "event_id": fields[event.id],
        "event_time_ms": int(fields[event.time]),
        "arrival_watermark_ms": -(2**63) if mark_ms is None else mark_ms,
        "source_partition": record.partition,
        "source_offset": record.offset,
    }
    return {**fields, **standard}


def _fields(record: Record, message: type[Message]) -> dict[str, Any] | None:
    value = record.value or b""
    kind = record.header("content-type")
    try:
        if kind == b"application/json" or (kind is None and value.lstrip()[:1] == b"{"):
            parsed = json_format.Parse(value.decode(), message())
        else:
            parsed = message.FromString(value)
    except (DecodeError, json_format.ParseError, UnicodeDecodeError):
        return None
    return {each.name: _value(parsed, each) for each in message.DESCRIPTOR.fields}


def _value(parsed: Message, each: Any) -> Any:
    return None if each.has_presence and not parsed.HasField(each.name) else getattr(parsed, each.name)


def _broken(rule: FieldRule, value: Any) -> bool:
    if value is None or value == "":
        return rule.required
    if isinstance(value, str):
        too_long = rule.max_length is not None and len(value) > rule.max_length
        return too_long or (rule.enum is not None and value not in rule.enum)
    return (rule.min is not None and value < rule.min) or (rule.max is not None and value > rule.max)


def of_topics(records: Iterable[Record], topics: Iterable[str]) -> Iterator[Record]:
    """Records of some topics, partition by partition in order of offset."""
    wanted = set(topics)
    chosen = [record for record in records if record.topic in wanted]
    yield from sorted(chosen, key=lambda record: (record.topic, record.partition, record.offset))
