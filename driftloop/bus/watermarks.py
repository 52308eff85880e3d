"""Watermarks over partitions. A partition without a watermark holds back all others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


def lowest(watermarks_ms: Iterable[int | None]) -> int | None:
    """Return the minimum; None without watermarks, or if one of them is unknown."""
    known_ms = []
    for watermark_ms in watermarks_ms:
        if watermark_ms is None:
            return None
        known_ms.append(watermark_ms)
    return min(known_ms, default=None)


def take_reached(pending_ms: set[int], watermark_ms: int) -> list[int]:
    """Remove the pending watermarks up to ``watermark_ms`` and return them, ascending."""
    reached_ms = sorted(pending for pending in pending_ms if pending <= watermark_ms)
    pending_ms.difference_update(reached_ms)
    return reached_ms


@dataclass
class PartitionWatermarks:
    """The newest watermark of each partition. ``partitions``: how many there are."""

    partitions: int
    newest: dict[int, int] = field(default_factory=dict)

    def advance(self, partition: int, watermark_ms: int) -> None:
        """Record a partition's watermark; an older one is ignored."""
        self.newest[partition] = max(watermark_ms, self.newest.get(partition, watermark_ms))

    @property
    def lowest_ms(self) -> int | None:
        """The watermark that all partitions have reached, or None before each partition has one."""
        return lowest(self.newest.values()) if len(self.newest) >= self.partitions else None
