"""The agent as a writer of a loop's prediction log: which record it owes, and whether its Triton may answer.

`docs/decisions/0015-prediction-watermarks-carry-their-writer.md` states the rules. Pure.
"""

from __future__ import annotations

from enum import Enum, auto


class Phase(Enum):
    """What a start of a writer does."""

    JOINING = auto()
    """Its join is not acknowledged by all partitions."""
    CATCHING_UP = auto()
    """It reads the features' watermarks up to the end that their topic had after the join."""
    OPEN = auto()
    """It answers, and writes each watermark that it sees."""


class Writer:
    """One loop's writer. ``seen_ms``: the newest features' watermark that an earlier start has seen, if any."""

    def __init__(self, start: int, seen_ms: int | None = None) -> None:
        self.start = start
        self.seen_ms = seen_ms
        self.phase = Phase.JOINING
        self._written_ms: int | None = None

    @property
    def may_answer(self) -> bool:
        return self.phase is Phase.OPEN

    @property
    def due_ms(self) -> int | None:
        """The watermark to write once everything that was answered before it was seen is shipped; None if none is due.

        Each start writes at least the newest one: monitoring forgets what an earlier start wrote.
        """
        return self.seen_ms if self.phase is Phase.OPEN and self.seen_ms != self._written_ms else None

    def see(self, watermark_ms: int) -> None:
        """Record a watermark of the features."""
        self.seen_ms = watermark_ms if self.seen_ms is None else max(watermark_ms, self.seen_ms)

    def joined(self) -> None:
        """Record that all partitions have acknowledged the join."""
        self.phase = Phase.CATCHING_UP

    def caught_up(self) -> None:
        """Record that all watermarks that could be written without this writer are seen."""
        self.phase = Phase.OPEN

    def written(self, watermark_ms: int) -> None:
        """Record that all partitions have acknowledged a watermark."""
        self._written_ms = watermark_ms

    def start_again(self, start: int) -> None:
        """Begin with a new start, because this one was given up."""
        self.start, self.phase, self._written_ms = start, Phase.JOINING, None
