"""Publishes the outbox, in order."""

from __future__ import annotations

import asyncio

from sqlalchemy import Engine

from driftloop import log
from driftloop.bus.ports import LifecycleProducer
from driftloop.clock import Clock
from driftloop.errors import Retriable
from driftloop.runner import metrics, outbox

_BATCH = 200


class Relay:
    """Sends what the outbox holds and notes it as sent after the broker has acknowledged it."""

    def __init__(self, service: str, engine: Engine, producer: LifecycleProducer, clock: Clock) -> None:
        self._service = service
        self._engine = engine
        self._producer = producer
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._log = log.get(__name__)

    async def flush(self) -> int:
        """Send all that is unsent; returns how many.

        Raises:
            Retriable: the broker did not acknowledge; the rest is sent later, in order.
        """
        sent = 0
        async with self._one_at_a_time:
            while pending := await asyncio.to_thread(outbox.unsent, self._engine, _BATCH):
                metrics.BACKLOG.set(len(pending), service=self._service)
                await self._producer.send([each.record for each in pending])
                positions = [each.position for each in pending]
                await asyncio.to_thread(outbox.mark_sent, self._engine, positions, self._clock.now_ms())
                metrics.SENT.add(len(pending), service=self._service)
                sent += len(pending)
            metrics.BACKLOG.set(0, service=self._service)
        return sent

    async def flush_patiently(self, pause_s: float = 0.5) -> int:
        """`flush`, which leaves the rest to a later call where the broker does not answer."""
        try:
            return await self.flush()
        except Retriable as error:
            self._log.warning("relay-waits", problem=str(error))
            await asyncio.sleep(pause_s)
            return 0
