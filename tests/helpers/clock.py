"""A clock that a test moves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class ManualClock:
    """`driftloop.clock.Clock` that stands still until it is moved."""

    wall_ms: int = 1_700_000_000_000
    at_s: float = 0.0

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic_s(self) -> float:
        return self.at_s

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self.at_s += seconds
        self.wall_ms += round(seconds * 1000)
