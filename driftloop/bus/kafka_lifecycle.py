"""Kafka on an event loop, on aiokafka, for the services that handle lifecycle events."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.errors import CommitFailedError, KafkaError, MessageSizeTooLargeError, UnknownTopicOrPartitionError

from driftloop.bus import aiokafka_reader
from driftloop.bus.admin import wait_for_topics
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.partition import partition_of
from driftloop.bus.ports import Outgoing, Record, TopicPartition
from driftloop.process.errors import Retriable, UndeclaredTopic


class _Revoked(ConsumerRebalanceListener):
    """Tracks revoked partitions, so that no offset is committed for them."""

    def __init__(self) -> None:
        self.partitions: set[KafkaPartition] = set()

    async def on_partitions_revoked(self, revoked: set[KafkaPartition]) -> None:
        self.partitions |= revoked

    async def on_partitions_assigned(self, assigned: set[KafkaPartition]) -> None:
        self.partitions -= assigned


class KafkaLifecycleConsumer:
    """`driftloop.bus.ports.LifecycleConsumer` over Kafka."""

    def __init__(self, kafka: KafkaSettings, topics: Sequence[str], group: str) -> None:
        self._kafka = kafka
        self._topics = list(topics)
        self._revoked = _Revoked()
        self._group = group
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Join the group once the broker has the topics.

        Raises:
            UndeclaredTopic: the broker still lacks one of them after the time limit.
        """
        aiokafka_reader.install()
        await asyncio.to_thread(wait_for_topics, self._kafka, self._topics)
        self._consumer = AIOKafkaConsumer(**self._kafka.lifecycle_consumer(self._group))
        await self._consumer.start()
        self._consumer.subscribe([self._kafka.full_name(topic) for topic in self._topics], listener=self._revoked)

    async def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        batches = await self._running().getmany(timeout_ms=int(timeout_s * 1000), max_records=max_records)
        return [_record(record, self._kafka) for batch in batches.values() for record in batch]

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        full_name = self._kafka.full_name
        offsets = {KafkaPartition(full_name(tp.topic), tp.partition): offset for tp, offset in positions.items()}
        kept = {partition: offset for partition, offset in offsets.items() if partition not in self._revoked.partitions}
        if not kept:
            return
        try:
            await self._running().commit(kept)
        except CommitFailedError as error:
            raise Retriable(f"the group rebalanced; uncommitted records are delivered again: {error}") from error
        except KafkaError as error:
            if not error.retriable:
                raise
            raise Retriable(f"not committed: {error!r}") from error

    async def stop(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.stop()

    def _running(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("start the consumer first")
        return self._consumer


def _record(read: Any, kafka: KafkaSettings) -> Record:
    headers = tuple((name, value or b"") for name, value in read.headers)
    return Record(kafka.declared_name(read.topic), read.partition, read.offset, read.key, read.value, headers)


class KafkaLifecycleProducer:
    """`driftloop.bus.ports.LifecycleProducer` over Kafka."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._producer: AIOKafkaProducer | None = None
        self._reviving = asyncio.Lock()

    async def start(self) -> None:
        """Connect. Waits for a broker that is still starting.

        Raises:
            Retriable: no broker answered.
        """
        await asyncio.to_thread(wait_for_topics, self._kafka, ())
        producer = AIOKafkaProducer(**self._kafka.lifecycle_producer())
        try:
            await producer.start()
        except KafkaError as error:
            await producer.stop()
            raise Retriable(f"no producer on {self._kafka.bootstrap}: {error!r}") from error
        self._producer = producer

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Send as the port says. After an error the client is replaced, because an idempotent one can stay unusable."""
        producer = await self._running()
        try:
            await self._send(producer, records)
        except UnknownTopicOrPartitionError as error:
            topics = ", ".join(sorted({record.topic for record in records}))
            raise UndeclaredTopic(f"the broker lacks one of the topics {topics}") from error
        except MessageSizeTooLargeError:
            raise  # a defect of the sender; a retry cannot succeed
        except KafkaError as error:
            if self._producer is producer:
                await self.stop()
            raise Retriable(f"not acknowledged: {error!r}") from error

    async def stop(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()

    async def _running(self) -> AIOKafkaProducer:
        async with self._reviving:
            if self._producer is None:
                await self.start()
        return self._producer

    async def _send(self, producer: AIOKafkaProducer, records: Sequence[Outgoing]) -> None:
        queued: list[asyncio.Future[Any]] = []
        try:
            for record in records:
                queued.append(await self._queue(producer, record))  # noqa: PERF401 - kept where a later one fails
        finally:
            answers = await asyncio.gather(*queued, return_exceptions=True)
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    async def _queue(self, producer: AIOKafkaProducer, record: Outgoing) -> asyncio.Future[Any]:
        topic, partition = self._kafka.full_name(record.topic), record.partition
        if partition is None and record.key is not None:
            partition = partition_of(record.key, len(await producer.partitions_for(topic)))
        value = (
            b"" if record.key is None and record.value is None else record.value
            # aiokafka refuses a record without key and value
        )
        queued: asyncio.Future[Any] = await producer.send(
            topic, value=value, key=record.key, partition=partition, headers=list(record.headers)
        )
        return queued
