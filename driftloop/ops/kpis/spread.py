"""Times and shares, and their summaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from driftloop.events.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Took:
    """Time between two events, in seconds."""

    event_s: float
    wall_s: float

    @staticmethod
    def between(first: Envelope[Any], last: Envelope[Any]) -> Took:
        """Return the time from one event to another."""
        return Took((last.time_ms - first.time_ms) / 1000, (last.wall_time_ms - first.wall_time_ms) / 1000)


@dataclass(frozen=True, slots=True)
class Spread:
    """Median and 90th percentile of `count` numbers, linear between the nearest two (Hyndman and Fan 1996, type 7)."""

    count: int
    p50: float
    p90: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread | None:
        """Return the spread of some numbers; None without numbers."""
        if not values:
            return None
        p50, p90 = np.quantile(values, [0.5, 0.9])
        return Spread(len(values), float(p50), float(p90))


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole."""

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        """Return the share between 0 and 1; None if the whole is 0."""
        return self.part / self.whole if self.whole else None

    def to_json(self) -> dict[str, Any]:
        return {"part": self.part, "whole": self.whole, "value": self.value}
