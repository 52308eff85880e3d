"""A loop's watermark over the partitions of the rows, which carry it in band."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Watermarks:
    """Newest watermark of each partition, and those that the engine has still to be advanced through.

    Each is an ``available_at`` of its own, so none is skipped, however far one partition is read ahead of another.
    """

    partitions: int
    newest: dict[int, int] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)

    def seen(self, partition: int, watermark_ms: int, advanced_ms: int | None) -> None:
        """Note a watermark that stood in a partition; ``advanced_ms`` is where the engine is. A repeat is a no-op."""
        self.newest[partition] = max(watermark_ms, self.newest.get(partition, watermark_ms))
        if advanced_ms is None or watermark_ms > advanced_ms:
            self.waiting.add(watermark_ms)

    def due(self) -> list[int]:
        """Watermarks that all partitions have reached, ascending; they are given out once."""
        if len(self.newest) < self.partitions:
            return []
        reached = min(self.newest.values())
        due = sorted(each for each in self.waiting if each <= reached)
        self.waiting.difference_update(due)
        return due
