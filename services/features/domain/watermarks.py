"""A loop's watermark over the partitions of its rows."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Watermarks:
    """The newest watermark of each partition, and the watermarks that the engine has not reached.

    Each is an ``available_at``, so none is skipped, whatever the order in which partitions are read.
    """

    partitions: int
    newest: dict[int, int] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)

    def seen(self, partition: int, watermark_ms: int, advanced_ms: int | None) -> None:
        """Record a watermark of a partition; ``advanced_ms`` is the engine's watermark. A repeat has no effect."""
        self.newest[partition] = max(watermark_ms, self.newest.get(partition, watermark_ms))
        if advanced_ms is None or watermark_ms > advanced_ms:
            self.waiting.add(watermark_ms)

    def due(self) -> list[int]:
        """Return watermarks that all partitions have reached, ascending, each once."""
        if len(self.newest) < self.partitions:
            return []
        reached = min(self.newest.values())
        due = sorted(each for each in self.waiting if each <= reached)
        self.waiting.difference_update(due)
        return due
