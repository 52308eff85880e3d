"""What the notifier needs from outside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.control.domain.notices import Notice


@dataclass(frozen=True, slots=True)
class Due:
    """A notice that has to go out over one channel now."""

    notice: Notice
    attempts: int
    """Tries that were made."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The receiver has it."""


@dataclass(frozen=True, slots=True)
class TryLater:
    """The receiver does not answer, or not now."""

    problem: str
    after_s: float | None = None
    """Least pause that the receiver asks for, before anything else is sent to it."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver will never take it."""

    problem: str


Answer = Accepted | TryLater | Refused


class Channel(Protocol):
    """A way to a person."""

    def send(self, notice: Notice) -> Answer:
        """Send, and wait for the answer within a bound. What it says of a problem holds no secret."""
        ...


class NoticeQueue(Protocol):
    """Notices that wait for one channel. Each call is a short transaction of its own."""

    def due(self, now_ms: int, limit: int) -> Sequence[Due]:
        """Those to send at a wall time, the oldest first."""
        ...

    def sent(self, notice_id: str, now_ms: int) -> None:
        """The receiver has it."""
        ...

    def failed(self, notice_id: str, retry_at_ms: int, problem: str) -> None:
        """Count the try; the next one is at a wall time."""
        ...

    def give_up(self, notice_id: str, now_ms: int, problem: str) -> None:
        """Count the try; there will be no other."""
        ...

    def pass_over(self, now_ms: int, why: str) -> int:
        """Let all that wait go, unsent; returns how many."""
        ...

    def waiting(self) -> int:
        """How many wait."""
        ...
