"""Interfaces of the message bus. Two backends implement them: memory and Kafka.

Order: a consumer receives the records of a partition in the order of their offsets. Partitions have no common order.
Delivery: at least once. A consumer starts at its group's committed offset, or at the offset of a seek. Records that it
did not commit are delivered again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from driftloop.process.errors import DriftloopError


@dataclass(frozen=True, slots=True)
class TopicPartition:
    """A partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record that was read. ``value`` is None if the producer sent no value."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    def header(self, name: str) -> bytes | None:
        """Return the value of the first header of that name."""
        return next((value for key, value in self.headers if key == name), None)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to send. Without a ``partition``, the murmur2 hash of the key selects it."""

    topic: str
    value: bytes | None
    key: bytes | None = None
    headers: tuple[tuple[str, bytes], ...] = field(default=())
    partition: int | None = None


class RecordsRefused(DriftloopError):
    """The broker will never accept these records: they are too large or invalid. All others were acknowledged.

    The broker refuses a whole batch, so it may accept one of them if it is sent alone.
    """

    def __init__(self, refused: Sequence[tuple[Outgoing, str]]) -> None:
        """``refused``: each record with the broker's reason."""
        super().__init__(f"the broker refused {len(refused)} records for good, the first for: {refused[0][1]}")
        self.refused = tuple(refused)


class BatchConsumer(Protocol):
    """Reads batches on the owner's thread. Not thread-safe. The owner closes it."""

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """Return up to ``max_records`` records; wait at most ``timeout_s`` seconds for the first.

        Raises:
            TopicChanged: a topic was created again or has more partitions; the process must restart.
        """
        ...

    def assignment(self) -> frozenset[TopicPartition]:
        """Return the partitions that this consumer reads now."""
        ...

    def seek(self, positions: Mapping[TopicPartition, int]) -> None:
        """Set the next offset to read, per partition. Other partitions keep theirs."""
        ...

    def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit the next offset to read, per partition, for the group.

        Raises:
            Retriable: the broker did not answer; either all offsets are committed or none.
        """
        ...

    def end_offsets(self) -> Mapping[TopicPartition, int]:
        """Return the offset after the newest record, per assigned partition."""
        ...

    def topic_ids(self) -> Mapping[str, str]:
        """Return the id of each topic. A topic that is deleted and created again gets another one."""
        ...

    def close(self) -> None:
        """Close the consumer without a commit."""
        ...


class PausableConsumer(BatchConsumer, Protocol):
    """A `BatchConsumer` that can leave topics unread."""

    def pause(self, topics: Collection[str]) -> None:
        """Stop reading these topics, and read all others. Positions and the assignment stay."""
        ...


class PositionedConsumer(BatchConsumer, Protocol):
    """A `BatchConsumer` that tells where it reads."""

    def positions(self) -> Mapping[TopicPartition, int]:
        """Return the next offset that it can read, per assigned partition."""
        ...


class BatchProducer(Protocol):
    """Writes from any thread. Waits a limited time if its queue is full; drops nothing. The owner closes it."""

    def send(self, records: Sequence[Outgoing]) -> None:
        """Queue the records, in order.

        Raises:
            UndeclaredTopic: the broker has no such topic.
            Retriable: the queue stayed full, or the number of partitions is unknown.
        """
        ...

    def flush(self, timeout_s: float = 30.0) -> None:
        """Wait until all in-sync replicas have acknowledged the queued records.

        Raises:
            Retriable: the acknowledgement did not arrive within ``timeout_s`` seconds, or the broker refused a record
                that it may accept later.
            RecordsRefused: the broker refused records for good, and acknowledged the others.
        """
        ...

    def partitions(self, topic: str) -> int:
        """Return the number of partitions of a topic."""
        ...

    def close(self) -> None:
        """Flush, then close the producer."""
        ...


class LifecycleConsumer(Protocol):
    """Reads events on an event loop. The owner starts and stops it. Stopping before a start has no effect."""

    async def start(self) -> None: ...

    async def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        """Return up to ``max_records`` records; wait at most ``timeout_s`` seconds for the first."""
        ...

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        """Commit the next offset to read. Skips partitions that were revoked.

        Raises:
            Retriable: the group rebalanced or the broker did not answer; the records may be delivered again.
        """
        ...

    async def stop(self) -> None: ...


class LifecycleProducer(Protocol):
    """Writes events on an event loop. The owner starts and stops it. Stopping before a start has no effect."""

    async def start(self) -> None: ...

    async def send(self, records: Sequence[Outgoing]) -> None:
        """Send the records in order and wait until all are acknowledged.

        Raises:
            UndeclaredTopic: the broker has no such topic.
            Retriable: not all records were acknowledged; some may be written.
        """
        ...

    async def stop(self) -> None: ...
