"""A loop's watermark: the least over its raw partitions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from driftloop.bus.ports import TopicPartition
from services.ingestion.domain.arrivals import PartitionClock


@dataclass(frozen=True, slots=True)
class Advance:
    """The loop's watermark grew; ``sequence`` counts from 1."""

    watermark_ms: int
    sequence: int


@dataclass
class LoopClock:
    """Runs over all raw partitions of a loop.

    It advances through every producer's watermark that all have reached, so how partitions are read against
    each other does not show in the advances. A silent partition whose watermark is derived can be passed over; it
    joins again where the loop stands.
    """

    partitions: dict[TopicPartition, PartitionClock]
    watermark_ms: int | None = None
    sequence: int = 0
    waiting: set[int] = field(default_factory=set)
    """Producers' watermarks that not all partitions have reached."""
    silent: frozenset[TopicPartition] = frozenset()

    def clock(self, place: TopicPartition) -> PartitionClock:
        """A partition's clock, never behind the loop."""
        return self.partitions[place].at_least(self.watermark_ms)

    def note(self, place: TopicPartition, clock: PartitionClock, sent: Iterable[int]) -> None:
        """A partition was read: its clock now, and the producer's watermarks that moved it."""
        self.partitions[place] = clock
        self.waiting.update(sent)

    def pass_over(self, silent: Iterable[TopicPartition]) -> None:
        """Partitions silent for longer than allowed; those with a producer's watermark still hold the loop."""
        self.silent = frozenset(place for place in silent if not self.partitions[place].explicit)

    def advance(self) -> list[Advance]:
        """Watermarks that the loop has now reached, ascending; each is given once."""
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
