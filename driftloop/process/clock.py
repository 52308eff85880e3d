"""Wall time, injected. Domain code never asks for it: decisions are taken in event time."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Tells wall time."""

    def now_ms(self) -> int:
        """UTC milliseconds since the epoch."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that only grow, for waits and durations."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """See `Clock`."""
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        """See `Clock`."""
        return time.monotonic()
