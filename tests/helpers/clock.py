from __future__ import annotations

from dataclasses import dataclass


@dataclass
class FakeClock:
    """A `driftloop.process.clock.Clock` that advances by `move`, and by ``tick_s`` per read of the monotonic time."""

    wall_ms: int = 1_700_000_000_000
    at_s: float = 0.0
    tick_s: float = 0.0

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_s(self) -> float:
        self.move(self.tick_s)
        return self.at_s

    def move(self, seconds: float) -> None:
        """Advance wall time and monotonic time."""
        self.at_s += seconds
        self.wall_ms += round(seconds * 1000)
