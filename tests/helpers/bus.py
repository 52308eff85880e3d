"""Behaviour of every bus, as test suites that run over each backend."""

from __future__ import annotations

import itertools
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, closing
from typing import Protocol, TypeVar

import pytest

from driftloop.bus.partition import partition_of
from driftloop.bus.ports import (
    BatchConsumer,
    BatchProducer,
    LifecycleConsumer,
    LifecycleProducer,
    Outgoing,
    PausableConsumer,
    Record,
    TopicPartition,
)
from driftloop.process.errors import UndeclaredTopic

_groups = itertools.count()
HEADERS = (("ce_id", b"1"), ("twice", b"a"), ("twice", b"b"), ("empty", b""), ("bytes", b"\x00\xff"))


class Bus(Protocol):
    """A backend."""

    def topic(self, partitions: int = 1) -> str:
        """Create a new topic and return its name."""
        ...

    def batch_consumer(self, topics: Sequence[str], group: str) -> PausableConsumer: ...

    def batch_producer(self) -> BatchProducer: ...

    def lifecycle_consumer(self, topics: Sequence[str], group: str) -> LifecycleConsumer: ...

    def lifecycle_producer(self) -> LifecycleProducer: ...


def take(consumer: BatchConsumer, count: int, timeout_s: float = 60.0) -> list[Record]:
    """Read exactly ``count`` records.

    Raises:
        AssertionError: fewer arrived in time, or the last poll returned more.
    """
    records: list[Record] = []
    deadline = time.monotonic() + timeout_s
    while len(records) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} records arrived"
        records += consumer.poll(count - len(records), 0.1)
    assert len(records) == count
    return records


async def take_events(consumer: LifecycleConsumer, count: int, timeout_s: float = 60.0) -> list[Record]:
    records: list[Record] = []
    deadline = time.monotonic() + timeout_s
    while len(records) < count:
        assert time.monotonic() < deadline, f"{len(records)} of {count} records arrived"
        records += await consumer.poll(count - len(records), 0.1)
    assert len(records) == count
    return records


def new_group() -> str:
    """Return the name of an unused consumer group."""
    return f"test-group-{next(_groups)}"


def numbered(topic: str, count: int, *, partition: int | None = 0, start: int = 0) -> list[Outgoing]:
    """Return records whose values are consecutive numbers."""
    return [Outgoing(topic, str(n).encode(), b"k", partition=partition) for n in range(start, start + count)]


def numbers(records: Sequence[Record]) -> list[int]:
    """Return the numbers in records of `numbered`."""
    return [int(record.value or b"-1") for record in records]


