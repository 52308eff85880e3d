"""Runs a table of handlers. The effect of an event happens once, even if the event is delivered again.

One SQL transaction stores the event's id in the inbox, the change of state and the events to send. The relay publishes
the outbox, and the offset is committed after that. So a consumer group without lag has published everything.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import Engine
from structlog.contextvars import bound_contextvars

from driftloop.bus.dead_letters import dead_letter_for_error
from driftloop.bus.ports import LifecycleConsumer, LifecycleProducer, Record, TopicPartition
from driftloop.contracts.topics import message_class as message_named
from driftloop.contracts.topics import topic, topic_of
from driftloop.events.envelope import Draft, Envelope, from_record
from driftloop.process import log, telemetry
from driftloop.process.clock import Clock, SystemClock
from driftloop.process.errors import InvalidEvent, OtherLoop, Retriable
from driftloop.runner import inbox, metrics, outbox
from driftloop.runner.handler import HandlerTable, Transaction
from driftloop.runner.relay import PRUNE_EVERY_S, Relay


@dataclass(frozen=True)
class Patience:
    """Waits and limits of a runner."""

    poll_timeout_s: float = 0.25
    relay_pause_s: float = 1.0
    """Longest time between checks of the outbox; a commit in this process is published at once."""
    retry_first_s: float = 0.05
    retry_longest_s: float = 5.0
    retry_limit: int = 200
    """Attempts per event before the process ends and is restarted."""
    last_relay_s: float = 5.0
    """Longest wait for a running publication at the end; if it is cut, the same events are published again."""


class LifecycleService:
    """Consumes all topics that declare a message of the table."""

    def __init__(
        self,
        *,
        name: str,
        handlers: HandlerTable,
        engine: Engine,
        consumer: LifecycleConsumer,
        producer: LifecycleProducer,
        stop: threading.Event,
        clock: Clock | None = None,
        patience: Patience | None = None,
        seed: int = 0,
        topic_ids: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._name = name
        self._handlers = dict(handlers)
        self._engine = engine
        self._consumer = consumer
        self._producer = producer
        self._stop = stop
        self._clock = clock or SystemClock()
        self._patience = patience or Patience()
        self._random = random.Random(seed)
        self._relay = Relay(name, engine, producer, self._clock)
        self._log = log.get(__name__)
        self._read_topic_ids = topic_ids
        self._topic_ids: Mapping[str, str] | None = None
        self._pruned_s = self._clock.monotonic_s()
        self._ready = False
        self._relaying_ends = False

    def ready(self) -> bool:
        return self._ready

    async def run(self) -> None:
        """Handle events until the stop event is set. A defect in a handler ends it, and the event is handled again."""
        await self._producer.start()
        await self._consumer.start()
        relaying = asyncio.create_task(
            self._relay.keep_flushing(lambda: self._relaying_ends, self._patience.relay_pause_s)
        )
        try:
            await self._relay.try_flush()
            self._ready = True
            while not self._stop.is_set():
                if relaying.done():
                    relaying.result()
                records = await self._consumer.poll(100, self._patience.poll_timeout_s)
                if records:
                    await self._handle_batch(records)
                await self._prune()
        finally:
            self._ready = False
            await self._end_relaying(relaying)
            await self._consumer.stop()
            await self._producer.stop()

    async def _end_relaying(self, relaying: asyncio.Task[None]) -> None:
        self._relaying_ends = True
        self._relay.wake()
        await asyncio.wait({relaying}, timeout=self._patience.last_relay_s)
        relaying.cancel()
        await asyncio.gather(relaying, return_exceptions=True)

    async def _handle_batch(self, records: Sequence[Record]) -> None:
        positions = {}
        for record in records:
            if not await self._handle_with_retry(record):
                return  # stopped: uncommitted records are delivered again, and the inbox skips those that were handled
            positions[TopicPartition(record.topic, record.partition)] = record.offset + 1
        while await self._unsent():
            if self._stop.is_set():
                return
            await self._relay.try_flush()
        try:
            await self._consumer.commit(positions)
        except Retriable as error:
            self._log.warning("commit-refused", problem=str(error))

    async def _prune(self) -> None:
        """Delete some ids of events that were handled long ago, once a minute."""
        if self._clock.monotonic_s() - self._pruned_s < PRUNE_EVERY_S:
            return
        self._pruned_s = self._clock.monotonic_s()
        pruned = await asyncio.to_thread(inbox.prune, self._engine, self._handlers.keys(), self._clock.now_ms())
        metrics.PRUNED.add(pruned, service=self._name, table="inbox")

    async def _unsent(self) -> bool:
        return bool(await asyncio.to_thread(outbox.unsent, self._engine, 1))

    async def _handle_with_retry(self, record: Record) -> bool:
        """Handle a record, with retries; return False if the service must stop first."""
        position = f"{record.topic}/{record.partition}/{record.offset}"
        pause_s = self._patience.retry_first_s
        for number in range(self._patience.retry_limit):
            if self._stop.is_set():
                return False
            try:
                await self._handle(record)
            except Retriable as error:
                metrics.RETRIED.add(service=self._name, topic=record.topic)
                self._log.warning("retry", position=position, attempt=number, problem=str(error))
                await asyncio.sleep(pause_s * self._random.uniform(0.5, 1.0))
                pause_s = min(pause_s * 2, self._patience.retry_longest_s)
            else:
                return True
        raise Retriable(
            f"the event at {position} failed in all {self._patience.retry_limit} attempts; the process restarts"
        )

    async def _handle(self, record: Record) -> None:
        try:
            event = self._read(record)
            if event is not None:
                await asyncio.to_thread(self._handle_event, event, record)
        except OtherLoop as error:
            metrics.OTHER_LOOP.add(service=self._name, topic=record.topic)
            self._log.debug("other-loop", topic=record.topic, offset=record.offset, problem=str(error))
        except InvalidEvent as error:
            await self._refuse(record, error)

    def _read(self, record: Record) -> Envelope[Any] | None:
        """Return the event, or None for a message of the topic that has no handler here."""
        declared = [message_named(name) for name in topic(record.topic).messages]
        event = from_record(record, declared)
        return event if type(event.data) in self._handlers else None

    def _handle_event(self, event: Envelope[Message], record: Record) -> None:
        """Handle an event, unless it was handled before."""
        if self._topic_ids is None:
            self._topic_ids = self._read_topic_ids()
        handled_in = self._once(event, record, self._topic_ids.get(record.topic, ""))
        if handled_in is None:
            return
        self._topic_ids = self._read_topic_ids()
        if handled_in == self._topic_ids.get(record.topic, ""):
            metrics.REPEATED.add(service=self._name, type=event.type)
            return
        self._log.warning("topic-created-again", topic=record.topic)
        inbox.forget_positions(self._engine, record.topic)
        self._once(event, record, self._topic_ids.get(record.topic, ""))

    def _once(self, event: Envelope[Message], record: Record, topic_id: str) -> str | None:
        """Handle an event that the inbox does not have.

        Return None, or the id of the topic in which an event at this record's offset was handled long ago.
        """
        started = self._clock.monotonic_s()
        with (
            bound_contextvars(correlation_id=event.correlation_id, event_id=event.id, loop=event.loop),
            telemetry.span(event.type, event.traceparent, service=self._name, event_id=event.id) as traceparent,
            self._engine.begin() as connection,
        ):
            if inbox.is_known(connection, event.id):
                metrics.REPEATED.add(service=self._name, type=event.type)
                return None
            if (handled_in := inbox.topic_id_before(connection, record)) is not None:
                return handled_in
            drafts: Sequence[Draft] = self._handlers[type(event.data)](event, Transaction(connection))
            now_ms = self._clock.now_ms()
            outbox.put(connection, drafts, source=self._name, wall_time_ms=now_ms, cause=event, traceparent=traceparent)
            inbox.add(connection, event, record, topic_id, now_ms)
        metrics.HANDLED.add(service=self._name, type=event.type)
        metrics.HANDLE_SECONDS.record(self._clock.monotonic_s() - started, service=self._name, type=event.type)
        return None

    async def _refuse(self, record: Record, error: InvalidEvent) -> None:
        metrics.DEAD_LETTERED.add(service=self._name, reason=error.reason)
        await self._producer.send([dead_letter_for_error(record, error, self._name)])


def topics_of(handlers: HandlerTable) -> list[str]:
    """Return the topics that a table of handlers consumes."""
    return sorted({topic_of(message).name for message in handlers})
