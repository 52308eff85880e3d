"""Watermarks that a person writes to the raw topics of a loop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from driftloop.bus.ports import BatchProducer, Outgoing
from driftloop.events.raw_watermark import DERIVE, WATERMARK_HEADER
from driftloop.loop import Loop, to_ms
from driftloop.process.errors import ConfigError
from driftloop.readmodel.event_text import day

WHO_HEADER, WHY_HEADER = "driftloop-who", "driftloop-why"


@dataclass(frozen=True)
class Asked:
    """What a person asked for. ``at_ms`` is None if watermarks are to be derived from event times again."""

    topics: Sequence[str]
    at_ms: int | None
    who: str
    why: str

    def record(self, topic: str, partition: int) -> Outgoing:
        """Return the record for one partition."""
        value = DERIVE if self.at_ms is None else str(self.at_ms).encode()
        headers = ((WATERMARK_HEADER, value), (WHO_HEADER, self.who.encode()), (WHY_HEADER, self.why.encode()))
        return Outgoing(topic, None, None, headers, partition)


def check_asked(asked: Asked, loop: Loop, now_ms: int) -> None:
    """Return if ingestion would accept the watermarks.

    Raises:
        ConfigError: a topic is not one of the loop's, or the time is later than ingestion accepts.
    """
    for topic in asked.topics:
        if topic not in loop.definition.events:
            raise ConfigError(f"{topic!r} is not a topic of {loop.name}; use {', '.join(loop.definition.events)}")
    latest_ms = now_ms + to_ms(loop.definition.time.max_advance)
    if asked.at_ms is not None and not 0 <= asked.at_ms <= latest_ms:
        raise ConfigError(
            f"{day(asked.at_ms)} is not between 1970 and {day(latest_ms)}, `time.max_advance` after the clock of this "
            "machine: ingestion refuses such a watermark"
        )


def write_watermarks(asked: Asked, producer: BatchProducer) -> dict[str, int]:
    """Write a watermark to every partition of the topics; return the number of partitions by topic.

    Raises:
        UndeclaredTopic: the broker lacks a topic.
        Retriable: the broker did not acknowledge; the call can be repeated.
    """
    partitions = {topic: producer.partitions(topic) for topic in asked.topics}
    producer.send([asked.record(topic, number) for topic, count in partitions.items() for number in range(count)])
    producer.flush()
    return partitions
