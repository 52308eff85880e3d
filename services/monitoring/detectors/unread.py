"""Whether records lie in a partition that its reader is not given.

The reader's library is not asked, as it is the one that passed over them: the broker is.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Unread:
    """How far a partition was taken, and since when its end is beyond that. Times in seconds of one clock."""

    following: int
    """Offset of the record that comes next."""
    _since_s: float | None = None
    _in_hand: bool = False

    def takes(self) -> None:
        """A record is being handled: those behind it have to wait."""
        self._in_hand = True

    def took(self, offset: int) -> None:
        """It has been handled."""
        self.following = max(self.following, offset + 1)
        self._in_hand = False
        self._since_s = None

    def overdue_s(self, end: int, now_s: float) -> float:
        """Seconds since a record was first seen that nobody was given, or 0. ``end``: offset after the last record."""
        if self._in_hand or end <= self.following:
            self._since_s = None
            return 0.0
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s
