"""Streams events as server-sent events."""

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
HEARTBEAT_S = 10.0
"""Interval of heartbeats while nothing happens: a client without one for twice as long has lost the connection."""
_MAX_POSITION = 2**31 - 1


class Streams:
    """Events after a position, each with its position as id, so that a client can continue from the last one."""

    def __init__(self, store: Events, feed: Feed, max_open: int, heartbeat_s: float = HEARTBEAT_S) -> None:
        self._store = store
        self._feed = feed
        self._max_open = max_open
        self._heartbeat_s = heartbeat_s
        self._open: set[asyncio.Event] = set()
        self._closing = False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Send events after the header `Last-Event-ID`, or else after `?after=`, until either side closes."""
        position = _parse_position(request.headers.get("Last-Event-ID") or request.query.get("after", "0"))
        if len(self._open) >= self._max_open:
            raise web.HTTPServiceUnavailable(text=f"the limit of {len(self._open)} streams is reached; close one")
        woken = self._feed.follow()
        self._open.add(woken)
        metrics.PAGES.set(len(self._open))
        try:
            response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
            await response.prepare(request)
            with suppress(ConnectionResetError):  # the page is gone
                await response.write(f"retry: {_RETRY_MS}\n\n".encode())
                await self._send(response, position, woken)
            return response
        finally:
            self._feed.leave(woken)
            self._open.discard(woken)
            metrics.PAGES.set(len(self._open))

    async def close(self) -> None:
        self._closing = True
        for woken in self._open:
            woken.set()

    async def _send(self, response: web.StreamResponse, position: int, woken: asyncio.Event) -> None:
        while not self._closing:
            woken.clear()
            events = await asyncio.to_thread(self._store.after, position, limit=_BATCH)
            if events:
                position = events[-1].position
                await response.write(b"".join(map(_record, events)))
                continue
            await response.write(b"event: beat\ndata: {}\n\n")
            with suppress(TimeoutError):
                await asyncio.wait_for(woken.wait(), self._heartbeat_s)


def _record(stored: Stored) -> bytes:
    event = as_dict(messages.event(stored, payload=False))
    return f"id: {stored.position}\ndata: {json.dumps(event)}\n\n".encode()


def _parse_position(text: str) -> int:
    if not text.isdecimal() or int(text) > _MAX_POSITION:
        raise web.HTTPBadRequest(text=f"{text!r} is not a position in the read model")
    return int(text)
