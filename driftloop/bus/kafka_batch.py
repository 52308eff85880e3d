"""Kafka in batches, on confluent-kafka, for the services that move rows."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from operator import methodcaller
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer
from confluent_kafka import TopicPartition as Position
from confluent_kafka.admin import AdminClient

from driftloop.bus.admin import wait_for_topics
from driftloop.bus.batch_range import BatchRange, read_batch_range
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.offsets import Offsets
from driftloop.bus.ports import Outgoing, Record, RecordsRefused, TopicPartition
from driftloop.bus.topic_watch import TopicWatch, describe_topics
from driftloop.bus.transient import call_with_retry, is_permanent, is_transient
from driftloop.bus.unreadable import NAME_NOT_UTF8, unreadable_batch
from driftloop.process.errors import Retriable, TopicChanged, UndeclaredTopic

_METADATA_TIMEOUT_S = 10.0
_DESCRIBE_TIMEOUT_S = 10.0
_UNREADABLE = frozenset({KafkaError._BAD_COMPRESSION, KafkaError._BAD_MSG})
"""Errors of a batch: the library reports it again and again and does not read on."""


class KafkaBatchConsumer:
    """`driftloop.bus.ports.BatchConsumer` over Kafka.

    Reads all partitions of its topics itself, without rebalancing. The services that use it keep state by partition,
    and one process owns all partitions. The group stores committed offsets only.

    ``linger_s``: a poll that has a record continues until no record arrives for this long, at most ten times this long.
    A producer's batch arrives in several fetches, and one more batch costs its reader more than one more record.

    ``absent``: topics that are not read because the broker lacks them. A poll raises once it has one of them.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: Sequence[str],
        group: str,
        *,
        newest: bool = False,
        linger_s: float = 0.0,
        absent: Sequence[str] = (),
    ) -> None:
        self._kafka, self._linger_s = kafka, linger_s
        self._paused: frozenset[str] = frozenset()
        self._skipped: dict[TopicPartition, BatchRange] = {}
        wait_for_topics(kafka, topics)
        self._consumer = Consumer(kafka.batch_consumer(group))
        full_names = {topic: kafka.full_name(topic) for topic in topics}
        counts = {topic: _partitions(self._consumer, name) for topic, name in full_names.items()}
        partitions = [TopicPartition(topic, p) for topic in topics for p in range(counts[topic])]
        self._offsets = Offsets(kafka)
        client = AdminClient(kafka.admin())  # one for all checks
        describe = partial(describe_topics, kafka, client, [*topics, *absent], _DESCRIBE_TIMEOUT_S)
        self._watch = TopicWatch(describe, absent=absent)
        if newest:
            self._next = self._offsets.ends(partitions)
        else:
            self._next = self._offsets.first(partitions)
            self._next |= self._existing(self._offsets.committed(group, partitions))
        self._assign()

    def _assign(self) -> None:
        read = {tp: offset for tp, offset in self._next.items() if tp.topic not in self._paused}
        self._consumer.assign(self._positions(read))

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        self._watch.check()
        first = self._consumer.poll(timeout_s)
        if first is None:
            return []
        messages = [first, *self._lingering(max_records - 1)]
        records: list[Record] = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(self._advance(record_of(message, self._kafka.prefix)))
            elif error.code() in _UNREADABLE:
                records += self._skip_batch(message)
            else:
                _raise_unless_transient(message.topic(), error)
        return records

    def _advance(self, record: Record) -> Record:
        partition = TopicPartition(record.topic, record.partition)
        if record.offset < self._next[partition]:
            raise TopicChanged(f"the offsets of {record.topic} begin again; the process restarts")
        self._next[partition] = record.offset + 1
        return record

    def _skip_batch(self, message: Any) -> list[Record]:
        """Continue after a batch that the library cannot decompress; return a record that stands in for it.

        The library reports the batch again until it is told to continue, so the error of a skipped batch is ignored.
        """
        partition = TopicPartition(self._kafka.declared_name(message.topic()), message.partition())
        skipped = self._skipped.get(partition)
        if skipped is not None and skipped.first == message.offset() and skipped.last < self._next[partition]:
            return []
        full_name = self._kafka.full_name(partition.topic)
        batch = read_batch_range(self._kafka.raw_client(), full_name, partition.partition, self._next[partition])
        self._skipped[partition] = batch
        self._consumer.seek(Position(full_name, partition.partition, batch.last + 1))
        header = unreadable_batch(batch.first, batch.last, batch.size, message.error().str())
        return [self._advance(Record(partition.topic, partition.partition, batch.last, None, None, (header,)))]

    def _lingering(self, most: int) -> list[Message]:
        messages: list[Message] = []
        deadline = time.monotonic() + 10 * self._linger_s
        while len(messages) < most:
            more = self._consumer.consume(most - len(messages), self._linger_s)
            messages += more
            if not more or time.monotonic() >= deadline:
                break
        return messages

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._next)

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        self._next.update(self._existing(positions))
        self._assign()

    def _existing(self, positions: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
        """Return the positions; a partition that ends before its position is another one now and is read from 0."""
        ends = self._offsets.ends(positions)
        return {tp: offset if offset <= ends[tp] else 0 for tp, offset in positions.items()}

    def pause(self, topics: Collection[str]) -> None:
        self._paused = frozenset(topics)
        self._assign()

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        if positions:
            offsets = self._positions(positions)
            call_with_retry("commit", lambda: self._consumer.commit(offsets=offsets, asynchronous=False))

    def _positions(self, offsets: Mapping[TopicPartition, int]) -> list[Position]:
        full_name = self._kafka.full_name
        return [Position(full_name(tp.topic), tp.partition, offset) for tp, offset in offsets.items()]

    def end_offsets(self) -> Mapping[TopicPartition, int]:
        return self._offsets.ends(self._next)

    def positions(self) -> Mapping[TopicPartition, int]:
        """Return the next offsets, at least those of the oldest records that the brokers still have."""
        return {tp: max(first, self._next[tp]) for tp, first in self._offsets.first(self._next).items()}

    def topic_ids(self) -> Mapping[str, str]:
        return self._watch.ids()

    def close(self) -> None:
        self._consumer.close()


class KafkaBatchProducer:
    """`driftloop.bus.ports.BatchProducer` over Kafka.

    ``linger_ms``: how long records wait for other records of their partition. A flush ends the wait, so a caller that
    flushes can set it high.
    """

    def __init__(self, kafka: KafkaSettings, *, queue_timeout_s: float = 30.0, linger_ms: int = 1) -> None:
        self._kafka = kafka
        self._producer = Producer(kafka.batch_producer(linger_ms))
        self._queue_timeout_s = queue_timeout_s
        self._failed: list[KafkaError] = []
        self._refused: list[tuple[Outgoing, str]] = []
        self._known: dict[str, int] = {}

    def send(self, records: Sequence[Outgoing]) -> None:
        for record in records:
            self.partitions(record.topic)
            self._queue(record)
        self._producer.poll(0)

    def flush(self, timeout_s: float = 30.0) -> None:
        left = self._producer.flush(timeout_s)
        failed, self._failed = self._failed, []
        refused, self._refused = self._refused, []
        if failed or left:
            raise Retriable(
                f"{left} records not acknowledged within {timeout_s} s; {len(failed)} refused: {failed[:1]}"
            )
        if refused:
            raise RecordsRefused(refused)

    def partitions(self, topic: str) -> int:
        if topic not in self._known:
            self._known[topic] = _partitions(self._producer, self._kafka.full_name(topic))
        return self._known[topic]

    def close(self) -> None:
        try:
            self.flush()
        except (Retriable, RecordsRefused):
            self._producer.purge()  # no caller waits for the result of these
            raise
        finally:
            self._producer.close()  # an open producer keeps searching for its broker until it is garbage-collected

    def _queue(self, record: Outgoing) -> None:
        topic = self._kafka.full_name(record.topic)
        partition: dict[str, Any] = {} if record.partition is None else {"partition": record.partition}
        deadline = time.monotonic() + self._queue_timeout_s
        while True:
            try:
                self._producer.produce(
                    topic, value=record.value, key=record.key, headers=list(record.headers),
                    on_delivery=partial(self._delivered, record), **partition,
                )  # fmt: skip
                return
            except KafkaException as error:
                if not is_permanent(error.args[0]):
                    raise
                self._refused.append((record, error.args[0].str()))
                return
            except BufferError:
                if time.monotonic() > deadline:
                    raise Retriable(f"the local queue stayed full for {self._queue_timeout_s} s") from None
                self._producer.poll(0.05)

    def _delivered(self, record: Outgoing, error: KafkaError | None, _message: Message) -> None:
        if error is not None and is_permanent(error):
            self._refused.append((record, error.str()))
        elif error is not None:
            self._failed.append(error)


def _partitions(client: Consumer | Producer, topic: str) -> int:
    metadata = call_with_retry("metadata", lambda: client.list_topics(topic, timeout=_METADATA_TIMEOUT_S)).topics[topic]
    if metadata.error is not None or not metadata.partitions:
        raise UndeclaredTopic(f"the broker has no topic {topic}")
    return len(metadata.partitions)


def _raise_unless_transient(topic: str | None, error: KafkaError) -> None:
    if error.code() == KafkaError._PARTITION_EOF or is_transient(error):
        return
    if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
        raise TopicChanged(f"the broker no longer has the topic {topic}; `driftloop up` creates it")
    raise KafkaException(error)


_headers_of = methodcaller("headers")
"""Calls the method through C. For a header that it cannot decode, the library returns a broken list and sets an error.
A direct call that the interpreter has specialised may miss the error, and the process then crashes on the list."""


def record_of(message: Any, prefix: str = "") -> Record:
    """Return a message of the library as a record; ``prefix``: what its topic's name starts with at the brokers.

    Kafka does not check header names, and the library can return no header if one name is not UTF-8. The record then
    has only the header `NAME_NOT_UTF8`, and the consumer refuses it.
    """
    try:
        headers = tuple((name, value or b"") for name, value in _headers_of(message) or ())
    except (UnicodeDecodeError, SystemError):  # the library raises a SystemError, caused by the UnicodeDecodeError
        headers = (NAME_NOT_UTF8,)
    topic = message.topic()[len(prefix) :]
    return Record(topic, message.partition(), message.offset(), message.key(), message.value(), headers)
