"""A loop's watermark: the minimum over its raw partitions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from driftloop.bus.ports import TopicPartition
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
    silent: frozenset[TopicPartition] = frozenset()

    def clock(self, place: TopicPartition) -> PartitionClock:
        """Return a partition's clock, never behind the loop."""
        return self.partitions[place].at_least(self.watermark_ms)

    def note(self, place: TopicPartition, clock: PartitionClock, sent: Iterable[int]) -> None:
        """Store a partition's clock, and the producer's watermarks that advanced it."""
        self.partitions[place] = clock
        self.waiting.update(sent)

    def pass_over(self, silent: Iterable[TopicPartition]) -> None:
        """Ignore idle partitions, except those with a producer's watermark."""
        self.silent = frozenset(place for place in silent if not self.partitions[place].explicit)

    def advance(self) -> list[Advance]:
        """Return the watermarks that the loop has now reached, ascending, each once."""
        counted = [clock.watermark_ms for place, clock in self.partitions.items() if place not in self.silent]
        known = [each for each in counted if each is not None]
        if not known or len(known) < len(counted):
            return []
        reached = min(known)
        due = {each for each in self.waiting if each <= reached}
        self.waiting -= due
        grown = sorted(each for each in due | {reached} if self.watermark_ms is None or each > self.watermark_ms)
        return [self._step(each) for each in grown]

    def _step(self, watermark_ms: int) -> Advance:
        self.watermark_ms = watermark_ms
        self.sequence += 1
        return Advance(watermark_ms, self.sequence)
