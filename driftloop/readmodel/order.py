"""One order for a set of events, whatever the order in which their topics were read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from driftloop.events.envelope import Envelope


def in_order(events: Iterable[Envelope[Any]]) -> list[Envelope[Any]]:
    """Events by wall time, then id, but for this: none stands before the event that led to it.

    The clocks of two machines may differ; causes do not.
    """
    known = {event.id: event for event in events}
    ranks: dict[str, tuple[int, int, str]] = {}
    for event in sorted(known.values(), key=lambda each: (each.wall_time_ms, each.id)):
        _rank(event, known, ranks)
    return sorted(known.values(), key=lambda each: ranks[each.id])


def _rank(event: Envelope[Any], known: dict[str, Envelope[Any]], ranks: dict[str, tuple[int, int, str]]) -> None:
    path = [event]
    while (cause := known.get(path[-1].causation_id or "")) is not None and cause.id not in ranks:
        if cause in path:
            break  # events that name each other as causes: no order can be right
        path.append(cause)
    for each in reversed(path):
        wall, depth = each.wall_time_ms, 0
        if (before := ranks.get(each.causation_id or "")) is not None and before[0] >= wall:
            wall, depth = before[0], before[1] + 1
        ranks[each.id] = (wall, depth, each.id)
