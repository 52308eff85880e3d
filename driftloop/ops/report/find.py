"""Which loop or release a name means. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from driftloop.events.envelope import Envelope
from driftloop.ops.report.releases import releases


def loops(events: Iterable[Envelope[Any]]) -> list[str]:
    """Every loop that an event names, by name."""
    return sorted({event.loop for event in events})


def releases_by_loop(events: list[Envelope[Any]]) -> dict[str, str]:
    """Every release that events tell of, in the order of their first mention, with its loop."""
    return {
        found["id"]: loop
        for loop in loops(events)
        for found in releases(event for event in events if event.loop == loop)
    }
