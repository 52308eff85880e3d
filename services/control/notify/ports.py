"""Ports of the notifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.control.domain.notices import Notice


@dataclass(frozen=True, slots=True)
class Due:
    """A notice that is due on one channel."""

    notice: Notice
    attempts: int
    """Attempts so far."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The receiver accepted the notice."""


@dataclass(frozen=True, slots=True)
class TryLater:
    """The receiver does not answer, or cannot accept the notice now."""

    problem: str
    after_s: float | None = None
    """Shortest pause that the receiver asks for before the next notice."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The receiver will never accept the notice."""

    problem: str


Answer = Accepted | TryLater | Refused


class Channel(Protocol):
    """A way to notify people."""

    def send(self, notice: Notice) -> Answer:
        """Send, and wait for the answer for a limited time. The answer's problem contains no secret."""
        ...


class NoticeQueue(Protocol):
    """Notices that wait for one channel. Each call is a short transaction."""

    def due(self, now_ms: int, limit: int) -> Sequence[Due]:
        """Return notices that are due at a wall time and that no other instance sends, oldest first."""
        ...

    def claim(self, notice_id: str, now_ms: int, until_ms: int) -> bool:
        """Let no other instance send a notice until a wall time; return False if another one sends it or did so.

        `sent`, `failed` and `give_up` end the claim.
        """
        ...

    def sent(self, notice_id: str, now_ms: int) -> None: ...

    def failed(self, notice_id: str, retry_at_ms: int, problem: str) -> None:
        """Count the attempt, and set the wall time of the next."""
        ...

    def give_up(self, notice_id: str, now_ms: int, problem: str) -> None:
        """Count the attempt, and stop trying."""
        ...

    def pass_over(self, now_ms: int, why: str) -> int:
        """Discard all waiting notices; return their number."""
        ...

    def waiting(self) -> int: ...
