"""Watermarks of one loop on one topic, by partition."""

from __future__ import annotations

from dataclasses import dataclass, field

from driftloop.bus.watermarks import PartitionWatermarks, lowest


@dataclass
class Watermarks(PartitionWatermarks):
    """Also holds the first watermark of each partition."""

    first: dict[int, int] = field(default_factory=dict)

    def advance(self, partition: int, watermark_ms: int) -> None:
        super().advance(partition, watermark_ms)
        self.first.setdefault(partition, watermark_ms)

    @property
    def first_ms(self) -> int | None:
        """The first watermark of the topic, or None before each partition has one."""
        return lowest(self.first.values()) if len(self.first) >= self.partitions else None
