"""Watermarks of one loop on one topic, by partition."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Watermarks:
    """Newest and first watermark of each partition. A partition without a watermark holds back the whole topic."""

    partitions: int
    newest: dict[int, int] = field(default_factory=dict)
    first: dict[int, int] = field(default_factory=dict)

    def advance(self, partition: int, watermark_ms: int) -> None:
        """Record a partition's watermark; an older one is ignored."""
        self.newest[partition] = max(watermark_ms, self.newest.get(partition, watermark_ms))
        self.first.setdefault(partition, watermark_ms)

    def of(self, partition: int) -> int | None:
        """Return the partition's watermark, or None before its first."""
        return self.newest.get(partition)

    @property
    def least(self) -> int | None:
        """The watermark of the topic, or None before each partition has one."""
        return _least(self.newest.values(), self.partitions)

    @property
    def beginning(self) -> int | None:
        """The first watermark of the topic, or None before each partition has one."""
        return _least(self.first.values(), self.partitions)


def _least(values: Iterable[int], partitions: int) -> int | None:
    known = list(values)
    return min(known) if len(known) >= partitions else None
