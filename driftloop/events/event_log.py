"""Read the events of topics from beginning to end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from driftloop.bus.kafka_batch import KafkaBatchConsumer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import BatchConsumer, Record, TopicPartition
from driftloop.contracts.topics import declared, message_class, topic
from driftloop.events.envelope import Envelope, from_record
from driftloop.process import log
from driftloop.process.errors import InvalidEvent, Retriable

LIFECYCLE = tuple(name for name in declared() if topic(name).retention == "forever")
"""Topics of lifecycle events: low rate, kept without limit."""

_QUIET_POLLS = 100


def records(consumer: BatchConsumer, poll_s: float = 0.1) -> Iterator[Record]:
    """Yield the records from the consumer's position to the current end of each partition.

    ``poll_s``: how long one poll waits for records; after 100 empty polls the broker counts as silent.

    Raises:
        Retriable: the broker stopped answering before the end.
    """
    ends = {tp: end for tp, end in consumer.end_offsets().items() if end > 0}
    quiet = 0
    while ends and quiet < _QUIET_POLLS:
        batch = consumer.poll(2000, poll_s)
        quiet = 0 if batch else quiet + 1
        for record in batch:
            partition = TopicPartition(record.topic, record.partition)
            if partition in ends and record.offset < ends[partition]:
                yield record
                if record.offset + 1 == ends[partition]:
                    del ends[partition]
    if ends:
        raise Retriable(f"the broker stopped answering before the end of {len(ends)} partitions")


def read_topics(kafka: KafkaSettings, topics: Sequence[str]) -> Iterator[Record]:
    """Yield all records of topics, from their beginning to their current end. Raises as `records` does.

    Raises:
        UndeclaredTopic: a topic does not exist on the broker.
    """
    consumer = KafkaBatchConsumer(kafka, topics, "history")
    try:
        yield from records(consumer)
    finally:
        consumer.close()


def read_events(kafka: KafkaSettings, topics: Sequence[str] = LIFECYCLE) -> list[Envelope[Any]]:
    """Return the distinct events of declared topics, in order of publication (wall time, then id).

    A record that cannot be read is logged and passed over: one such record must not hide all others.
    """
    return distinct_events(readable(read_topics(kafka, topics)))


def readable(records: Iterable[Record]) -> Iterator[Envelope[Any]]:
    """Yield the events of records; log the records that cannot be read."""
    for record in records:
        try:
            yield decode(record)
        except InvalidEvent as error:
            position = f"{record.topic}/{record.partition}/{record.offset}"
            log.get(__name__).warning("record-unreadable", position=position, problem=str(error))


def distinct_events(events: Iterable[Envelope[Any]]) -> list[Envelope[Any]]:
    """Return events by wall time, then id. Of events with the same id (an outbox may send twice), keep the first."""
    by_id: dict[str, Envelope[Any]] = {}
    for event in events:
        by_id.setdefault(event.id, event)
    return sorted(by_id.values(), key=lambda event: (event.wall_time_ms, event.id))


def decode(record: Record) -> Envelope[Any]:
    """Decode the event in a record of a declared topic."""
    return from_record(record, [message_class(name) for name in topic(record.topic).messages])
