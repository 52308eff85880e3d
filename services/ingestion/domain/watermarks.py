"""A loop's watermark: the minimum over its raw partitions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from driftloop.bus.ports import TopicPartition
from driftloop.bus.watermarks import lowest, take_reached
from services.ingestion.domain.arrivals import PartitionClock


@dataclass(frozen=True, slots=True)
class Advance:
    """An advance of the loop's watermark; ``sequence`` counts from 1."""

    watermark_ms: int
    sequence: int


@dataclass
class LoopClock:
    """Combines all raw partitions of a loop.

    It advances through every producer's watermark that all partitions have reached, so the order in which partitions
    are read does not change the advances. An idle partition with a derived watermark can be ignored; it rejoins at the
    loop's watermark.
    """

    partitions: dict[TopicPartition, PartitionClock]
    watermark_ms: int | None = None
    sequence: int = 0
    waiting: set[int] = field(default_factory=set)
    """Producers' watermarks that not all partitions have reached."""
    idle: frozenset[TopicPartition] = frozenset()

    def clock(self, partition: TopicPartition) -> PartitionClock:
        """Return a partition's clock, never behind the loop."""
        return self.partitions[partition].at_least(self.watermark_ms)

    def note(self, partition: TopicPartition, clock: PartitionClock, sent: Iterable[int]) -> None:
        """Store a partition's clock, and the producer's watermarks that advanced it."""
        self.partitions[partition] = clock
        self.waiting.update(sent)

    def pass_over(self, idle: Iterable[TopicPartition]) -> None:
        """Ignore idle partitions, except those with a producer's watermark."""
        self.idle = frozenset(partition for partition in idle if not self.partitions[partition].explicit)

    def advance(self) -> list[Advance]:
        """Return the watermarks that the loop has now reached, ascending, each once."""
        active = [clock.watermark_ms for partition, clock in self.partitions.items() if partition not in self.idle]
        lowest_ms = lowest(active)
        if lowest_ms is None:
            return []
        reached_ms = sorted({*take_reached(self.waiting, lowest_ms), lowest_ms})
        return [self._step(mark) for mark in reached_ms if self.watermark_ms is None or mark > self.watermark_ms]

    def _step(self, watermark_ms: int) -> Advance:
        self.watermark_ms = watermark_ms
        self.sequence += 1
        return Advance(watermark_ms, self.sequence)
