"""Everything that happened so far, read from the topics once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from driftloop.bus.kafka_batch import KafkaBatchConsumer
from driftloop.bus.ports import BatchConsumer, Record, TopicPartition
from driftloop.contracts.topics import declared, message_class, topic
from driftloop.events.envelope import Envelope, from_record
from driftloop.process.errors import Retriable

LIFECYCLE = tuple(name for name in declared() if topic(name).retention == "forever")
"""Topics of the lifecycle: low-rate facts that are kept without limit."""

_QUIET_POLLS = 100
_POLL_S = 0.1


def records(consumer: BatchConsumer) -> Iterator[Record]:
    """Every record from where the consumer stands to where the partitions end now.

    Raises:
        Retriable: the broker stopped answering before the end.
    """
    ends = {tp: end for tp, end in consumer.end_offsets().items() if end > 0}
    quiet = 0
    while ends and quiet < _QUIET_POLLS:
        found = consumer.poll(2000, _POLL_S)
        quiet = 0 if found else quiet + 1
        for record in found:
            place = TopicPartition(record.topic, record.partition)
            if place in ends and record.offset < ends[place]:
                yield record
                if record.offset + 1 == ends[place]:
                    del ends[place]
    if ends:
        raise Retriable(f"the broker did not give {len(ends)} partitions to their end")


def read_topics(bootstrap: str, topics: Sequence[str]) -> Iterator[Record]:
    """Every record of some topics, from their beginning to where they end now; raises as `records` does.

    Raises:
        UndeclaredTopic: the broker lacks one.
    """
    consumer = KafkaBatchConsumer(bootstrap, topics, "history")
    try:
        yield from records(consumer)
    finally:
        consumer.close()


def read_events(bootstrap: str, topics: Sequence[str] = LIFECYCLE) -> list[Envelope[Any]]:
    """All events of some declared topics, each once, in the order in which they were published (wall time, then id)."""
    return each_once(decode(record) for record in read_topics(bootstrap, topics))


def each_once(events: Iterable[Envelope[Any]]) -> list[Envelope[Any]]:
    """Events by wall time, then id. One that was delivered again, as an outbox may do, is told as it first came."""
    found: dict[str, Envelope[Any]] = {}
    for event in events:
        found.setdefault(event.id, event)
    return sorted(found.values(), key=lambda event: (event.wall_time_ms, event.id))


def decode(record: Record) -> Envelope[Any]:
    """The event that a record of a declared topic carries."""
    return from_record(record, [message_class(name) for name in topic(record.topic).messages])
