"""Kafka on an event loop, on aiokafka: for the services that handle lifecycle events."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener
from aiokafka import TopicPartition as Place
from aiokafka.errors import CommitFailedError, KafkaError

from driftloop.bus.admin import wait_for_topics
from driftloop.bus.partition import partition_of
from driftloop.bus.ports import Outgoing, Record, TopicPartition
from driftloop.errors import Retriable


class _Revoked(ConsumerRebalanceListener):  # type: ignore[misc]
    """Remembers what was taken away, so that nothing is committed for it."""

    def __init__(self) -> None:
        self.taken: set[Place] = set()

    async def on_partitions_revoked(self, revoked: set[Place]) -> None:
        self.taken |= revoked

    async def on_partitions_assigned(self, assigned: set[Place]) -> None:
        self.taken -= assigned


class KafkaLifecycleConsumer:
    """`driftloop.bus.ports.LifecycleConsumer` over Kafka."""

    def __init__(self, bootstrap: str, topics: Sequence[str], group: str) -> None:
        self._bootstrap = bootstrap
        self._topics = list(topics)
        self._revoked = _Revoked()
        self._make = lambda: AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=group, enable_auto_commit=False, auto_offset_reset="earliest",
            session_timeout_ms=6000, heartbeat_interval_ms=1500, fetch_max_wait_ms=100, metadata_max_age_ms=60_000,
        )  # fmt: skip
        self._consumer: AIOKafkaConsumer | None = None

    async def start(self) -> None:
        """Join the group, once the broker has the topics.

        Raises:
            UndeclaredTopic: it lacks one of them for too long.
        """
        await asyncio.to_thread(wait_for_topics, self._bootstrap, self._topics)
        self._consumer = self._make()
        await self._consumer.start()
        self._consumer.subscribe(self._topics, listener=self._revoked)

    async def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """See the port."""
        found = await self._running().getmany(timeout_ms=int(timeout_s * 1000), max_records=max_records)
        return [
            Record(each.topic, each.partition, each.offset, each.key, each.value, tuple(each.headers))
            for batch in found.values()
            for each in batch
        ]

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """See the port."""
        kept = {
            place: offset
            for tp, offset in positions.items()
            if (place := Place(tp.topic, tp.partition)) not in self._revoked.taken
        }
        if not kept:
            return
        try:
            await self._running().commit(kept)
        except CommitFailedError as error:
            raise Retriable(f"the group rebalanced; what was not committed comes again: {error}") from error

    async def stop(self) -> None:
        """See the port."""
        if self._consumer is not None:
            await self._consumer.stop()

    def _running(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            raise RuntimeError("start the consumer first")
        return self._consumer


class KafkaLifecycleProducer:
    """`driftloop.bus.ports.LifecycleProducer` over Kafka."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._make = lambda: AIOKafkaProducer(
            bootstrap_servers=bootstrap, acks="all", enable_idempotence=True, request_timeout_ms=10_000,
            max_request_size=8_000_000,
        )  # fmt: skip
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """See the port. Waits for a broker that is still starting."""
        await asyncio.to_thread(wait_for_topics, self._bootstrap, ())
        self._producer = self._make()
        await self._producer.start()

    async def send(self, records: Sequence[Outgoing]) -> None:
        """See the port. After an error the client is made anew: an idempotent one can stay wedged."""
        if self._producer is None:
            raise RuntimeError("start the producer first")
        try:
            for each in [await self._queue(self._producer, record) for record in records]:
                await each
        except KafkaError as error:
            await self.stop()
            await self.start()
            raise Retriable(f"not acknowledged: {error!r}") from error

    async def _queue(self, producer: AIOKafkaProducer, record: Outgoing):  # type: ignore[no-untyped-def]
        partition = record.partition
        if partition is None and record.key is not None:
            partition = partition_of(record.key, len(await producer.partitions_for(record.topic)))
        return await producer.send(
            record.topic, value=record.value, key=record.key, partition=partition, headers=list(record.headers)
        )

    async def stop(self) -> None:
        """See the port."""
        if self._producer is not None:
            await self._producer.stop()
