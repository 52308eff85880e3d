"""Which input a service has not answered yet, according to its topics. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from google.protobuf.message import DecodeError

from driftloop.bus.ports import Record, TopicPartition
from driftloop.contracts.features_pb2 import WatermarkAdvanced as FeaturesAdvanced
from driftloop.contracts.ingestion_pb2 import WatermarkAdvanced
from driftloop.contracts.topics import declared, topic_of
from driftloop.events.envelope import parse_rfc3339
from driftloop.events.probe import is_marked
from driftloop.events.raw_watermark import watermark_ms_of
from driftloop.loop import Loop

_IN_BAND = WatermarkAdvanced.DESCRIPTOR.full_name.encode()
_FEATURES = FeaturesAdvanced.DESCRIPTOR.full_name.encode()


@dataclass(frozen=True)
class InFlight:
    """An unanswered event and its position. ``time_ms``: event time, UTC milliseconds."""

    topic: str
    partition: int
    offset: int
    id: str
    type: str
    time_ms: int

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("topic", "partition", "offset", "id", "type")}


Describe = Callable[[Record], InFlight | None]
"""Returns the event in a record; None if it has none that can be read."""


class Work:
    """Records of a service's input topics that it has not answered."""

    def __init__(self, topics: Iterable[str], describe: Describe) -> None:
        self.topics = frozenset(topics)
        self._describe = describe
        self._open: dict[TopicPartition, list[Record]] = {}

    def add(self, record: Record) -> None:
        """Add a record. Ignore records of other topics, and probes."""
        if record.topic in self.topics and not is_marked(record.headers):
            self._open.setdefault(TopicPartition(record.topic, record.partition), []).append(record)

    def drop_answered(self, watermark_ms: int) -> None:
        """Drop records up to the last watermark that the service has answered."""
        for records in self._open.values():
            done = (at for at, record in enumerate(records) if 0 <= watermark_of(record) <= watermark_ms)
            del records[: max(done, default=-1) + 1]

    def drop_committed(self, positions: Mapping[TopicPartition, int]) -> None:
        """Drop records before the offsets that the service has committed."""
        for partition, records in self._open.items():
            records[:] = [record for record in records if record.offset >= positions.get(partition, 0)]

    def events(self) -> list[InFlight]:
        """Return the remaining events, oldest event time first, then by position; without watermarks."""
        described = (self._describe(record) for records in self._open.values() for record in records)
        return sorted(
            (event for event in described if event is not None),
            key=lambda event: (event.time_ms, event.topic, event.partition, event.offset),
        )


@dataclass
class Answers:
    """How far ingestion and features have reported progress."""

    _in_band: dict[TopicPartition, int] = field(default_factory=dict)
    _features_ms: int = -1

    @property
    def topics(self) -> frozenset[str]:
        """Return the topics with these reports."""
        return frozenset(topic_of(message).name for message in (WatermarkAdvanced, FeaturesAdvanced))

    def process(self, record: Record) -> bool:
        """Process a record; return whether it is such a report."""
        if record.header("ce_type") == _IN_BAND:
            self._in_band[TopicPartition(record.topic, record.partition)] = watermark_of(record)
            return True
        if record.header("ce_type") == _FEATURES:
            watermark_ms = FeaturesAdvanced.FromString(record.value or b"").watermark_ms
            self._features_ms = max(self._features_ms, watermark_ms)
            return True
        return False

    def answered_ms(self, service: str) -> int:
        """Return the watermark up to which a service is done in all partitions; -1 if it reported none."""
        reported = {"ingestion": min(self._in_band.values(), default=-1), "features": self._features_ms}
        return reported.get(service, -1)


def work_of(service: str, loop: Loop) -> Work:
    """Return the input of a service: the declared topics that name it as a consumer, or the loop's raw topics."""
    if service == "ingestion":
        return Work(loop.definition.events, raw_event(loop))
    topics = [name for name, spec in declared().items() if service in spec.consumers]
    return Work(topics, lifecycle_event)


def watermark_of(record: Record) -> int:
    """Return the watermark of a record in a raw topic or in band; -1 if it has none."""
    raw_ms = watermark_ms_of(record)
    if raw_ms is not None:
        return raw_ms
    if record.header("ce_type") == _IN_BAND:
        return WatermarkAdvanced.FromString(record.value or b"").watermark_ms
    return -1


def lifecycle_event(record: Record) -> InFlight | None:
    """Return the event that the CloudEvents headers of a record describe."""
    name, kind, time = (record.header(header) for header in ("ce_id", "ce_type", "ce_time"))
    if not (name and kind and time):
        return None
    return InFlight(
        record.topic, record.partition, record.offset, name.decode(), kind.decode(), parse_rfc3339(time.decode())
    )


def raw_event(loop: Loop) -> Describe:
    """Return a reader of the loop's raw events: id and time are the defined fields, the type is the topic."""

    def describe(record: Record) -> InFlight | None:
        fields = _fields(record, loop)
        event = loop.definition.events[record.topic]
        name, time_ms = fields.get(event.id), fields.get(event.time)
        if not name or not time_ms:
            return None
        return InFlight(record.topic, record.partition, record.offset, str(name), record.topic, int(time_ms))

    return describe


def _fields(record: Record, loop: Loop) -> dict[str, Any]:
    """Return id and time of a raw event, if they can be read."""
    if not record.value:
        return {}
    event = loop.definition.events[record.topic]
    try:
        if record.header("content-type") == b"application/json":
            fields: dict[str, Any] = orjson.loads(record.value)
            return fields
        message = loop.messages[record.topic].FromString(record.value)
    except (DecodeError, orjson.JSONDecodeError):
        return {}
    return {name: getattr(message, name) for name in (event.id, event.time)}
