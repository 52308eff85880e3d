"""Decides when a loop stops reading a topic: after too many consecutive dead letters, whose cause is not one record."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Streak:
    """The dead letters at the end of a batch of one event type. ``partition``, ``offset``: position of the last one."""

    dead_letters: int
    alone: bool
    """Whether the batch has no other record."""
    reason: str = ""
    detail: str = ""
    partition: int = -1
    offset: int = -1


@dataclass(frozen=True, slots=True)
class Refusals:
    """The refused records of a topic of one loop, up to now.

    ``in_a_row``: consecutive dead letters. ``lifted``: a user resumed the topic, so the limit counts again only after
    the next record that is not refused. ``paused_ms``: wall time of the pause, or None. ``paused_by``: id of its event.
    ``definition``: digest of the event's definition at the pause.
    """

    in_a_row: int = 0
    lifted: bool = False
    paused_ms: int | None = None
    paused_by: str = ""
    definition: str = ""

    @property
    def paused(self) -> bool:
        return self.paused_ms is not None

    def add(self, streak: Streak) -> Refusals:
        """Count the records of a batch."""
        if streak.alone:
            return replace(self, in_a_row=self.in_a_row + streak.dead_letters)
        return replace(self, in_a_row=streak.dead_letters, lifted=False)

    def exceeds(self, limit: int) -> bool:
        """Return whether the topic must be paused."""
        return self.in_a_row > limit and not self.lifted

    def pause(self, wall_ms: int, event_id: str, definition: str) -> Refusals:
        return replace(self, paused_ms=wall_ms, paused_by=event_id, definition=definition)

    def resume(self, *, lifted: bool) -> Refusals:
        return Refusals(lifted=lifted)
