"""Runs ingestion: reads batches, runs the pipelines and flushes the lake in the background.

A separate thread flushes the lake, so no watermark waits for it. At most one flush runs at a time. A checkpoint follows
each flush: everything before it is in the lake, and everything sent for it was acknowledged.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from driftloop.bus.dead_letters import DeadLetterLimit
from driftloop.bus.ports import BatchConsumer, BatchProducer
from driftloop.loop import to_ms
from driftloop.process import log
from driftloop.process.clock import Clock
from driftloop.process.errors import Retriable
from services.ingestion import metrics
from services.ingestion.backlog import Backlog
from services.ingestion.config import IngestionSettings
from services.ingestion.domain.duplicates import DuplicateWindow
from services.ingestion.messages import Messages
from services.ingestion.pipeline import BatchResult, Pipeline
from services.ingestion.ports import ACCEPTED_BEFORE, Checkpoint, Journal, Lake, Unflushed
from services.ingestion.reader import Batch, Reader

_MOST_NOTED = 5_000
"""Batches after which a checkpoint is taken even if nothing waits for the lake."""


class Flag(Protocol):
    """The part of `threading.Event` that is used."""

    def is_set(self) -> bool: ...


@dataclass(frozen=True)
class Parts:
    """The dependencies of ingestion."""

    consumer: BatchConsumer
    producer: BatchProducer
    reader: Reader
    journal: Journal
    lake: Lake
    pipelines: Sequence[Pipeline]
    messages: Sequence[Messages]
    flushing: Executor
    """Runs flushes, one at a time."""
    clock: Clock


class Ingestion:
    """The service. ``run`` ends when ``stop`` is set or on an error; a restart continues from the checkpoint."""

    def __init__(self, parts: Parts, settings: IngestionSettings, stop: Flag | None = None) -> None:
        self._parts = parts
        self._settings = settings
        self._stop = stop or threading.Event()
        self._span_ms = to_ms(settings.flush_span)
        self._limit = DeadLetterLimit(settings.dead_letter_limit)
        self._backlogs: list[Backlog] = []
        self._pending_flush: Future[Checkpoint] | None = None
        self._checkpointed = 0
        self._probes_pending = False  # probes after the last checkpoint; they leave nothing for the lake
        self._busy_s = self._lag_s = parts.clock.monotonic_s()
        self._ready = False
        self._log = log.get(__name__)

    def ready(self) -> bool:
        """Return whether it reads new records."""
        return self._ready

    def run(self) -> None:
        """Ingest until asked to stop, then flush the lake and close everything.

        Raises:
            TooManyDeadLetters: more in a row than the settings allow.
            Retriable: the broker did not acknowledge what was sent.
        """
        try:
            self.start()
            while not self._stop.is_set():
                self.step()
            self.finish()
        finally:
            self._ready = False
            self._parts.flushing.shutdown(wait=True, cancel_futures=True)
            self._parts.consumer.close()
            self._parts.journal.close()
        self._parts.producer.close()

    def start(self) -> None:
        """Restore the checkpoint."""
        checkpoint, noted = self._parts.journal.load()
        for pipeline in self._parts.pipelines:
            if pipeline.loop in checkpoint.loops:
                pipeline.restore(checkpoint.loops[pipeline.loop])
            for name, stages in pipeline.stages.items():
                _remember(self._parts.lake, pipeline, name, stages.duplicates, checkpoint)
            schemas = {name: stages.schema for name, stages in pipeline.stages.items()}
            self._backlogs.append(Backlog(pipeline.loop, schemas, pipeline.clock.watermark_ms))
        self._parts.reader.start(checkpoint, noted)
        self._checkpointed = checkpoint.taken
        self._ready = True
        self._log.info("resumed", checkpoint=checkpoint.taken, again=len(noted))

    def step(self) -> None:
        """Process a batch, if there is one, then flush if due."""
        batch = self._parts.reader.next(self._settings.poll_timeout_s)
        now_s = self._parts.clock.monotonic_s()
        if batch is not None:
            self._process(batch)
            self._busy_s = self._parts.clock.monotonic_s()
            metrics.BATCH_SECONDS.record(self._busy_s - now_s)
        self._finish_flush()
        if self._pending_flush is None and self._due(now_s):
            self._start_flush()
        if now_s - self._lag_s > self._settings.lag_every_s:
            self._lag_s = now_s
            self._measure_lag()

    def finish(self) -> None:
        """Flush everything that waits."""
        self._finish_flush(wait=True)
        if self._probes_pending or any(each.waits for each in self._backlogs):
            self._start_flush()
            self._finish_flush(wait=True)

    def _process(self, batch: Batch) -> None:
        record_results: list[tuple[bool, str]] = []
        for pipeline, backlog in zip(self._parts.pipelines, self._backlogs, strict=True):
            mine = {place: held for place, held in batch.records.items() if place.topic in pipeline.stages}
            silent = [place for place in batch.taken.silent if place.topic in pipeline.stages]
            result: BatchResult = pipeline.process_batch(mine, silent, self._parts.producer.send)
            backlog.add(result)
            record_results += result.record_results
            self._probes_pending |= result.probes > 0
        for dead, reason in record_results:
            if dead:
                self._limit.refused(reason)
            else:
                self._limit.accepted()

    def _due(self, now_s: float) -> bool:
        waiting = [each for each in self._backlogs if each.waits]
        if self._parts.reader.sequence - self._checkpointed >= _MOST_NOTED:
            return True
        if not (waiting or self._probes_pending):
            return False
        full = sum(each.rows for each in waiting) >= self._settings.flush_rows
        long = max((each.span_ms for each in waiting), default=0) >= self._span_ms
        return full or long or now_s - self._busy_s >= self._settings.flush_idle_s

    def _start_flush(self) -> None:
        """Start a flush of everything that waits now."""
        reader, pipelines = self._parts.reader, self._parts.pipelines
        checkpoint = Checkpoint(
            reader.sequence, dict(reader.positions), {pipeline.loop: pipeline.state() for pipeline in pipelines}
        )
        unflushed = [
            (messages, backlog.drain())
            for messages, backlog in zip(self._parts.messages, self._backlogs, strict=True)
            if backlog.waits
        ]
        self._probes_pending = False
        self._pending_flush = self._parts.flushing.submit(self._flush, unflushed, checkpoint)

    def _flush(self, unflushed: Sequence[tuple[Messages, Unflushed]], checkpoint: Checkpoint) -> Checkpoint:
        began = self._parts.clock.monotonic_s()
        for messages, lacking in unflushed:
            tables = self._parts.lake.append(lacking)
            watermark_ms = checkpoint.loops[lacking.loop].watermark_ms
            if watermark_ms is not None:
                self._parts.producer.send([messages.lake_flushed(watermark_ms, tables)])
            metrics.FLUSHED_ROWS.add(lacking.rows, loop=lacking.loop)
        self._parts.producer.flush()
        metrics.FLUSH_SECONDS.record(self._parts.clock.monotonic_s() - began)
        return checkpoint

    def _finish_flush(self, *, wait: bool = False) -> None:
        """Store the checkpoint of a finished flush, or raise its error."""
        if self._pending_flush is None or not (wait or self._pending_flush.done()):
            return
        checkpoint = self._pending_flush.result()
        self._pending_flush = None
        self._parts.journal.checkpoint(checkpoint)
        self._checkpointed = checkpoint.taken
        try:
            self._parts.consumer.commit(checkpoint.positions)
        except Retriable as error:
            # the checkpoint counts; the group's offsets only show the lag and follow with the next commit
            self._log.warning("commit-refused", problem=str(error))

    def _measure_lag(self) -> None:
        lag: dict[str, int] = {}
        for place, end in self._parts.consumer.end_offsets().items():
            lag[place.topic] = lag.get(place.topic, 0) + max(0, end - self._parts.reader.positions.get(place, 0))
        for topic, records in lag.items():
            metrics.LAG.set(records, topic=topic)


def _remember(lake: Lake, pipeline: Pipeline, event_type: str, window: DuplicateWindow, checkpoint: Checkpoint) -> None:
    """Fill a window with ids of rows accepted before the checkpoint; later rows are read and judged again."""
    rows: pa.Table = lake.accepted(pipeline.loop, event_type, window.horizon_ms(pipeline.clock.watermark_ms))
    ends = {place.partition: end for place, end in checkpoint.positions.items() if place.topic == event_type}
    ids, times, partitions, offsets = (rows.column(name).to_pylist() for name in ACCEPTED_BEFORE)
    places = zip(ids, times, partitions, offsets, strict=True)
    before = [(name, time_ms) for name, time_ms, partition, offset in places if offset < ends.get(partition, 0)]
    window.remember((name for name, _ in before), (time_ms for _, time_ms in before))
