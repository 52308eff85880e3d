"""Turns the rows and watermarks of one loop into closed windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from driftloop.bus.watermarks import lowest
from driftloop.events.prediction_writers import PredictionWatermarks
from driftloop.model.labels import LabelKind
from services.monitoring.domain.join import JoinResult, OutcomeJoin
from services.monitoring.domain.psi import Reference
from services.monitoring.domain.watermarks import Watermarks
from services.monitoring.domain.window import SliceRule, Window, summarize


@dataclass(frozen=True, slots=True)
class WindowRules:
    """The window rules of a loop definition."""

    loop: str
    kind: LabelKind
    block_ms: int
    horizon_ms: int
    slices: tuple[SliceRule, ...] = ()
    classes: int = 0
    """Number of classes of the label; 0 if it is a number."""
    corrections_ms: int = 0
    """How long after a key's first outcome a correction still replaces its value."""


@dataclass(frozen=True, slots=True)
class ClosedWindow:
    """A closed window, and its effect on the rows."""

    window: Window
    joined: JoinResult
    forget_before_ms: int
    """Settled rows that became visible earlier are forgotten."""


@dataclass(frozen=True, slots=True)
class GiveUpReason:
    """Why windows stop to wait for a writer: ``because`` is timeout or command; the command has who and why."""

    because: str
    who: str = ""
    why: str = ""


class LoopMonitor:
    """State of one loop. Not thread-safe. It does not depend on how the input was cut into batches."""

    def __init__(self, rules: WindowRules, *, outcome_partitions: int, prediction_partitions: int) -> None:
        self.rules = rules
        self.join = OutcomeJoin(rules.horizon_ms, corrections_ms=rules.corrections_ms, block_ms=rules.block_ms)
        self.outcome_watermarks = Watermarks(outcome_partitions)
        self.prediction_watermarks = PredictionWatermarks(prediction_partitions)
        self.giving_up: dict[tuple[str, int], GiveUpReason] = {}
        """Writers, with the start, whose give-up is to be written to the log."""
        self.closed_ms: int | None = None
        """End of the newest closed window."""

    @property
    def watermark_ms(self) -> int | None:
        """Event time up to which outcomes and predictions are complete; None before each partition is known."""
        return lowest([self.outcome_watermarks.lowest_ms, self.prediction_watermarks.lowest_ms])

    def ask_give_up(self, writer: str, reason: GiveUpReason) -> bool:
        """Give up the newest open start of a writer; return whether it has one."""
        start = self.prediction_watermarks.open_start(writer)
        if start is not None:
            self.giving_up.setdefault((writer, start), reason)
        return start is not None

    def due(self) -> tuple[int, int] | None:
        """Return start and end of the next window if both watermarks have reached its end, else None.

        The first window contains the loop's first watermark, and all earlier rows. Windows end at whole blocks since
        the epoch; if the length of a block was changed, the first window after the change is a part of one.
        """
        watermark, start = self.watermark_ms, self._next_start()
        if watermark is None or start is None:
            return None
        end = (start // self.rules.block_ms + 1) * self.rules.block_ms
        return (start, end) if watermark >= end else None

    def close(self, references: Mapping[str, Reference]) -> ClosedWindow:
        """Close the window that is due.

        Raises:
            ValueError: no window is due.
        """
        span = self.due()
        if span is None:
            raise ValueError("no window is due")
        joined = self.join.close(span[1])
        window = summarize(joined, span, kind=self.rules.kind, slices=self.rules.slices, references=references)
        self.closed_ms = window.end_ms
        return ClosedWindow(window, joined, self.join.forget(window.end_ms))

    def _next_start(self) -> int | None:
        if self.closed_ms is not None:
            return self.closed_ms
        first_ms = self.outcome_watermarks.first_ms
        return None if first_ms is None else first_ms // self.rules.block_ms * self.rules.block_ms
