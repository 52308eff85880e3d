"""A loop's watermark: the minimum over its raw partitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from driftloop.bus.ports import TopicPartition
from driftloop.bus.watermarks import lowest, take_reached
from services.ingestion.domain.arrivals import (
    BEFORE_ANY,
    HOUR_MS,
    ArrivalRules,
    Arrivals,
    Evidence,
    Ints,
    Mark,
    PartitionClock,
)


@dataclass(frozen=True, slots=True)
class Advance:
    """An advance of the loop's watermark; ``sequence`` counts from 1."""

    watermark_ms: int
    sequence: int


@dataclass
class LoopClock:
    """Combines the clocks of all raw partitions of a loop.

    It advances through every watermark that a partition passed and all have reached, so the order in which
    partitions are read does not change these advances. An idle partition with a derived watermark can be ignored; it
    rejoins at the loop's watermark. If all are idle, the loop advances to the newest of them.
    """

    partitions: dict[TopicPartition, PartitionClock]
    rules: ArrivalRules
    watermark_ms: int | None = None
    sequence: int = 0
    waiting: set[int] = field(default_factory=set)
    """Watermarks that some partitions passed and not all have reached."""
    idle: frozenset[TopicPartition] = frozenset()

    def clock(self, partition: TopicPartition) -> PartitionClock:
        """Return a partition's clock, never behind the loop."""
        return self.partitions[partition].at_least(self.watermark_ms)

    def read(self, partition: TopicPartition, times_ms: Ints, marks: Sequence[Mark], now_ms: int | None) -> Arrivals:
        """Apply a partition's rows and marks to its clock, as `ArrivalRules.read` does."""
        others = (clock.watermark_ms for tp, clock in self.partitions.items() if tp != partition)
        elsewhere_ms = max((watermark_ms for watermark_ms in others if watermark_ms is not None), default=None)
        evidence = Evidence(now_ms, elsewhere_ms, self.watermark_ms)
        arrivals = self.rules.read(self.clock(partition), times_ms, marks, evidence)
        self.note(partition, arrivals.clock, arrivals.passed)
        return arrivals

    def note(self, partition: TopicPartition, clock: PartitionClock, passed: Iterable[int]) -> None:
        """Store a partition's clock, and the watermarks that it passed."""
        self.partitions[partition] = clock
        self.waiting.update(passed)

    def pass_over(self, idle: Iterable[TopicPartition], now_ms: int | None) -> None:
        """Ignore idle partitions, except those with a producer's watermark, and those whose clock settles now."""
        settled = {partition: self.rules.settle(self.partitions[partition], now_ms) for partition in idle}
        self.idle = frozenset(
            partition
            for partition, clock in settled.items()
            if clock == self.partitions[partition] and not clock.explicit
        )
        self.partitions.update(settled)

    def advance(self, now_ms: int | None = None) -> list[Advance]:
        """Return the watermarks that the loop has now reached, ascending, each once."""
        for partition, clock in self.rules.agree(self.partitions, now_ms).items():
            self.note(partition, clock, _hour(clock))
        active = [clock.watermark_ms for partition, clock in self.partitions.items() if partition not in self.idle]
        lowest_ms = lowest(active) if active else self._newest_ms()
        if lowest_ms is None:
            return []
        reached_ms = sorted({*take_reached(self.waiting, lowest_ms), lowest_ms})
        return [self._step(mark) for mark in reached_ms if self.watermark_ms is None or mark > self.watermark_ms]

    def _newest_ms(self) -> int | None:
        """Return the newest watermark: what is left if the partitions become idle one after the other."""
        known_ms = (clock.watermark_ms for clock in self.partitions.values())
        return max((watermark_ms for watermark_ms in known_ms if watermark_ms is not None), default=None)

    def _step(self, watermark_ms: int) -> Advance:
        self.watermark_ms = watermark_ms
        self.sequence += 1
        return Advance(watermark_ms, self.sequence)


def _hour(clock: PartitionClock) -> list[int]:
    """Return the full hour at or below a clock's watermark, if there is one."""
    hour_ms = (clock.watermark_ms or BEFORE_ANY) // HOUR_MS * HOUR_MS
    return [hour_ms] if hour_ms > BEFORE_ANY else []
