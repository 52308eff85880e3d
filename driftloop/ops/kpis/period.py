"""A span of event time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Period:
    """``[since_ms, until_ms)`` in UTC milliseconds since the epoch; None: no limit."""

    since_ms: int | None = None
    until_ms: int | None = None

    def holds(self, time_ms: int) -> bool:
        return not self.is_before(time_ms) and self.is_known(time_ms)

    def is_before(self, time_ms: int) -> bool:
        return self.since_ms is not None and time_ms < self.since_ms

    def is_known(self, time_ms: int) -> bool:
        """Return whether a time is before the end."""
        return self.until_ms is None or time_ms < self.until_ms

    def clip_ms(self, first_ms: int, last_ms: int) -> int:
        """Return the length of ``[first_ms, last_ms]`` within the period, in milliseconds."""
        start = first_ms if self.since_ms is None else max(first_ms, self.since_ms)
        end = last_ms if self.until_ms is None else min(last_ms, self.until_ms)
        return max(0, end - start)
