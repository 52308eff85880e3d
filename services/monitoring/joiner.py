"""The outcome join's part of the batch loop: applies records, closes windows, publishes them.

One transaction holds a batch's rows, windows that are due and the input positions. A watermark that jumps over many
windows closes them in several transactions, so that none is long. The windows are published from the outbox before the
positions are committed to the broker.
"""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import Coroutine, Mapping, Sequence
from enum import Enum, auto
from typing import Any

from sqlalchemy import Engine

from driftloop.bus.dead_letters import dead_letter_for_error
from driftloop.bus.ports import BatchConsumer, LifecycleProducer, Outgoing, Record, TopicPartition
from driftloop.contracts import message_json
from driftloop.process import log
from driftloop.process.clock import Clock
from driftloop.process.errors import InvalidEvent, Retriable
from driftloop.runner.batch_loop import BatchLoop, Flush, LoopOptions, Positions, Processor
from driftloop.runner.relay import Relay
from services.monitoring import gauges, messages, metrics
from services.monitoring.adapters.sql import SqlTransaction
from services.monitoring.config import MonitoringSettings
from services.monitoring.domain.monitor import GiveUpReason, LoopMonitor
from services.monitoring.domain.overdue import OverdueWriters
from services.monitoring.domain.psi import Reference
from services.monitoring.handlers import Intake
from services.monitoring.ports import JoinCheckpoint, References


class _Due(Enum):
    """Whether windows of a loop are still due after a transaction."""

    NONE = auto()
    MORE = auto()
    WAITING = auto()
    """The next one needs the reference of a release that no route has named yet."""


