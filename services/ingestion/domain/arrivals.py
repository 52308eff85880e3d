"""The clock of a raw partition: the watermark at which each row arrived, and which rows are too far ahead of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

BEFORE_ANY = 0
"""Arrival watermark of rows that arrived before their partition had a watermark."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A producer's watermark, positioned before the row ``before`` of its run."""

    before: int
    watermark_ms: int


@dataclass(frozen=True, slots=True)
class PartitionClock:
    """``watermark_ms`` is None before the first one; ``explicit`` once a producer has sent one."""

    watermark_ms: int | None = None
    explicit: bool = False

    def at_least(self, watermark_ms: int | None) -> PartitionClock:
        """Return a clock that is not behind its loop, for a partition that was ignored while idle."""
        if watermark_ms is None or (self.watermark_ms is not None and self.watermark_ms >= watermark_ms):
            return self
        return PartitionClock(watermark_ms, self.explicit)


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The effect of a run of rows on its partition's clock. ``arrival_ms`` int64 [n], ``ahead`` bool [n].

    ``sent``: the producer's watermarks that advanced it, ascending.
    """

    arrival_ms: Ints
    ahead: Mask
    clock: PartitionClock
    sent: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ArrivalRules:
    """`TimeRules` in milliseconds."""

    lateness_ms: int
    max_advance_ms: int

    def read(self, clock: PartitionClock, times_ms: Ints, marks: Sequence[Mark]) -> Arrivals:
        """Apply rows with these event times (int64 [n], in order of offset) and the marks between them.

        A row that is too far ahead does not advance the clock. Without a watermark, no row is too far ahead.
        """
        arrival = np.empty(len(times_ms), dtype=np.int64)
        ahead = np.zeros(len(times_ms), dtype=bool)
        sent: list[int] = []
        at = 0
        for mark in (*marks, None):
            end = len(times_ms) if mark is None else mark.before
            if end > at:
                piece = slice(at, end)
                arrival[piece], ahead[piece], moved = self._segment(clock, times_ms[piece])
                clock = _derive(clock, moved)
                at = end
            if mark is not None:
                if clock.watermark_ms is None or mark.watermark_ms > clock.watermark_ms:
                    sent.append(mark.watermark_ms)
                clock = PartitionClock(max(mark.watermark_ms, clock.watermark_ms or 0), True)
        return Arrivals(arrival, ahead, clock, tuple(sent))

    def _segment(self, clock: PartitionClock, times_ms: Ints) -> tuple[Ints, Mask, int | None]:
        if clock.explicit:
            watermark_ms = clock.watermark_ms or 0
            return np.full(len(times_ms), watermark_ms), times_ms > watermark_ms + self.max_advance_ms, None
        derived = np.maximum.accumulate(times_ms) - self.lateness_ms
        start = BEFORE_ANY if clock.watermark_ms is None else clock.watermark_ms
        arrival = np.maximum(np.concatenate(([start], derived[:-1])), start)
        ahead = times_ms > arrival + self.max_advance_ms
        ahead[0] &= clock.watermark_ms is not None
        if ahead.any():
            return self._one_by_one(clock, times_ms)
        return arrival, ahead, int(derived[-1])

    def _one_by_one(self, clock: PartitionClock, times_ms: Ints) -> tuple[Ints, Mask, int | None]:
        """Apply rows one by one, because a skipped row affects the ones after it."""
        arrival = np.empty(len(times_ms), dtype=np.int64)
        ahead = np.zeros(len(times_ms), dtype=bool)
        watermark_ms = clock.watermark_ms
        for row, time_ms in enumerate(times_ms.tolist()):
            arrival[row] = BEFORE_ANY if watermark_ms is None else watermark_ms
            if watermark_ms is not None and time_ms > watermark_ms + self.max_advance_ms:
                ahead[row] = True
            else:
                watermark_ms = max(watermark_ms or BEFORE_ANY, time_ms - self.lateness_ms)
        return arrival, ahead, watermark_ms


def _derive(clock: PartitionClock, to_ms: int | None) -> PartitionClock:
    if to_ms is None or (clock.watermark_ms is not None and to_ms <= clock.watermark_ms):
        return clock
    return PartitionClock(max(to_ms, BEFORE_ANY), clock.explicit)
