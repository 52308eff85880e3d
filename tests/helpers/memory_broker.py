"""The bus in memory, for tests. It behaves as Kafka's, in one process."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from driftloop.bus.partition import partition_of
from driftloop.bus.ports import Outgoing, Record, TopicPartition
from driftloop.process.errors import UndeclaredTopic


@dataclass
class MemoryBroker:
    """Topics, their records and the groups' committed offsets. Thread-safe.

    One consumer of a group reads all partitions.
    """

    _logs: dict[TopicPartition, list[Record]] = field(default_factory=dict)
    _partitions: dict[str, int] = field(default_factory=dict)
    _committed: dict[str, dict[TopicPartition, int]] = field(default_factory=lambda: defaultdict(dict))
    _generations: Counter[str] = field(default_factory=Counter)
    _next_unkeyed: int = 0
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def create_topic(self, name: str, partitions: int = 1) -> None:
        """Declare a topic. A repeat has no effect."""
        with self._changed:
            if self._partitions.setdefault(name, partitions) == partitions:
                for partition in range(partitions):
                    self._logs.setdefault(TopicPartition(name, partition), [])

    def partitions(self, topic: str) -> int:
        """Return the number of partitions of a topic.

        Raises:
            UndeclaredTopic: no topic has that name.
        """
        try:
            return self._partitions[topic]
        except KeyError:
            raise UndeclaredTopic(f"the broker has no topic {topic}") from None

    def records(self, topic: str) -> list[Record]:
        """Return all records of a topic, partition by partition."""
        with self._changed:
            return [record for p in range(self.partitions(topic)) for record in self._logs[TopicPartition(topic, p)]]

    def append(self, records: Iterable[Outgoing]) -> None:
        with self._changed:
            for record in records:
                self._append(record)
            self._changed.notify_all()

    def batch_consumer(self, topics: Sequence[str], group: str) -> MemoryBatchConsumer:
        """Return a `BatchConsumer` that starts at the group's committed offsets."""
        return MemoryBatchConsumer(self, topics, group)

    def batch_producer(self) -> MemoryBatchProducer:
        return MemoryBatchProducer(self)

    def lifecycle_consumer(self, topics: Sequence[str], group: str) -> MemoryLifecycleConsumer:
        """Return a `LifecycleConsumer` that starts at the group's committed offsets."""
        return MemoryLifecycleConsumer(self, topics, group)

    def lifecycle_producer(self) -> MemoryLifecycleProducer:
        return MemoryLifecycleProducer(self)

    def committed(self, group: str) -> Mapping[TopicPartition, int]:
        with self._changed:
            return dict(self._committed[group])

    def commit(self, group: str, positions: Mapping[TopicPartition, int]) -> None:
        with self._changed:
            self._committed[group].update(positions)

    def end_offsets(self, partitions: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        with self._changed:
            return {tp: len(self._logs[tp]) for tp in partitions}

    def topic_ids(self, topics: Iterable[str]) -> Mapping[str, str]:
        return {topic: str(self._generations[topic]) for topic in topics}

    def create_again(self, topic: str, partitions: int | None = None) -> None:
        """Delete a topic with its records and committed offsets, and create it."""
        with self._changed:
            count = self._partitions.pop(topic)
            for partition in range(count):
                del self._logs[TopicPartition(topic, partition)]
            for committed in self._committed.values():
                for partition in range(count):
                    committed.pop(TopicPartition(topic, partition), None)
            self._generations[topic] += 1
        self.create_topic(topic, partitions or count)

    def forget_commits(self) -> None:
        """Make every group start from the beginning of its topics."""
        with self._changed:
            self._committed.clear()

    def read(self, positions: dict[TopicPartition, int], max_records: int, timeout_s: float) -> list[Record]:
        """Return records from the positions, which advance; wait until there is one or the timeout ends."""
        with self._changed:
            self._changed.wait_for(lambda: any(len(self._logs[tp]) > at for tp, at in positions.items()), timeout_s)
            records: list[Record] = []
            for tp, at in positions.items():
                batch = self._logs[tp][at : at + max_records - len(records)]
                positions[tp] = at + len(batch)
                records += batch
            return records

    def _append(self, record: Outgoing) -> None:
        count = self.partitions(record.topic)
        if record.partition is not None:
            partition = record.partition
        elif record.key is not None:
            partition = partition_of(record.key, count)
        else:
            partition, self._next_unkeyed = self._next_unkeyed % count, self._next_unkeyed + 1
        log = self._logs[TopicPartition(record.topic, partition)]
        log.append(Record(record.topic, partition, len(log), record.key, record.value, tuple(record.headers)))


class MemoryBatchConsumer:
    """`driftloop.bus.ports.BatchConsumer` over a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, topics: Sequence[str], group: str) -> None:
        self._broker = broker
        self._group = group
        committed = broker.committed(group)
        parts = [TopicPartition(topic, p) for topic in topics for p in range(broker.partitions(topic))]
        self._positions = {tp: committed.get(tp, 0) for tp in parts}
        self._paused: frozenset[str] = frozenset()

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        read = {tp: offset for tp, offset in self._positions.items() if tp.topic not in self._paused}
        records = self._broker.read(read, max_records, timeout_s)
        self._positions.update(read)
        return records

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self._positions)

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        self._positions.update(positions)

    def pause(self, topics: Collection[str]) -> None:
        self._paused = frozenset(topics)

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        self._broker.commit(self._group, positions)

    def end_offsets(self) -> Mapping[TopicPartition, int]:
        return self._broker.end_offsets(self._positions)

    def positions(self) -> Mapping[TopicPartition, int]:
        return dict(self._positions)

    def topic_ids(self) -> Mapping[str, str]:
        return self._broker.topic_ids({tp.topic for tp in self._positions})

    def close(self) -> None: ...


class MemoryBatchProducer:
    """`driftloop.bus.ports.BatchProducer` over a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    def send(self, records: Sequence[Outgoing]) -> None:
        self._broker.append(records)

    def flush(self, timeout_s: float = 30.0) -> None: ...

    def partitions(self, topic: str) -> int:
        return self._broker.partitions(topic)

    def close(self) -> None: ...


class MemoryLifecycleConsumer:
    """`driftloop.bus.ports.LifecycleConsumer` over a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker, topics: Sequence[str], group: str) -> None:
        self._inner = MemoryBatchConsumer(broker, topics, group)

    async def start(self) -> None: ...

    async def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        return await asyncio.to_thread(self._inner.poll, max_records, timeout_s)

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        self._inner.commit(positions)

    async def stop(self) -> None: ...


class MemoryLifecycleProducer:
    """`driftloop.bus.ports.LifecycleProducer` over a `MemoryBroker`."""

    def __init__(self, broker: MemoryBroker) -> None:
        self._broker = broker

    async def start(self) -> None: ...

    async def send(self, records: Sequence[Outgoing]) -> None:
        self._broker.append(records)

    async def stop(self) -> None: ...
