"""Wakes the followers of the read model."""

from __future__ import annotations

import asyncio


class Feed:
    """Tells followers on one event loop, from any thread, that there may be something new."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: set[asyncio.Event] = set()

    def bind(self) -> None:
        """Use the running event loop."""
        self._loop = asyncio.get_running_loop()

    def tell(self) -> None:
        """There is something new. Before `bind` nobody follows, so that nobody need be told."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake)

    def follow(self) -> asyncio.Event:
        """An event that is set whenever there is something new; its owner clears it, and says `leave` in the end."""
        event = asyncio.Event()
        self._waiting.add(event)
        return event

    def leave(self, event: asyncio.Event) -> None:
        """Follow no more."""
        self._waiting.discard(event)

    def _wake(self) -> None:
        for event in self._waiting:
            event.set()
