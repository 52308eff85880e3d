"""The process of the outcome join: reads batches of records, closes windows, publishes them."""

from __future__ import annotations

import asyncio
import threading
import traceback
from collections.abc import Mapping, Sequence

from sqlalchemy import Engine

from driftloop.bus.dead_letters import DeadLetterLimit, dead_letter
from driftloop.bus.ports import BatchConsumer, LifecycleProducer, Outgoing, Record, TopicPartition
from driftloop.process import log
from driftloop.process.clock import Clock
from driftloop.process.errors import InvalidEvent, Retriable
from driftloop.runner.relay import Relay
from services.monitoring import gauges, metrics
from services.monitoring.adapters.sql import SqlTransaction
from services.monitoring.config import MonitoringSettings
from services.monitoring.domain.grid import Reference
from services.monitoring.domain.monitor import LoopMonitor
from services.monitoring.handlers import Intake
from services.monitoring.ports import JoinCheckpoint, References


class Joiner:
    """Runs the join over all watched loops.

    One transaction writes the rows of a batch, the windows that it closed, and the input positions.
    """

    def __init__(
        self,
        *,
        name: str,
        intake: Intake,
        checkpoint: JoinCheckpoint,
        engine: Engine,
        consumer: BatchConsumer,
        producer: LifecycleProducer,
        references: References,
        settings: MonitoringSettings,
        stop: threading.Event,
        clock: Clock,
    ) -> None:
        self._name = name
        self._intake = intake
        self._checkpoint = checkpoint
        self._engine = engine
        self._consumer = consumer
        self._producer = producer
        self._open = references
        self._settings = settings
        self._stop = stop
        self._clock = clock
        self._relay = Relay(name, engine, producer, clock)
        self._limit = DeadLetterLimit(settings.dead_letter_limit)
        self._references: dict[tuple[str, str], Reference] = {}
        self._waiting_since_s: float | None = None
        self._committed: dict[TopicPartition, int] = {}
        self._committed_s = clock.monotonic_s()
        self._gauges = gauges.WindowGauges()
        self._log = log.get(__name__)
        self._ready = False

    def ready(self) -> bool:
        """Return whether it reads records."""
        return self._ready

    async def run(self) -> None:
        """Join until the stop event is set.

        Raises:
            Retriable: a window waited too long for the route of a release.
            TooManyDeadLetters: the dead letters in a row reached the limit.
        """
        await self._producer.start()
        self._consumer.seek(self._checkpoint.positions)
        self._gauges.show_stages(self._intake.releases.values())
        try:
            await asyncio.to_thread(self.write)
            await self._relay.try_flush()
            self._ready = True
            while not self._stop.is_set():
                await self._turn()
            await asyncio.to_thread(self._commit)
        finally:
            self._ready = False
            await asyncio.to_thread(self._consumer.close)
            await self._producer.stop()

    async def _turn(self) -> None:
        limits = self._settings.poll_records, self._settings.poll_timeout_s
        records = await asyncio.to_thread(self._consumer.poll, *limits)
        if records or self._waiting_since_s is not None:
            letters = await asyncio.to_thread(self.take, records)
            if letters:
                await self._producer.send(letters)
            await asyncio.to_thread(self.write)
        await self._relay.try_flush()
        if self._clock.monotonic_s() - self._committed_s > self._settings.commit_every_s:
            await asyncio.to_thread(self._commit)

    def _commit(self) -> None:
        """Commit the read offsets to the broker, for lag monitoring. A restart uses the checkpoint instead."""
        self._committed_s = self._clock.monotonic_s()
        if self._committed != self._checkpoint.positions:
            self._consumer.commit(self._checkpoint.positions)
            self._committed = dict(self._checkpoint.positions)

    def take(self, records: Sequence[Record]) -> list[Outgoing]:
        """Read records into memory; return dead letters for those that can never be handled."""
        letters = []
        for record in records:
            try:
                self._intake.handle(record)
                self._limit.accepted()
            except InvalidEvent as error:
                letters.append(self._refuse(record, error))
        self._checkpoint.positions.update(positions_after(records))
        return letters

    def write(self) -> None:
        """Close the windows that are due, and write all changes in one transaction."""
        started = self._clock.monotonic_s()
        changes = self._intake.take_changes()
        with self._engine.begin() as connection:
            tx = SqlTransaction(connection, self._name, self._clock)
            tx.add(changes)
            all_closed = [self._close_due(tx, monitor) for monitor in self._intake.monitors.values()]
            tx.save(self._intake.monitors, self._checkpoint)
        self._gauges.show_stages(changes.releases.values())
        self._note_waiting(all(all_closed))
        metrics.BATCH_SECONDS.record(self._clock.monotonic_s() - started)

    def _close_due(self, tx: SqlTransaction, monitor: LoopMonitor) -> bool:
        """Close the windows that are due; return False if one waits for the reference of a release."""
        loop = monitor.rules.loop
        while (span := monitor.due()) is not None:
            references = self._references_of(loop, monitor.join.releases_before(span[1]))
            if references is None:
                return False
            started = self._clock.monotonic_s()
            closed = monitor.close(references)
            restated = tx.close(monitor.rules, closed)
            metrics.CLOSE_SECONDS.record(self._clock.monotonic_s() - started, loop=loop)
            self._gauges.show_window(loop, closed.window)
            for window in restated:
                self._gauges.show_restated(loop, window)
        self._gauges.show_watermark(monitor)
        return True

    def _references_of(self, loop: str, names: set[str]) -> Mapping[str, Reference] | None:
        """Return references by release, or None if no route has named one of the releases yet."""
        references = {}
        for name in sorted(names):
            if (loop, name) not in self._references:
                release = self._intake.releases.get((loop, name))
                if release is None or not release.uri:
                    self._log.warning("route-unknown", loop=loop, release=name)
                    return None
                self._references[loop, name] = self._open.open(release)
            references[name] = self._references[loop, name]
        return references

    def _note_waiting(self, all_closed: bool) -> None:
        now_s = self._clock.monotonic_s()
        if all_closed:
            self._waiting_since_s = None
            return
        self._waiting_since_s = now_s if self._waiting_since_s is None else self._waiting_since_s
        if now_s - self._waiting_since_s > self._settings.reference_timeout_s:
            waited_s = now_s - self._waiting_since_s
            raise Retriable(f"a window waited {waited_s:.0f} s, and no route named its releases; the process restarts")

    def _refuse(self, record: Record, error: InvalidEvent) -> Outgoing:
        metrics.DEAD_LETTERED.add(topic=record.topic, reason=error.reason)
        self._log.error("dead-letter", topic=record.topic, offset=record.offset, reason=error.reason, why=error.detail)
        self._limit.refused(error.reason)
        stack = "".join(traceback.format_exception(error))
        return dead_letter(record, consumer=self._name, reason=error.reason, detail=error.detail, stack=stack)


def positions_after(records: Sequence[Record]) -> dict[TopicPartition, int]:
    """Return the next offset to read of each partition in the records."""
    return {TopicPartition(record.topic, record.partition): record.offset + 1 for record in records}
