"""What happens, as server-sent events."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress

from aiohttp import web

from driftloop.contracts.message_json import as_dict
from services.control import messages, metrics
from services.control.feed import Feed
from services.control.ports import Events, Stored

_BATCH = 500
_RETRY_MS = 1000
BEAT_S = 10.0
"""Between signs of life while nothing happens: who hears none for twice as long has lost the connection."""
_MOST = 2**31 - 1


class Streams:
    """Events behind a place, each with its place as the id: who comes back with the last one misses nothing."""

    def __init__(self, store: Events, feed: Feed, most: int, beat_s: float = BEAT_S) -> None:
        self._store = store
        self._feed = feed
        self._most = most
        self._beat_s = beat_s
        self._open: set[asyncio.Event] = set()
        self._closing = False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Tell what comes after the header `Last-Event-ID`, or else after `?after=`, until either end goes."""
        last = _place(request.headers.get("Last-Event-ID") or request.query.get("after", "0"))
        if len(self._open) >= self._most:
            raise web.HTTPServiceUnavailable(text=f"{len(self._open)} streams are followed already")
        woken = self._feed.follow()
        self._open.add(woken)
        metrics.PAGES.set(len(self._open))
        try:
            found = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await found.prepare(request)
            with suppress(ConnectionResetError):  # the page is gone: nobody is left to tell
                await found.write(f"retry: {_RETRY_MS}\n\n".encode())
                await self._tell(found, last, woken)
            return found
        finally:
            self._feed.leave(woken)
            self._open.discard(woken)
            metrics.PAGES.set(len(self._open))

    async def close(self) -> None:
        """End all streams."""
        self._closing = True
        for woken in self._open:
            woken.set()

    async def _tell(self, found: web.StreamResponse, last: int, woken: asyncio.Event) -> None:
        while not self._closing:
            woken.clear()
            new = await asyncio.to_thread(self._store.after, last, limit=_BATCH)
            if new:
                last = new[-1].position
                await found.write(b"".join(map(_record, new)))
                continue
            await found.write(b"event: beat\ndata: {}\n\n")
            with suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), self._beat_s)


def _record(stored: Stored) -> bytes:
    event = as_dict(messages.event(stored, payload=False))
    return f"id: {stored.position}\ndata: {json.dumps(event)}\n\n".encode()


def _place(text: str) -> int:
    if not text.isdecimal() or int(text) > _MOST:
        raise web.HTTPBadRequest(text=f"{text!r} is no place in the read model")
    return int(text)
