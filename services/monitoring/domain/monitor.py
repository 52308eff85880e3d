"""One loop's windows: rows and watermarks in, closed windows out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from driftloop.model.losses import LabelKind
from services.monitoring.domain.grid import Reference
from services.monitoring.domain.join import Joined, OutcomeJoin
from services.monitoring.domain.rows import Outcome, Prediction
from services.monitoring.domain.watermarks import Watermarks
from services.monitoring.domain.window import SliceRule, Window, summarize


@dataclass(frozen=True, slots=True)
class Rules:
    """What a loop's definition says about its windows."""

    loop: str
    kind: LabelKind
    block_ms: int
    horizon_ms: int
    slices: tuple[SliceRule, ...] = ()
    classes: int = 0
    """How many the label has; 0 where it is a number."""
    corrections_ms: int = 0
    """How long after a key's first outcome another value replaces it."""


@dataclass(frozen=True, slots=True)
class Closed:
    """A window that closed, and what that did to the rows."""

    window: Window
    joined: Joined
    forget_before_ms: int
    """Settled rows that became visible earlier are forgotten."""


class LoopMonitor:
    """State of one loop. Not thread-safe; what it holds does not depend on how its input was cut into batches."""

    def __init__(self, rules: Rules, *, outcome_partitions: int, prediction_partitions: int) -> None:
        self.rules = rules
        self.join = OutcomeJoin(rules.horizon_ms, corrections_ms=rules.corrections_ms, block_ms=rules.block_ms)
        self.outcome_watermarks = Watermarks(outcome_partitions)
        self.prediction_watermarks = Watermarks(prediction_partitions)
        self.closed_ms: int | None = None
        """End of the newest closed window."""

    @property
    def watermark_ms(self) -> int | None:
        """Up to when both outcomes and predictions are whole, or None before that is known."""
        both = (self.outcome_watermarks.least, self.prediction_watermarks.least)
        known = [each for each in both if each is not None]
        return min(known) if len(known) == len(both) else None

    def add_predictions(self, rows: Iterable[Prediction]) -> list[Prediction]:
        """Take predictions; returns the new ones."""
        return self.join.add_predictions(rows)

    def add_outcomes(self, rows: Iterable[Outcome]) -> None:
        """Take outcomes that were not taken before."""
        self.join.add_outcomes(rows)

    def due(self) -> tuple[int, int] | None:
        """The next window, as start and end, where both watermarks have reached its end.

        The first one holds the loop's first watermark, and all that stands before it.
        """
        watermark, start = self.watermark_ms, self._next_start()
        if watermark is None or start is None or watermark < start + self.rules.block_ms:
            return None
        return start, start + self.rules.block_ms

    def releases_before(self, end_ms: int) -> set[str]:
        """Releases whose reference the window that ends then needs."""
        return self.join.releases_before(end_ms)

    def close(self, references: Mapping[str, Reference]) -> Closed:
        """Close the window that is due.

        Raises:
            ValueError: none is.
        """
        span = self.due()
        if span is None:
            raise ValueError("no window is due")
        joined = self.join.close(span[1])
        window = summarize(joined, span, kind=self.rules.kind, slices=self.rules.slices, references=references)
        self.closed_ms = window.end_ms
        return Closed(window, joined, self.join.forget(window.end_ms))

    def _next_start(self) -> int | None:
        if self.closed_ms is not None:
            return self.closed_ms
        beginning = self.outcome_watermarks.beginning
        return None if beginning is None else beginning // self.rules.block_ms * self.rules.block_ms