class BatchBusSuite(ABC):
    """Behaviour of batch consumers and producers."""

    @pytest.fixture
    @abstractmethod
    def bus(self) -> Bus: ...

    @pytest.fixture
    def producer(self, bus: Bus) -> Iterator[BatchProducer]:
        with closing(bus.batch_producer()) as producer:
            yield producer

    def test_records_of_a_partition_arrive_in_the_order_of_writing(self, bus: Bus, producer: BatchProducer) -> None:
        topic = bus.topic(partitions=3)
        sent = [Outgoing(topic, str(n).encode(), partition=n % 3) for n in range(600)]
        producer.send(sent)
        producer.flush()
        with closing(bus.batch_consumer([topic], new_group())) as consumer:
            records = take(consumer, 600)
        for partition in range(3):
            mine = [record for record in records if record.partition == partition]
            assert numbers(mine) == list(range(partition, 600, 3))
            assert [record.offset for record in mine] == list(range(200))

    def test_a_paused_topic_is_left_where_it_is(self, bus: Bus, producer: BatchProducer) -> None:
        kept, paused = bus.topic(), bus.topic()
        producer.send([*numbered(kept, 20), *numbered(paused, 20)])
        producer.flush()
        with closing(bus.batch_consumer([kept, paused], new_group())) as consumer:
            consumer.seek({TopicPartition(paused, 0): 5})
            consumer.pause({paused})
            assert numbers(take(consumer, 20)) == list(range(20))
            assert consumer.poll(100, 0.2) == []
            assert len(consumer.assignment()) == 2
            consumer.pause(())
            assert numbers(take(consumer, 15)) == list(range(5, 20))

    def test_the_key_decides_the_partition_by_its_murmur2_hash(self, bus: Bus, producer: BatchProducer) -> None:
        topic = bus.topic(partitions=7)
        keys = [f"key-{n}".encode() for n in range(100)] + [b"", b"\xff\x00", "ключ".encode()]
        producer.send([Outgoing(topic, b"x", key) for key in keys])
        producer.flush()
        with closing(bus.batch_consumer([topic], new_group())) as consumer:
            partitions = {record.key: record.partition for record in take(consumer, len(keys))}
        assert partitions == {key: partition_of(key, 7) for key in keys}

    def test_an_explicit_partition_overrides_the_key(self, bus: Bus, producer: BatchProducer) -> None:
        topic = bus.topic(partitions=4)
        producer.send([Outgoing(topic, b"x", b"same key", partition=p) for p in range(4)])
        producer.flush()
        with closing(bus.batch_consumer([topic], new_group())) as consumer:
            assert sorted(record.partition for record in take(consumer, 4)) == [0, 1, 2, 3]

    def test_headers_and_missing_keys_and_values_survive(self, bus: Bus, producer: BatchProducer) -> None:
        topic = bus.topic()
        kinds: list[tuple[bytes | None, bytes | None]] = [
            (None, None),
            (b"k", None),
            (None, b"v"),
            (b"", b""),
            (b"k", b"v"),
        ]
        producer.send([Outgoing(topic, value, key, HEADERS, partition=0) for key, value in kinds])
        producer.flush()
        with closing(bus.batch_consumer([topic], new_group())) as consumer:
            records = take(consumer, len(kinds))
        assert [(record.key, record.value) for record in records] == kinds
        assert all(record.headers == HEADERS for record in records)
        assert records[0].header("twice") == b"a"
        assert records[0].header("absent") is None

    def test_a_group_that_never_committed_starts_at_the_oldest_record(self, bus: Bus, producer: BatchProducer) -> None:
        topic = bus.topic()
        producer.send(numbered(topic, 5))
        producer.flush()
        with closing(bus.batch_consumer([topic], new_group())) as consumer:
            assert numbers(take(consumer, 5)) == [0, 1, 2, 3, 4]

    def test_a_consumer_starts_where_its_group_committed(self, bus: Bus, producer: BatchProducer) -> None:
        topic, group = bus.topic(partitions=2), new_group()
        for partition in (0, 1):
            producer.send(numbered(topic, 5, partition=partition))
        producer.flush()
        with closing(bus.batch_consumer([topic], group)) as consumer:
            take(consumer, 10)
            consumer.commit({TopicPartition(topic, 1): 3})
        with closing(bus.batch_consumer([topic], group)) as consumer:
            records = take(consumer, 7)
        assert sorted((record.partition, record.offset) for record in records) == [
            *((0, offset) for offset in range(5)),
            (1, 3),
            (1, 4),
        ]

    def test_uncommitted_records_are_delivered_again_byte_for_byte(self, bus: Bus, producer: BatchProducer) -> None:
        topic, group = bus.topic(), new_group()
        producer.send([Outgoing(topic, b"v", b"k", HEADERS)])
        producer.flush()
        with closing(bus.batch_consumer([topic], group)) as consumer:
            first = take(consumer, 1)
        with closing(bus.batch_consumer([topic], group)) as consumer:
            assert take(consumer, 1) == first

    def test_groups_do_not_see_commits_of_others(self, bus: Bus, producer: BatchProducer) -> None:
        topic = bus.topic()
        producer.send(numbered(topic, 3))
        producer.flush()
        with closing(bus.batch_consumer([topic], new_group())) as consumer:
            take(consumer, 3)
            consumer.commit({TopicPartition(topic, 0): 3})
        with closing(bus.batch_consumer([topic], new_group())) as consumer:
            assert numbers(take(consumer, 3)) == [0, 1, 2]

    def test_a_commit_does_not_move_the_reader(self, bus: Bus, producer: BatchProducer) -> None:
        topic = bus.topic()
        producer.send(numbered(topic, 4))
        producer.flush()
        with closing(bus.batch_consumer([topic], new_group())) as consumer:
            take(consumer, 1)
            consumer.commit({TopicPartition(topic, 0): 3})
            assert numbers(take(consumer, 3)) == [1, 2, 3]

    def test_a_seek_before_the_first_poll_keeps_committed_offsets_of_other_partitions(
        self, bus: Bus, producer: BatchProducer
    ) -> None:
        topic, group = bus.topic(partitions=2), new_group()
        for partition in (0, 1):
            producer.send(numbered(topic, 4, partition=partition))
        producer.flush()
        with closing(bus.batch_consumer([topic], group)) as consumer:
            consumer.commit({TopicPartition(topic, 0): 2, TopicPartition(topic, 1): 2})
        with closing(bus.batch_consumer([topic], group)) as consumer:
            consumer.seek({TopicPartition(topic, 0): 1})
            places = [(record.partition, record.offset) for record in take(consumer, 5)]
        assert sorted(places) == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3)]

    def test_a_seek_after_reading_keeps_positions_of_other_partitions(self, bus: Bus, producer: BatchProducer) -> None:
        topic = bus.topic(partitions=2)
        for partition in (0, 1):
            producer.send(numbered(topic, 3, partition=partition))
        producer.flush()
        with closing(bus.batch_consumer([topic], new_group())) as consumer:
            take(consumer, 6)
            consumer.seek({TopicPartition(topic, 1): 0})
            assert [(record.partition, record.offset) for record in take(consumer, 3)] == [(1, 0), (1, 1), (1, 2)]
            producer.send(numbered(topic, 1, partition=0, start=3))
            producer.flush()
            assert [(record.partition, record.offset) for record in take(consumer, 1)] == [(0, 3)]

    def test_a_poll_returns_at_most_max_records(self, bus: Bus, producer: BatchProducer) -> None:
        topic = bus.topic()
        producer.send(numbered(topic, 10))
        producer.flush()
        with closing(bus.batch_consumer([topic], new_group())) as consumer:
            records: list[Record] = []
            while len(records) < 10:
                polled = consumer.poll(3, 0.5)
                assert len(polled) <= 3
                records += polled
        assert numbers(records) == list(range(10))

    def test_a_poll_without_records_ends_after_its_timeout(self, bus: Bus) -> None:
        with closing(bus.batch_consumer([bus.topic()], new_group())) as consumer:
            began = time.monotonic()
            assert list(consumer.poll(10, 0.05)) == []
            assert time.monotonic() - began < 30

    def test_a_poll_ends_when_a_record_arrives(self, bus: Bus, producer: BatchProducer) -> None:
        topic = bus.topic()
        with closing(bus.batch_consumer([topic], new_group())) as consumer:
            consumer.poll(1, 0.05)
            writer = threading.Thread(target=lambda: producer.send(numbered(topic, 1)))
            writer.start()
            began = time.monotonic()
            assert numbers(consumer.poll(1, 60.0)) == [0]
            assert time.monotonic() - began < 30
            writer.join()
            producer.flush()

    def test_end_offsets_are_after_the_newest_acknowledged_record(self, bus: Bus, producer: BatchProducer) -> None:
        topic = bus.topic(partitions=2)
        with closing(bus.batch_consumer([topic], new_group())) as consumer:
            places = [TopicPartition(topic, partition) for partition in (0, 1)]
            assert consumer.end_offsets() == {places[0]: 0, places[1]: 0}
            producer.send(numbered(topic, 5, partition=1))
            producer.flush()
            assert consumer.end_offsets() == {places[0]: 0, places[1]: 5}
            take(consumer, 5)
            assert consumer.end_offsets() == {places[0]: 0, places[1]: 5}

    def test_one_consumer_reads_all_partitions_of_all_its_topics(self, bus: Bus) -> None:
        topics = [bus.topic(partitions=1), bus.topic(partitions=3)]
        with closing(bus.batch_consumer(topics, new_group())) as consumer:
            assert consumer.assignment() == {
                TopicPartition(topics[0], 0),
                *(TopicPartition(topics[1], partition) for partition in range(3)),
            }

    def test_a_producer_returns_the_number_of_partitions(self, bus: Bus, producer: BatchProducer) -> None:
        assert producer.partitions(bus.topic(partitions=3)) == 3

    def test_a_missing_topic_is_refused(self, producer: BatchProducer) -> None:
        with pytest.raises(UndeclaredTopic, match="undeclared-topic"):
            producer.partitions("undeclared-topic")
        with pytest.raises(UndeclaredTopic, match="undeclared-topic"):
            producer.send([Outgoing("undeclared-topic", b"x")])


