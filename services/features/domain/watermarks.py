"""A loop's watermark over the partitions of its rows."""

from __future__ import annotations

from dataclasses import dataclass, field

from driftloop.bus.watermarks import PartitionWatermarks, take_reached


@dataclass
class Watermarks(PartitionWatermarks):
    """Also holds the watermarks that the engine has not reached.

    Each is an ``available_at``, so none is skipped, whatever the order in which partitions are read.
    """

    waiting: set[int] = field(default_factory=set)

    def record(self, partition: int, watermark_ms: int, advanced_ms: int | None) -> None:
        """Record a watermark of a partition; ``advanced_ms`` is the engine's watermark. A repeat has no effect."""
        self.advance(partition, watermark_ms)
        if advanced_ms is None or watermark_ms > advanced_ms:
            self.waiting.add(watermark_ms)

    def due(self) -> list[int]:
        """Return watermarks that all partitions have reached, ascending, each once."""
        lowest_ms = self.lowest_ms
        return [] if lowest_ms is None else take_reached(self.waiting, lowest_ms)
