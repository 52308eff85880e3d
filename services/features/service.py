"""The features service's part of the batch loop.

Reads accepted rows, updates the online store at every watermark, publishes it, and flushes in the background.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO

from driftloop.bus.dead_letters import dead_letter_for_error
from driftloop.bus.ports import BatchConsumer, BatchProducer, Outgoing, Record, TopicPartition
from driftloop.bus.topic_watch import created_again
from driftloop.contracts.features_pb2 import WatermarkAdvanced
from driftloop.events import ids
from driftloop.events.envelope import Draft, from_draft, to_record
from driftloop.process.clock import Clock
from driftloop.process.errors import InvalidEvent
from driftloop.runner import batch_loop
from driftloop.runner.batch_loop import Positions
from driftloop.runner.loop_positions import LoopPositions, from_beginning
from services.features import metrics
from services.features.config import FeaturesSettings
from services.features.domain.engine import Advance
from services.features.domain.loop_run import LoopRun
from services.features.flush import SOURCE, Flush, Unflushed
from services.features.handlers import handle
from services.features.ports import Checkpoint, OnlineStore


@dataclass(frozen=True)
class Parts:
    """The dependencies of the service."""

    consumer: BatchConsumer
    producer: BatchProducer
    online: OnlineStore
    flush: Flush
    clock: Clock
    lock: IO[str] | None = None
    """Held open while the service writes the stores."""


class Features(batch_loop.Processor[Sequence[Record]]):
    """All loops in one process: one reader of every input partition, one writer of the stores.

    A graceful stop waits for the running flush only; the restart computes unflushed rows again.
    """

    def __init__(
        self, runs: Mapping[str, LoopRun], checkpoint: Checkpoint, parts: Parts, settings: FeaturesSettings
    ) -> None:
        self._runs = dict(runs)
        self._parts = parts
        self._settings = settings
        self._topic_ids = parts.consumer.topic_ids()
        again = created_again(checkpoint.topic_ids, self._topic_ids, checkpoint.positions, parts.consumer.end_offsets())
        read, apart = from_beginning(checkpoint.positions, again), checkpoint.apart.items()
        apart_now = {loop: from_beginning(positions, again) for loop, positions in apart}
        self._loops = LoopPositions(read, apart_now, present=runs, known=checkpoint.loops)
        self._left_out = {name: state for name, state in checkpoint.loops.items() if name not in runs}
        start = self._loops.start()
        self._positions = {partition: start.get(partition, 0) for partition in parts.consumer.assignment()}
        self._unflushed = {name: Unflushed() for name in runs}
        self._advanced_at_s = parts.clock.monotonic_s()

    def start(self) -> Positions:
        self._parts.consumer.seek(self._positions)
        return {partition: offset for partition, offset in self._loops.start().items() if partition in self._positions}

    def read(self) -> Sequence[Record]:
        return self._parts.consumer.poll(self._settings.features_poll_records, self._settings.features_poll_timeout_s)

    def process(self, batch: Sequence[Record]) -> None:
        """Handle the records, then advance as far as the watermarks allow."""
        for record in batch:
            self._handle(record)
        for run in self._runs.values():
            for advance in run.advances():
                self._publish(run, advance)

    def due_flush(self) -> batch_loop.Flush | None:
        unflushed = {name: rows for name, rows in self._unflushed.items() if rows.last_ms is not None}
        idle_s = self._parts.clock.monotonic_s() - self._advanced_at_s
        is_idle = idle_s >= self._settings.features_flush_idle_s
        if not unflushed or not (is_idle or any(self._is_large(rows) for rows in unflushed.values())):
            return None
        self._unflushed = {name: Unflushed() for name in self._runs}
        checkpoint = self._checkpoint()
        return partial(self._parts.flush, checkpoint, {name: pending.rows for name, pending in unflushed.items()})

    def report_lag(self, ends: Positions) -> None:
        metrics.LAG.set(sum(ends.values()) - sum(self._positions.values()))
        self._parts.online.check()

    def _checkpoint(self) -> Checkpoint:
        states = {name: run.snapshot() for name, run in self._runs.items()}
        return Checkpoint(
            dict(self._positions), {**self._left_out, **states}, self._loops.apart(self._positions), self._topic_ids
        )

    def _handle(self, record: Record) -> None:
        try:
            handle(record, self._runs, self._loops)
        except InvalidEvent as error:
            metrics.REFUSED.add(reason=error.reason)
            self._parts.producer.send([dead_letter_for_error(record, error, SOURCE)])
        self._positions[TopicPartition(record.topic, record.partition)] = record.offset + 1

    def _publish(self, run: LoopRun, advance: Advance) -> None:
        """Write online first, then publish the watermark."""
        clock, loop = self._parts.clock, run.name
        began_s = clock.monotonic_s()
        self._parts.online.write(loop, run.engine.specs, advance)
        self._parts.producer.send([_event(run, advance, clock.now_ms())])
        self._unflushed[loop].add(advance)
        self._advanced_at_s = clock.monotonic_s()
        metrics.STEP_SECONDS.record(self._advanced_at_s - began_s, loop=loop)
        metrics.ROWS_WRITTEN.add(advance.rows, loop=loop)
        metrics.WATERMARK.set(advance.watermark_ms, loop=loop)
        metrics.LATE.add(advance.late_events, loop=loop)

    def _is_large(self, unflushed: Unflushed) -> bool:
        span_ms = self._settings.features_flush_span_s * 1000
        return unflushed.count >= self._settings.features_flush_rows or unflushed.span_ms() >= span_ms


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
