"""Reads accepted rows, updates the online store at every watermark, publishes it, and flushes in the background."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import IO

from driftloop.bus.dead_letters import DeadLetterLimit, dead_letter
from driftloop.bus.ports import BatchConsumer, BatchProducer, Outgoing, Record, TopicPartition
from driftloop.contracts.features_pb2 import WatermarkAdvanced
from driftloop.events import ids
from driftloop.events.envelope import Draft, from_draft, to_record
from driftloop.process import log
from driftloop.process.clock import Clock
from driftloop.process.errors import InvalidEvent
from services.features import metrics
from services.features.config import FeaturesSettings
from services.features.domain.engine import Advance
from services.features.domain.loop_run import LoopRun
from services.features.flush import SOURCE, Flush, Unflushed
from services.features.handlers import handle
from services.features.ports import Checkpoint, OnlineStore


@dataclass(frozen=True)
class Parts:
    """The dependencies of the service; it closes consumer, producer and online store."""

    consumer: BatchConsumer
    producer: BatchProducer
    online: OnlineStore
    flush: Flush
    executor: Executor
    clock: Clock
    lock: IO[str] | None = None
    """Held open while the service writes the stores."""


class FeaturesService:
    """All loops in one process: one reader of every input partition, one writer of the stores."""

    def __init__(
        self,
        runs: Mapping[str, LoopRun],
        positions: Mapping[TopicPartition, int],
        parts: Parts,
        settings: FeaturesSettings,
        stop: threading.Event,
    ) -> None:
        self._runs = dict(runs)
        self._parts = parts
        self._settings = settings
        self._stop = stop
        self._positions = {each: positions.get(each, 0) for each in parts.consumer.assignment()}
        self._unflushed = {name: Unflushed() for name in runs}
        self._flushing: Future[Checkpoint] | None = None
        self._advanced_at_s = parts.clock.monotonic_s()
        self._limit = DeadLetterLimit(settings.features_dead_letter_limit)
        self._log = log.get(__name__)
        self._ready = False

    def ready(self) -> bool:
        """Return whether it reads."""
        return self._ready

    def run(self) -> None:
        """Run until asked to stop; unflushed rows are computed again after the restart."""
        self._parts.consumer.seek(self._positions)
        self._ready = True
        try:
            while not self._stop.is_set():
                self.step()
            self._settle(wait=True)
        finally:
            self._ready = False
            self._parts.executor.shutdown(wait=True)
            self._parts.consumer.close()
            self._parts.online.close()
        self._parts.producer.close()

    def step(self) -> int:
        """Read once, advance as far as the watermarks allow, start a due flush; return the number of records read."""
        settings = self._settings
        records = self._parts.consumer.poll(settings.features_poll_records, settings.features_poll_timeout_s)
        for record in records:
            self._take(record)
        for run in self._runs.values():
            for advance in run.advances():
                self._publish(run, advance)
        self._settle(wait=False)
        if self._flushing is None and self._flush_is_due():
            self._start_flush()
        return len(records)

    def _take(self, record: Record) -> None:
        try:
            handle(record, self._runs)
            self._limit.accepted()
        except InvalidEvent as error:
            self._refuse(record, error)
        self._positions[TopicPartition(record.topic, record.partition)] = record.offset + 1

    def _publish(self, run: LoopRun, advance: Advance) -> None:
        """Write online first, then publish the watermark."""
        clock, loop = self._parts.clock, run.name
        began = clock.monotonic_s()
        self._parts.online.write(loop, run.engine.specs, advance)
        self._parts.producer.send([_event(run, advance, clock.now_ms())])
        self._unflushed[loop].add(advance)
        self._advanced_at_s = clock.monotonic_s()
        metrics.STEP_SECONDS.record(self._advanced_at_s - began, loop=loop)
        metrics.ROWS_WRITTEN.add(advance.rows, loop=loop)
        metrics.WATERMARK.set(advance.watermark_ms, loop=loop)
        metrics.LATE.add(advance.late_events, loop=loop)

    def _flush_is_due(self) -> bool:
        held = [each for each in self._unflushed.values() if each.last_ms is not None]
        if not held:
            return False
        idle_s = self._parts.clock.monotonic_s() - self._advanced_at_s
        return idle_s >= self._settings.features_flush_idle_s or any(self._is_large(each) for each in held)

    def _is_large(self, held: Unflushed) -> bool:
        settings = self._settings
        return held.count >= settings.features_flush_rows or held.span_ms() >= settings.features_flush_span_s * 1000

    def _start_flush(self) -> None:
        states = {name: run.snapshot() for name, run in self._runs.items()}
        rows = {name: held.rows for name, held in self._unflushed.items() if held.last_ms is not None}
        self._unflushed = {name: Unflushed() for name in self._runs}
        self._flushing = self._parts.executor.submit(self._parts.flush, Checkpoint(dict(self._positions), states), rows)

    def _settle(self, *, wait: bool) -> None:
        """Commit a finished flush, or raise its error; the process then restarts from the last checkpoint."""
        if self._flushing is None or not (wait or self._flushing.done()):
            return
        checkpoint, self._flushing = self._flushing.result(), None
        self._parts.consumer.commit(checkpoint.positions)
        ends = self._parts.consumer.end_offsets()
        metrics.LAG.set(sum(ends.values()) - sum(self._positions.values()))

    def _refuse(self, record: Record, error: InvalidEvent) -> None:
        metrics.REFUSED.add(reason=error.reason)
        self._log.error(
            "dead-letter", topic=record.topic, offset=record.offset, reason=error.reason, detail=error.detail
        )
        stack = "".join(traceback.format_exception(error))
        letter = dead_letter(record, consumer=SOURCE, reason=error.reason, detail=error.detail, stack=stack)
        self._parts.producer.send([letter])
        self._limit.refused(error.reason)


def _event(run: LoopRun, advance: Advance, wall_time_ms: int) -> Outgoing:
    message = WatermarkAdvanced(
        loop=run.name,
        watermark_ms=advance.watermark_ms,
        rows_written=advance.rows,
        late_events=advance.late_seen,
    )
    name = ids.event_id("features.watermark-advanced", run.name, advance.watermark_ms)
    draft = Draft(name, run.name, advance.watermark_ms, message)
    return to_record(from_draft(draft, source=SOURCE, wall_time_ms=wall_time_ms, cause=None, traceparent=None))
