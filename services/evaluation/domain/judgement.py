"""The content of a verdict, before it is an event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from driftloop.events.verdict_outcome import VerdictOutcome


@dataclass(frozen=True, slots=True)
class Interval:
    """Interval of the mean of (champion's loss - challenger's loss) per row; above zero the challenger is better."""

    estimate: float
    lower: float
    upper: float
    level: float
    blocks: int
    rows: int
    resamples: int

    def __str__(self) -> str:
        return f"{self.estimate:+.4f} [{self.lower:+.4f}, {self.upper:+.4f}]"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The content of a verdict."""

    outcome: VerdictOutcome
    reasons: tuple[str, ...]
    interval: Interval | None = None
    """None if fewer than two blocks have rows, because one block has no spread to resample."""
    margin: float = 0.0
    limit_reached: bool = False
    metrics: Mapping[str, float] = field(default_factory=dict)
    slices: Mapping[str, Interval] = field(default_factory=dict)
