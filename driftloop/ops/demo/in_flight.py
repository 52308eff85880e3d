"""What a service was given and has not answered yet, as its topics tell. Pure."""

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
from driftloop.events.probe import is_probe
from driftloop.loop import Loop
from driftloop.ops.replay.encode import WATERMARK_HEADER

_IN_BAND = WatermarkAdvanced.DESCRIPTOR.full_name.encode()
_FEATURES = FeaturesAdvanced.DESCRIPTOR.full_name.encode()


@dataclass(frozen=True)
class InFlight:
    """An event that was not answered, and where it stands. ``time_ms``: event time, UTC milliseconds."""

    topic: str
    partition: int
    offset: int
    id: str
    type: str
    time_ms: int

    def to_json(self) -> dict[str, Any]:
        """As the report shows it."""
        return {name: getattr(self, name) for name in ("topic", "partition", "offset", "id", "type")}


Describe = Callable[[Record], InFlight | None]
"""The event that a record holds; None where it holds none that can be read."""


class Work:
    """Records of a service's input topics, from which those are dropped that it has answered."""

    def __init__(self, topics: Iterable[str], describe: Describe) -> None:
        self.topics = frozenset(topics)
        self._describe = describe
        self._open: dict[TopicPartition, list[Record]] = {}

    def see(self, record: Record) -> None:
        """Add a record. Ignore records of other topics, and probes."""
        if record.topic in self.topics and not is_probe(record.headers):
            self._open.setdefault(TopicPartition(record.topic, record.partition), []).append(record)

    def answered(self, watermark_ms: int) -> None:
        """The service has said that it is done up to a watermark: so it is with all that stands before its mark."""
        for held in self._open.values():
            done = (at for at, record in enumerate(held) if 0 <= mark(record) <= watermark_ms)
            del held[: max(done, default=-1) + 1]

    def committed(self, positions: Mapping[TopicPartition, int]) -> None:
        """The service has committed these offsets: it is done with all before them."""
        for place, held in self._open.items():
            held[:] = [record for record in held if record.offset >= positions.get(place, 0)]

    def events(self) -> list[InFlight]:
        """What is left, marks without an event aside: the oldest of event time first, then by place."""
        found = (self._describe(record) for held in self._open.values() for record in held)
        return sorted(
            (each for each in found if each is not None),
            key=lambda each: (each.time_ms, each.topic, each.partition, each.offset),
        )


@dataclass
class Answers:
    """How far ingestion and features say that they have come."""

    _in_band: dict[TopicPartition, int] = field(default_factory=dict)
    _features_ms: int = -1

    @property
    def topics(self) -> frozenset[str]:
        """Where they say it."""
        return frozenset(topic_of(message).name for message in (WatermarkAdvanced, FeaturesAdvanced))

    def see(self, record: Record) -> bool:
        """Take note of a record; whether it is such an answer."""
        if record.header("ce_type") == _IN_BAND:
            self._in_band[TopicPartition(record.topic, record.partition)] = mark(record)
            return True
        if record.header("ce_type") == _FEATURES:
            told_ms = FeaturesAdvanced.FromString(record.value or b"").watermark_ms
            self._features_ms = max(self._features_ms, told_ms)
            return True
        return False

    def of(self, service: str) -> int:
        """The watermark up to which a service is done in all partitions; -1 where it has said nothing of the kind."""
        told = {"ingestion": min(self._in_band.values(), default=-1), "features": self._features_ms}
        return told.get(service, -1)


def work_of(service: str, loop: Loop) -> Work:
    """What a service is given: raw topics of the loop, or the declared topics that name it as a consumer."""
    topics = [name for name, each in declared().items() if service in each.consumers]
    return Work(topics, lifecycle_event) if topics else Work(loop.definition.events, raw_event(loop))


def mark(record: Record) -> int:
    """The watermark that a record carries, in a raw topic or in band; -1 where it carries none."""
    raw = None if record.value else record.header(WATERMARK_HEADER)
    if raw is not None:
        return int(raw)
    if record.header("ce_type") == _IN_BAND:
        return WatermarkAdvanced.FromString(record.value or b"").watermark_ms
    return -1


def lifecycle_event(record: Record) -> InFlight | None:
    """What the CloudEvents headers of a record say."""
    name, kind, time = (record.header(header) for header in ("ce_id", "ce_type", "ce_time"))
    if not (name and kind and time):
        return None
    return InFlight(
        record.topic, record.partition, record.offset, name.decode(), kind.decode(), parse_rfc3339(time.decode())
    )


def raw_event(loop: Loop) -> Describe:
    """Reads the raw events of a loop: id and time are the fields that its definition names, the type is the topic."""

    def describe(record: Record) -> InFlight | None:
        fields = _fields(record, loop)
        event = loop.definition.events[record.topic]
        name, time_ms = fields.get(event.id), fields.get(event.time)
        if not name or not time_ms:
            return None
        return InFlight(record.topic, record.partition, record.offset, str(name), record.topic, int(time_ms))

    return describe


def _fields(record: Record, loop: Loop) -> dict[str, Any]:
    """Id and time of a raw event, where they can be read."""
    if not record.value:
        return {}
    event = loop.definition.events[record.topic]
    try:
        if record.header("content-type") == b"application/json":
            found: dict[str, Any] = orjson.loads(record.value)
            return found
        message = loop.messages[record.topic].FromString(record.value)
    except (DecodeError, orjson.JSONDecodeError):
        return {}
    return {name: getattr(message, name) for name in (event.id, event.time)}
