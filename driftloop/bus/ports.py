"""What a bus owes its users. Two backends implement both halves: in memory, and Kafka.

Ordering: records of one partition come in the order in which they were written. Between partitions there is no order.
Delivery: at least once. A consumer starts where its group committed, or where it was told to seek; what it has not
committed comes again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TopicPartition:
    """A partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it was read. ``value`` is None where the producer sent none."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    def header(self, name: str) -> bytes | None:
        """The first header of that name."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to send. With no ``partition``, the key's murmur2 hash decides."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = field(default=())
    partition: int | None = None


class BatchConsumer(Protocol):
    """Reads batches from a thread of its owner's; not thread-safe. The owner closes it."""

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """Up to ``max_records`` records, waiting at most ``timeout_s`` for the first."""
        ...

    def assignment(self) -> frozenset[TopicPartition]:
        """Partitions that are read now. All partitions of the topics, where one process reads them."""
        ...

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Next offset to read, by partition. Partitions left out keep theirs."""
        ...

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Durably note the next offset to read of each partition for the group.

        Raises:
            Retriable: the broker did not answer; nothing, or all, was noted.
        """
        ...

    def end_offsets(self) -> Mapping[TopicPartition, int]:
        """Offset after the newest record of each assigned partition."""
        ...

    def close(self) -> None:
        """Leave; commits nothing."""
        ...


class BatchProducer(Protocol):
    """Writes from any thread. A full queue waits, bounded; nothing is dropped. The owner closes it."""

    def send(self, records: Sequence[Outgoing]) -> None:
        """Queue the records, in order.

        Raises:
            UndeclaredTopic: the broker has no such topic.
            Retriable: the queue stayed full, or nobody could tell the topic's partitions.
        """
        ...

    def flush(self, timeout_s: float = 30.0) -> None:
        """Return once all queued records are acknowledged by all in-sync replicas.

        Raises:
            Retriable: they were not within ``timeout_s``, or the broker refused one since the last call.
        """
        ...

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has."""
        ...

    def close(self) -> None:
        """Flush and leave."""
        ...


class LifecycleConsumer(Protocol):
    """Reads events on an event loop. Its owner starts and stops it; to stop one that was not started does nothing."""

    async def start(self) -> None: ...

    async def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """Up to ``max_records`` records, waiting at most ``timeout_s`` for the first."""
        ...

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Durably note the next offset to read. Positions of partitions that were taken away are left out.

        Raises:
            Retriable: the group rebalanced meanwhile, or the broker did not answer; the records may come again.
        """
        ...

    async def stop(self) -> None: ...


class LifecycleProducer(Protocol):
    """Writes events on an event loop. Its owner starts and stops it; to stop one that was not started does nothing."""

    async def start(self) -> None: ...

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Return once all records are acknowledged, in order.

        Raises:
            UndeclaredTopic: the broker has no such topic.
            Retriable: they were not, some may have been.
        """
        ...

    async def stop(self) -> None: ...
