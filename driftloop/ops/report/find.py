"""Loops and releases by name. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from driftloop.events.envelope import Envelope
from driftloop.readmodel.loop_history import histories


def loops(events: Iterable[Envelope[Any]]) -> list[str]:
    """Return the names of all loops in the events, sorted."""
    return sorted({event.loop for event in events})


def releases_by_loop(events: list[Envelope[Any]]) -> dict[str, str]:
    """Return the loop of each release, in the order of first mention within sorted loops."""
    return {release: history.loop for history in histories(events) for release in history.releases}
