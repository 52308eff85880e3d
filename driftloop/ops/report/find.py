"""Loops and releases by name. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from driftloop.events.envelope import Envelope
from driftloop.readmodel.attempts import of_loop
from driftloop.readmodel.releases import release_states


def loops(events: Iterable[Envelope[Any]]) -> list[str]:
    """Return the names of all loops in the events, sorted."""
    return sorted({event.loop for event in events})


def releases_by_loop(events: list[Envelope[Any]]) -> dict[str, str]:
    """Return the loop of each release, in the order of first mention within sorted loops."""
    return {release.release_id: loop for loop in loops(events) for release in release_states(of_loop(events, loop))}