class LifecycleBusSuite(ABC):
    """Behaviour of lifecycle consumers and producers."""

    @pytest.fixture
    @abstractmethod
    def bus(self) -> Bus: ...

    async def test_records_of_a_partition_arrive_in_the_order_of_sending(self, bus: Bus) -> None:
        topic = bus.topic(partitions=2)
        async with running(bus.lifecycle_producer()) as producer:
            for start in range(0, 100, 10):
                await producer.send([r for p in (0, 1) for r in numbered(topic, 10, partition=p, start=start)])
        async with running(bus.lifecycle_consumer([topic], new_group())) as consumer:
            records = await take_events(consumer, 200)
        for partition in (0, 1):
            assert numbers([record for record in records if record.partition == partition]) == list(range(100))

    async def test_the_key_decides_the_partition_by_its_murmur2_hash(self, bus: Bus) -> None:
        topic = bus.topic(partitions=7)
        keys = [f"key-{n}".encode() for n in range(50)] + [b""]
        async with running(bus.lifecycle_producer()) as producer:
            await producer.send([Outgoing(topic, b"x", key) for key in keys])
        async with running(bus.lifecycle_consumer([topic], new_group())) as consumer:
            partitions = {record.key: record.partition for record in await take_events(consumer, len(keys))}
        assert partitions == {key: partition_of(key, 7) for key in keys}

    async def test_headers_and_missing_keys_and_values_survive(self, bus: Bus) -> None:
        topic = bus.topic()
        kinds: list[tuple[bytes | None, bytes | None]] = [(b"k", None), (None, b"v"), (b"", b""), (b"k", b"v")]
        async with running(bus.lifecycle_producer()) as producer:
            await producer.send([Outgoing(topic, value, key, HEADERS, partition=0) for key, value in kinds])
        async with running(bus.lifecycle_consumer([topic], new_group())) as consumer:
            records = await take_events(consumer, len(kinds))
        assert [(record.key, record.value) for record in records] == kinds
        assert all(record.headers == HEADERS for record in records)

    async def test_a_record_with_neither_key_nor_value_can_be_sent(self, bus: Bus) -> None:
        topic = bus.topic()
        async with running(bus.lifecycle_producer()) as producer:
            await producer.send([Outgoing(topic, None, None, HEADERS)])
        async with running(bus.lifecycle_consumer([topic], new_group())) as consumer:
            [record] = await take_events(consumer, 1)
        assert (record.key, record.value or b"", record.headers) == (None, b"", HEADERS)

    async def test_a_consumer_starts_where_its_group_committed(self, bus: Bus) -> None:
        topic, group = bus.topic(), new_group()
        async with running(bus.lifecycle_producer()) as producer:
            await producer.send(numbered(topic, 5))
        async with running(bus.lifecycle_consumer([topic], group)) as consumer:
            await take_events(consumer, 5)
            await consumer.commit({TopicPartition(topic, 0): 2})
        async with running(bus.lifecycle_consumer([topic], group)) as consumer:
            assert numbers(await take_events(consumer, 3)) == [2, 3, 4]

    async def test_uncommitted_records_are_delivered_again_byte_for_byte(self, bus: Bus) -> None:
        topic, group = bus.topic(), new_group()
        async with running(bus.lifecycle_producer()) as producer:
            await producer.send([Outgoing(topic, b"v", b"k", HEADERS)])
        async with running(bus.lifecycle_consumer([topic], group)) as consumer:
            first = await take_events(consumer, 1)
        async with running(bus.lifecycle_consumer([topic], group)) as consumer:
            assert await take_events(consumer, 1) == first

    async def test_a_poll_returns_at_most_max_records(self, bus: Bus) -> None:
        topic = bus.topic()
        async with running(bus.lifecycle_producer()) as producer:
            await producer.send(numbered(topic, 7))
        async with running(bus.lifecycle_consumer([topic], new_group())) as consumer:
            records: list[Record] = []
            while len(records) < 7:
                polled = await consumer.poll(2, 0.5)
                assert len(polled) <= 2
                records += polled
        assert numbers(records) == list(range(7))

    async def test_batch_and_lifecycle_clients_read_each_others_records(self, bus: Bus) -> None:
        topic = bus.topic()
        with closing(bus.batch_producer()) as batches:
            batches.send([Outgoing(topic, b"from a batch", b"k", HEADERS)])
            batches.flush()
        async with running(bus.lifecycle_producer()) as producer:
            await producer.send([Outgoing(topic, b"from a handler", b"k", HEADERS)])
        async with running(bus.lifecycle_consumer([topic], new_group())) as events:
            seen = await take_events(events, 2)
        with closing(bus.batch_consumer([topic], new_group())) as rows:
            assert take(rows, 2) == seen
        assert [record.value for record in seen] == [b"from a batch", b"from a handler"]

    async def test_a_missing_topic_is_refused(self, bus: Bus) -> None:
        async with running(bus.lifecycle_producer()) as producer:
            with pytest.raises(UndeclaredTopic, match="undeclared-topic"):
                await producer.send([Outgoing("undeclared-topic", b"x", b"k")])

    async def test_stopping_is_safe_before_the_start_right_after_it_and_twice(self, bus: Bus) -> None:
        for part in (bus.lifecycle_producer(), bus.lifecycle_consumer([bus.topic()], new_group())):
            await part.stop()
            await part.start()
            await part.stop()
            await part.stop()


class _Part(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...


_P = TypeVar("_P", bound=_Part)


@asynccontextmanager
async def running(part: _P) -> AsyncIterator[_P]:
    """Start a consumer or producer, and stop it after the block."""
    await part.start()
    try:
        yield part
    finally:
        await part.stop()
