"""Test doubles of the bus ports, each with one fault that a test can turn on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from driftloop.bus.ports import LifecycleConsumer, LifecycleProducer, Outgoing, Record, TopicPartition
from driftloop.process.errors import Retriable
from tests.helpers.memory_broker import MemoryBroker


class Crash(RuntimeError):
    """An unexpected defect that ends the process."""


@dataclass
class FaultyProducer:
    """A `LifecycleProducer` that raises each of ``faults`` once, before or after it writes the records."""

    inner: LifecycleProducer
    faults: list[Exception] = field(default_factory=list)
    after_writing: bool = False
    calls: int = 0

    async def start(self) -> None:
        await self.inner.start()

    async def send(self, records: Sequence[Outgoing]) -> None:
        self.calls += 1
        fault = self.faults.pop(0) if self.faults else None
        if fault is None or self.after_writing:
            await self.inner.send(records)
        if fault is not None:
            raise fault

    async def stop(self) -> None:
        await self.inner.stop()


@dataclass
class RefusingConsumer:
    """A `LifecycleConsumer` that refuses its first ``refusals`` commits, as after a rebalance."""

    inner: LifecycleConsumer
    refusals: int = 1

    async def start(self) -> None:
        await self.inner.start()

    async def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        return await self.inner.poll(max_records, timeout_s)

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        if self.refusals:
            self.refusals -= 1
            raise Retriable("the group rebalanced")
        await self.inner.commit(positions)

    async def stop(self) -> None:
        await self.inner.stop()


def declared_broker() -> MemoryBroker:
    """Return a broker with all declared topics and their dead-letter topics."""
    from driftloop.loop.topics import plan_topics  # the Kafka client is slow to import

    broker = MemoryBroker()
    for topic in plan_topics([]):
        broker.create_topic(topic.name, topic.partitions)
    return broker
