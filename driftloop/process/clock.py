"""Wall time, injected. Domain code does not use it: decisions depend on event time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """A source of wall time."""

    def now_ms(self) -> int:
        """Return UTC milliseconds since the epoch."""
        ...

    def monotonic_s(self) -> float:
        """Return monotonic seconds, for waits and durations."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()
