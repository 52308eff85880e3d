"""The clock of a raw partition: the watermark at which each row arrived, and which rows its clock must not follow.

A producer's watermark sets the clock. Without one, or after one that hands back, the clock follows the event times. One
wrong event time must not move it, and a pause must not stop it. So an event that is more than ``max_advance`` away from
the watermark moves the clock only if there is evidence for it:

- another partition of the loop has reached that time;
- ``AGREEING`` events in a row are that far ahead or behind;
- together with other partitions, as many events are ahead by about the same time (`agree`);
- the partition is idle, and the event happened just now by the wall clock.

The further events are ahead, the more of them must agree: one for each ``max_advance``, unless they happened just now.
A loop's watermark never goes back, so a burst of wrong events would make all right ones late until their time is
reached. For the first watermark of a partition, two events that agree are enough.

Such an event is accepted all the same: it becomes visible when the watermark reaches it. An event later than the wall
clock allows is refused, and so is an event too far ahead of a producer's watermark, unless it happened just now.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from driftloop.bus.ports import TopicPartition
from services.ingestion.domain.rejection import LATEST, time_text

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

BEFORE_ANY = 0
"""Arrival watermark of rows that arrived before their partition had a watermark."""
HOUR_MS = 3_600_000
AGREEING = 5
"""Least number of consecutive events far from the watermark that move the clock."""
AGREEING_MOST = 200
"""Number of consecutive events that move the clock however far ahead they are."""
FIRST_AGREEING = 2
"""Number of events that agree for the first watermark of a partition."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A producer's watermark, positioned before the row ``before`` of its run. None: it is derived from here on."""

    before: int
    watermark_ms: int | None


