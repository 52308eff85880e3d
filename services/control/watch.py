"""Queues notices when new events arrive, or when work stays pending too long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine

from driftloop.events.envelope import Envelope
from driftloop.process.clock import Clock
from services.control.domain.notices import notice_of, stuck
from services.control.notify.queue import put
from services.control.views import Views

_CHECK_S = 15.0


class Notices:
    """Queues the notice of each event that has one, in the transaction that stores the event."""

    def __init__(self, clock: Clock, fresh_ms: int) -> None:
        self._clock = clock
        self._fresh_ms = fresh_ms

    def __call__(self, connection: Connection, new: Sequence[Envelope[Any]]) -> None:
        now_ms = self._clock.now_ms()
        for event in new:
            if (notice := notice_of(event)) is not None:
                put(connection, notice, now_ms, fresh_ms=self._fresh_ms)


class StuckLoops:
    """Checks on a thread of its own for loops with work that is pending too long by wall time."""

    def __init__(
        self,
        views: Views,
        engine: Engine,
        clock: Clock,
        stop: threading.Event,
        after_ms: int,
        caught_up: Callable[[], bool],
    ) -> None:
        self._views = views
        self._engine = engine
        self._clock = clock
        self._stop = stop
        self._after_ms = after_ms
        self._caught_up = caught_up
        self._since: dict[str, dict[str, int]] = {}

    def run(self) -> None:
        while not self._stop.wait(_CHECK_S):
            if self._caught_up():
                self.check()

    def check(self) -> None:
        """Queue a notice for each loop that is stuck. New pending work counts from now."""
        now_ms = self._clock.now_ms()
        for loop in self._views.loops():
            before = self._since.get(loop, {})
            since = {work: before.get(work, now_ms) for work in self._views.state(loop).open}
            self._since[loop] = since
            if (notice := stuck(loop, since, now_ms, self._after_ms)) is not None:
                with self._engine.begin() as connection:
                    put(connection, notice, now_ms)
