"""Wakes the followers of the read model."""

from __future__ import annotations

import asyncio


class Feed:
    """Wakes followers on one event loop, from any thread, when there may be new events."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[asyncio.Event] = set()

    def bind(self) -> None:
        """Use the running event loop."""
        self._loop = asyncio.get_running_loop()

    def wake(self) -> None:
        """Wake all followers. Before `bind` there are none."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._set_all)

    def follow(self) -> asyncio.Event:
        """Return an event that is set when there may be new events.

        The follower clears it, and calls `leave` at the end.
        """
        event = asyncio.Event()
        self._waiting.add(event)
        return event

    def leave(self, event: asyncio.Event) -> None:
        self._waiting.discard(event)

    def _set_all(self) -> None:
        for event in self._waiting:
            event.set()