@dataclass(frozen=True, slots=True)
class PartitionClock:
    """``watermark_ms`` is None before the first one; ``explicit`` once a producer has sent one.

    ``ahead_ms``, ``behind_ms``: times of the newest consecutive events too far ahead of or behind the watermark.
    """

    watermark_ms: int | None = None
    explicit: bool = False
    ahead_ms: tuple[int, ...] = ()
    behind_ms: tuple[int, ...] = ()

    def at_least(self, watermark_ms: int | None) -> PartitionClock:
        """Return a clock that is not behind its loop, for a partition that was ignored while idle."""
        if watermark_ms is None or (self.watermark_ms is not None and self.watermark_ms >= watermark_ms):
            return self
        return PartitionClock(watermark_ms, self.explicit, self.ahead_ms, self.behind_ms)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a partition's clock is compared with. None: not known.

    ``now_ms``: the wall clock when the rows were read. ``elsewhere_ms``: the newest watermark of the loop's other
    partitions. ``loop_ms``: the loop's watermark, behind which no clock may fall.
    """

    now_ms: int | None = None
    elsewhere_ms: int | None = None
    loop_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The effect of a run of rows on its partition's clock. ``arrival_ms`` int64 [n], ``refused`` bool [n].

    ``passed``: watermarks that the loop must not skip, ascending: those of the producer that advanced the clock, and
    the hours that a derived watermark passed. So a backlog gives the same steps however fast it is read.
    """

    arrival_ms: Ints
    refused: Mask
    clock: PartitionClock
    passed: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ArrivalRules:
    """`TimeRules` in milliseconds."""

    lateness_ms: int
    max_advance_ms: int

    @property
    def reach_ms(self) -> int:
        """How far from a derived watermark an event may be. The newest event is `lateness_ms` ahead of it."""
        return max(self.max_advance_ms, 2 * self.lateness_ms)

    def latest_ms(self, now_ms: int | None) -> int | None:
        """Return the last time that the wall clock allows for an event or a watermark."""
        return None if now_ms is None else now_ms + self.max_advance_ms

    def read(
        self, clock: PartitionClock, times_ms: Ints, marks: Sequence[Mark], evidence: Evidence = Evidence()
    ) -> Arrivals:
        """Apply rows with these event times (int64 [n], in order of offset) and the marks between them.

        The marks are not later than `latest_ms`.
        """
        arrival = np.empty(len(times_ms), dtype=np.int64)
        refused = np.zeros(len(times_ms), dtype=bool)
        passed: list[int] = []
        at = 0
        for mark in (*marks, None):
            end = len(times_ms) if mark is None else mark.before
            if end > at:
                piece, before = slice(at, end), clock
                arrival[piece], refused[piece], clock = self._segment(before, times_ms[piece], evidence)
                passed += [] if clock.explicit else _hours(before, arrival[piece], clock)
                at = end
            if mark is not None and mark.watermark_ms is None:
                clock = PartitionClock(clock.watermark_ms)
            elif mark is not None and mark.watermark_ms is not None:
                if clock.watermark_ms is None or mark.watermark_ms > clock.watermark_ms:
                    passed.append(mark.watermark_ms)
                clock = PartitionClock(max(mark.watermark_ms, clock.watermark_ms or 0), True)
        return Arrivals(arrival, refused, clock, tuple(passed))

    def agree(
        self, clocks: Mapping[TopicPartition, PartitionClock], now_ms: int | None = None
    ) -> dict[TopicPartition, PartitionClock]:
        """Return clocks that follow their events ahead, because other partitions of the loop agree with these."""
        changed: dict[TopicPartition, PartitionClock] = {}
        ahead = {partition: clock for partition, clock in clocks.items() if clock.ahead_ms}
        times_ms = sorted(time_ms for clock in ahead.values() for time_ms in clock.ahead_ms)
        for partition, clock in ahead.items():
            others = [changed.get(tp, other).watermark_ms for tp, other in clocks.items() if tp != partition]
            reached_ms = max(map(_known, others), default=_known(None)) + self.reach_ms
            supported = [
                time_ms
                for time_ms in clock.ahead_ms
                if time_ms <= reached_ms or self._count(times_ms, time_ms) >= self._wanted(clock, time_ms, now_ms)
            ]
            if supported:
                changed[partition] = self._follow(clock, supported)
        return changed

    def settle(self, clock: PartitionClock, now_ms: int | None) -> PartitionClock:
        """Return the clock of a partition that became idle: it follows the events ahead that happened just now."""
        recent = [time_ms for time_ms in clock.ahead_ms if self._is_recent(time_ms, now_ms)]
        return self._follow(clock, recent) if recent else clock

    def describe(self, time_ms: int, arrival_ms: int, now_ms: int | None) -> str:
        """Return why an event with this time was refused."""
        latest_ms = self.latest_ms(now_ms)
        if latest_ms is not None and time_ms > latest_ms:
            return f"{time_text(time_ms)} is after {time_text(latest_ms)}, {LATEST}"
        mark = time_text(arrival_ms)
        return f"{time_text(time_ms)} is more than `time.max_advance` after the producer's watermark {mark}"

    def _segment(self, clock: PartitionClock, times_ms: Ints, evidence: Evidence) -> tuple[Ints, Mask, PartitionClock]:
        latest_ms = self.latest_ms(evidence.now_ms)
        if latest_ms is not None and times_ms.max() > latest_ms:
            return self._without_the_future(clock, times_ms, latest_ms, evidence)
        refused = np.zeros(len(times_ms), dtype=bool)
        if clock.watermark_ms is None or clock.ahead_ms or clock.behind_ms:
            return self._one_by_one(clock, times_ms, evidence)
        if clock.explicit:
            if times_ms.max() > clock.watermark_ms + self.max_advance_ms:
                return self._one_by_one(clock, times_ms, evidence)
            return np.full(len(times_ms), clock.watermark_ms), refused, clock
        derived = np.maximum.accumulate(times_ms) - self.lateness_ms
        arrival = np.maximum(np.concatenate(([clock.watermark_ms], derived[:-1])), clock.watermark_ms)
        ahead = times_ms > np.maximum(arrival, _known(evidence.elsewhere_ms)) + self.reach_ms
        if ahead.any() or (times_ms < arrival - self.reach_ms).any():
            return self._one_by_one(clock, times_ms, evidence)
        return arrival, refused, PartitionClock(max(int(derived[-1]), clock.watermark_ms))

    def _without_the_future(
        self, clock: PartitionClock, times_ms: Ints, latest_ms: int, evidence: Evidence
    ) -> tuple[Ints, Mask, PartitionClock]:
        refused = times_ms > latest_ms
        arrival = np.zeros(len(times_ms), dtype=np.int64)
        kept = np.flatnonzero(~refused)
        if len(kept):
            arrival[kept], refused[kept], clock = self._segment(clock, times_ms[kept], evidence)
        return arrival, refused, clock

    def _one_by_one(
        self, clock: PartitionClock, times_ms: Ints, evidence: Evidence
    ) -> tuple[Ints, Mask, PartitionClock]:
        """Apply rows one by one, because each may change how the next one is judged."""
        arrival = np.empty(len(times_ms), dtype=np.int64)
        refused = np.zeros(len(times_ms), dtype=bool)
        for row, time_ms in enumerate(times_ms.tolist()):
            arrival[row] = BEFORE_ANY if clock.watermark_ms is None else clock.watermark_ms
            refused[row], clock = self._one(clock, time_ms, evidence)
        return arrival, refused, clock

    def _one(self, clock: PartitionClock, time_ms: int, evidence: Evidence) -> tuple[bool, PartitionClock]:
        """Return whether an event is refused, and the clock after it."""
        known_ms, reach_ms = clock.watermark_ms, self.reach_ms
        if clock.explicit and known_ms is not None:
            if time_ms <= known_ms + self.max_advance_ms:
                return False, PartitionClock(known_ms, True)
            if not self._is_recent(time_ms, evidence.now_ms):
                return True, clock
            return False, self._ahead(clock, time_ms, evidence.now_ms)
        if time_ms > max(_known(known_ms), _known(evidence.elsewhere_ms)) + reach_ms:
            return False, self._ahead(clock, time_ms, evidence.now_ms)
        if known_ms is not None and time_ms < known_ms - reach_ms:
            return False, self._behind(clock, time_ms, evidence.loop_ms)
        derived_ms = max(time_ms - self.lateness_ms, BEFORE_ANY)
        if known_ms is None or derived_ms > known_ms:
            return False, PartitionClock(derived_ms)
        return False, PartitionClock(known_ms, ahead_ms=clock.ahead_ms)

    def _ahead(self, clock: PartitionClock, time_ms: int, now_ms: int | None) -> PartitionClock:
        times_ms = (*clock.ahead_ms, time_ms)
        if clock.watermark_ms is None:
            agreeing = [other for other in times_ms if abs(other - time_ms) <= self.reach_ms]
            if len(agreeing) >= FIRST_AGREEING:
                return self._follow(clock, agreeing)
        for count, first_ms in zip(range(len(times_ms), AGREEING - 1, -1), sorted(times_ms), strict=False):
            if count >= self._wanted(clock, first_ms, now_ms):
                return self._follow(clock, [other for other in times_ms if other >= first_ms])
        return PartitionClock(clock.watermark_ms, clock.explicit, times_ms)

    def _wanted(self, clock: PartitionClock, time_ms: int, now_ms: int | None) -> int:
        """Return how many events must agree before a clock moves to this time."""
        if clock.watermark_ms is None:
            return FIRST_AGREEING
        if self._is_recent(time_ms, now_ms):
            return AGREEING
        return min(max((time_ms - clock.watermark_ms) // self.max_advance_ms, AGREEING), AGREEING_MOST)

    def _behind(self, clock: PartitionClock, time_ms: int, loop_ms: int | None) -> PartitionClock:
        times_ms = (*clock.behind_ms, time_ms)
        if len(times_ms) < AGREEING:
            return PartitionClock(clock.watermark_ms, clock.explicit, clock.ahead_ms, times_ms)
        return PartitionClock(max(max(times_ms) - self.lateness_ms, _known(loop_ms), BEFORE_ANY))

    def _follow(self, clock: PartitionClock, times_ms: Sequence[int]) -> PartitionClock:
        """Return a derived clock that moves to the first of these events, then on as far as it reaches."""
        first_ms, *later = sorted(times_ms)
        watermark_ms = max(first_ms - self.lateness_ms, _known(clock.watermark_ms), BEFORE_ANY)
        ahead: list[int] = []
        for time_ms in later:
            if time_ms <= watermark_ms + self.reach_ms:
                watermark_ms = max(watermark_ms, time_ms - self.lateness_ms)
            else:
                ahead.append(time_ms)
        return PartitionClock(watermark_ms, ahead_ms=tuple(ahead))

    def _count(self, times_ms: Sequence[int], time_ms: int) -> int:
        """Return how many of the times, which are sorted, are about ``time_ms``."""
        return bisect_right(times_ms, time_ms + self.reach_ms) - bisect_left(times_ms, time_ms - self.reach_ms)

    def _is_recent(self, time_ms: int, now_ms: int | None) -> bool:
        return now_ms is not None and abs(time_ms - now_ms) <= self.max_advance_ms


def _hours(before: PartitionClock, arrival_ms: Ints, after: PartitionClock) -> list[int]:
    """Return the full hours at or below the watermarks that a derived clock had, those after its first one."""
    first_ms, last_ms = before.watermark_ms or BEFORE_ANY, after.watermark_ms or BEFORE_ANY
    if last_ms // HOUR_MS <= first_ms // HOUR_MS:
        return []
    hours = np.unique(np.append(arrival_ms, last_ms) // HOUR_MS) * HOUR_MS
    return [hour for hour in hours.tolist() if hour > first_ms]


def _known(watermark_ms: int | None) -> int:
    return BEFORE_ANY - 2**62 if watermark_ms is None else watermark_ms