class Joiner(Processor[Sequence[Record]]):
    """Runs the join over all watched loops, on a thread beside the event loop of the producer."""

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
        self._bundles = references
        self._settings = settings
        self._stop = stop
        self._clock = clock
        self._relay = Relay(name, engine, producer, clock)
        self._references: dict[tuple[str, str], Reference] = {}
        self._waiting_since_s: float | None = None
        self._gauges = gauges.WindowGauges()
        self._given_up: set[tuple[str, str, int]] = set()
        """Loop, writer and start of the give-ups that this process has written."""
        self._overdue: dict[str, OverdueWriters] = defaultdict(OverdueWriters)
        self._log = log.get(__name__)
        self._event_loop: asyncio.AbstractEventLoop | None = None
        # a restart uses the checkpoint in SQL; the commits to the broker only show the lag
        self._loop = BatchLoop(self, consumer, stop, clock, options=LoopOptions(commit_every_s=settings.commit_every_s))

    def ready(self) -> bool:
        return self._loop.ready()

    async def run(self) -> None:
        """Join until the stop event is set.

        Raises:
            Retriable: a window waited too long for the route of a release.
        """
        await self._producer.start()
        self._event_loop = asyncio.get_running_loop()
        running = asyncio.ensure_future(asyncio.to_thread(self._loop.run))
        try:
            await asyncio.shield(running)
        finally:
            self._stop.set()
            await asyncio.wait([running])
            await self._producer.stop()

    def start(self) -> Positions:
        self._consumer.seek(self._checkpoint.positions)
        self._gauges.show_stages(self._intake.releases.values())
        self._write()
        return self._publish()

    def read(self) -> Sequence[Record]:
        return self._consumer.poll(self._settings.poll_records, self._settings.poll_timeout_s)

    def process(self, batch: Sequence[Record]) -> None:
        """Apply and store the records; without records, try again to close a window that waits for a reference."""
        if not batch and self._waiting_since_s is None:
            self._give_up()
            return
        dead_letters = self._apply(batch)
        if dead_letters:
            self._wait_for(self._producer.send(dead_letters))
        self._write()
        self._give_up()

    def due_flush(self) -> Flush | None:
        return self._publish

    def _publish(self) -> Positions:
        self._wait_for(self._relay.try_flush())
        return dict(self._checkpoint.positions)

    def _wait_for(self, call: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine on the producer's event loop, and wait for it."""
        assert self._event_loop is not None  # noqa: S101
        asyncio.run_coroutine_threadsafe(call, self._event_loop).result()

    def _apply(self, records: Sequence[Record]) -> list[Outgoing]:
        """Apply records to the state in memory; return dead letters of the invalid ones."""
        dead_letters = []
        for record in records:
            try:
                self._intake.handle(record)
            except InvalidEvent as error:
                metrics.DEAD_LETTERED.add(topic=record.topic, reason=error.reason)
                dead_letters.append(dead_letter_for_error(record, error, self._name))
            self._checkpoint.positions[TopicPartition(record.topic, record.partition)] = record.offset + 1
        return dead_letters

    def _write(self) -> None:
        """Write all changes and close the windows that are due. After a stop, the next start closes the others."""
        while self._write_once() and not self._stop.is_set():
            self._publish()

    def _write_once(self) -> bool:
        """Write all changes and close a limited number of windows per loop; return whether others are due."""
        began_s = self._clock.monotonic_s()
        changes = self._intake.take_changes()
        with self._engine.begin() as connection:
            tx = SqlTransaction(connection, self._name, self._clock)
            given_up = tx.add(changes)
            results = [self._close_due(tx, monitor) for monitor in self._intake.monitors.values()]
            tx.save(self._intake.monitors, self._checkpoint)
        for draft in given_up:
            metrics.GIVEN_UP.add(loop=draft.loop, writer=draft.data.writer)  # type: ignore[attr-defined]
            self._log.error("writer-given-up", **message_json.as_dict(draft.data))
        self._gauges.show_stages(changes.releases.values())
        self._check_waiting(_Due.WAITING not in results)
        metrics.BATCH_SECONDS.record(self._clock.monotonic_s() - began_s)
        return _Due.MORE in results

    def _give_up(self) -> None:
        """Write the give-ups of writers that hold the windows for too long, or that a person has given up.

        What was asked for is stored until the next transaction after the acknowledgement, so it may be written twice.
        """
        now_s, timeout_s = self._clock.monotonic_s(), self._settings.writer_timeout_s
        for loop, monitor in self._intake.monitors.items():
            behind_s = self._overdue[loop].look(monitor.prediction_watermarks, now_s)
            self._gauges.show_writers(loop, behind_s)
            for writer, waited_s in behind_s.items():
                if timeout_s and waited_s > timeout_s:
                    monitor.ask_give_up(writer, GiveUpReason("timeout"))
            partitions, now_ms = monitor.prediction_watermarks.partitions, self._clock.now_ms()
            for (writer, start), reason in list(monitor.giving_up.items()):
                if (loop, writer, start) not in self._given_up:
                    records = messages.give_up(loop, writer, start, reason, partitions, now_ms)
                    self._wait_for(self._producer.send(records))
                    self._given_up.add((loop, writer, start))
                del monitor.giving_up[writer, start]

    def _close_due(self, tx: SqlTransaction, monitor: LoopMonitor) -> _Due:
        """Close windows that are due, up to the limit of one transaction."""
        loop = monitor.rules.loop
        for _ in range(self._settings.windows_per_transaction):
            span = monitor.due()
            if span is None:
                break
            references = self._references_of(loop, monitor.join.releases_before(span[1]))
            if references is None:
                return _Due.WAITING
            began_s = self._clock.monotonic_s()
            closed = monitor.close(references)
            restated = tx.close(monitor.rules, closed)
            metrics.CLOSE_SECONDS.record(self._clock.monotonic_s() - began_s, loop=loop)
            self._gauges.show_window(loop, closed.window)
            for window in restated:
                self._gauges.show_restated(loop, window)
        self._gauges.show_watermark(monitor)
        return _Due.NONE if monitor.due() is None else _Due.MORE

    def _references_of(self, loop: str, names: set[str]) -> Mapping[str, Reference] | None:
        """Return references by release, or None until a route has named every release."""
        references = {}
        for name in sorted(names):
            if (loop, name) not in self._references:
                release = self._intake.releases.get((loop, name))
                if release is None or not release.uri:
                    self._log.warning("route-unknown", loop=loop, release=name)
                    return None
                self._references[loop, name] = self._bundles.open(release)
            references[name] = self._references[loop, name]
        return references

    def _check_waiting(self, all_closed: bool) -> None:
        now_s = self._clock.monotonic_s()
        if all_closed:
            self._waiting_since_s = None
            return
        self._waiting_since_s = now_s if self._waiting_since_s is None else self._waiting_since_s
        if now_s - self._waiting_since_s > self._settings.reference_timeout_s:
            waited_s = now_s - self._waiting_since_s
            raise Retriable(f"a window waited {waited_s:.0f} s, and no route named its releases; the process restarts")
