"""Publishes the outbox, in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy import Engine, event

from driftloop.bus.ports import LifecycleProducer
from driftloop.process import log
from driftloop.process.clock import Clock
from driftloop.process.errors import Retriable
from driftloop.runner import metrics, outbox

PRUNE_EVERY_S = 60.0
_BATCH = 200


class Relay:
    """Sends the events of the outbox, and marks them as sent after the broker has acknowledged them."""

    def __init__(self, service: str, engine: Engine, producer: LifecycleProducer, clock: Clock) -> None:
        self._service = service
        self._engine = engine
        self._producer = producer
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._log = log.get(__name__)
        self._put = asyncio.Event()
        self._event_loop: asyncio.AbstractEventLoop | None = None
        self._defect: BaseException | None = None
        self._pruned_s = clock.monotonic_s()
        event.listen(engine, "checkin", self._wake_after_put)

    async def wait_for_events(self, longest_s: float) -> None:
        """Wait until a transaction has put events in the outbox since the last call, at most ``longest_s``."""
        try:
            await asyncio.wait_for(self._put.wait(), longest_s)
        except TimeoutError:
            return
        self._put.clear()

    def wake(self) -> None:
        """End `wait_for_events` now."""
        self._put.set()

    def _wake_after_put(self, _connection: Any, pooled: Any) -> None:
        """Wake `wait_for_events`: a connection that returns to the pool has finished its commit."""
        if pooled.info.pop(outbox.HAS_PUT, False) and self._event_loop is not None and not self._event_loop.is_closed():
            self._event_loop.call_soon_threadsafe(self._put.set)

    async def flush(self) -> int:
        """Send the events that are unsent now; return their number.

        After a defect every call raises it, so that the process ends.

        Raises:
            Retriable: the broker did not acknowledge; the rest is sent later, in order.
        """
        async with self._one_at_a_time:
            if self._defect is not None:
                raise self._defect
            try:
                sent = await self._send_unsent()
                await self._prune()
                return sent
            except (Retriable, asyncio.CancelledError):
                raise
            except BaseException as error:
                self._defect = error
                raise

    async def _send_unsent(self) -> int:
        sent = 0
        pending = await asyncio.to_thread(outbox.unsent, self._engine, _BATCH)
        while pending:
            metrics.BACKLOG.set(len(pending), service=self._service)
            await self._producer.send([row.record for row in pending])
            positions = [row.position for row in pending]
            await asyncio.to_thread(outbox.mark_sent, self._engine, positions, self._clock.now_ms())
            metrics.SENT.add(len(pending), service=self._service)
            sent += len(pending)
            if len(pending) < _BATCH:
                break  # events that were put since then wake the relay
            pending = await asyncio.to_thread(outbox.unsent, self._engine, _BATCH)
        metrics.BACKLOG.set(0, service=self._service)
        return sent

    async def _prune(self) -> None:
        """Delete some of the events that were sent long ago, once a minute."""
        if self._clock.monotonic_s() - self._pruned_s < PRUNE_EVERY_S:
            return
        self._pruned_s = self._clock.monotonic_s()
        pruned = await asyncio.to_thread(outbox.prune, self._engine, self._clock.now_ms())
        metrics.PRUNED.add(pruned, service=self._service, table="outbox")

    async def keep_flushing(self, ended: Callable[[], bool], pause_s: float = 1.0) -> None:
        """Publish each commit at once until ``ended`` returns True; checks it after a `wake` and every ``pause_s``."""
        self._event_loop = asyncio.get_running_loop()
        while not ended():
            await self.try_flush()
            await self.wait_for_events(pause_s)

    async def try_flush(self, pause_s: float = 0.5) -> int:
        """Flush as `flush` does. If the broker does not answer, log it, pause and leave the rest to a later call."""
        try:
            return await self.flush()
        except Retriable as error:
            self._log.warning("relay-waits", problem=str(error))
            await asyncio.sleep(pause_s)
            return 0
