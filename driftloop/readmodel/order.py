"""A total order of events that does not depend on the order in which topics were read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from driftloop.events.envelope import Envelope


def in_order(events: Iterable[Envelope[Any]]) -> list[Envelope[Any]]:
    """Return events by wall time, then id, and every event after its cause.

    Clocks of two machines may differ, so wall time alone can put an event before its cause.
    """
    known = {event.id: event for event in events}
    ranks: dict[str, tuple[int, int, str]] = {}
    for event in sorted(known.values(), key=lambda event: (event.wall_time_ms, event.id)):
        _rank(event, known, ranks)
    return sorted(known.values(), key=lambda event: ranks[event.id])


def _rank(event: Envelope[Any], known: dict[str, Envelope[Any]], ranks: dict[str, tuple[int, int, str]]) -> None:
    path = [event]
    while (cause := known.get(path[-1].causation_id or "")) is not None and cause.id not in ranks:
        if cause in path:
            break  # a causal cycle has no valid order
        path.append(cause)
    for step in reversed(path):
        wall, depth = step.wall_time_ms, 0
        if (before := ranks.get(step.causation_id or "")) is not None and before[0] >= wall:
            wall, depth = before[0], before[1] + 1
        ranks[step.id] = (wall, depth, step.id)
