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

    def took(self, offset: int) -> None:
        """A record has been handled."""
        self.following = max(self.following, offset + 1)
        self._since_s = None

    def overdue_s(self, end: int, now_s: float, *, busy: bool) -> float:
        """For how long a record has been there that nobody was given, 0 where all were. ``end``: offset after the last.

        ``busy``: one is being handled, and those behind it have to wait.
        """
        if busy or end <= self.following:
            self._since_s = None
            return 0.0
        if self._since_s is None:
            self._since_s = now_s
        return now_s - self._since_s
