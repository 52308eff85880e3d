"""Ingestion's part of the batch loop: runs the pipelines and flushes the lake.

The flush runs in the background, so no watermark waits for the lake. A checkpoint follows each flush: everything before
it is in the lake, and everything sent for it was acknowledged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow as pa

from driftloop.bus.ports import BatchProducer, Record, TopicPartition
from driftloop.loop import to_ms
from driftloop.process import log
from driftloop.process.clock import Clock
from driftloop.runner.batch_loop import Flush, Positions, Processor
from driftloop.runner.loop_positions import EVERYTHING, LoopPositions
from services.ingestion import metrics
from services.ingestion.backlog import Backlog
from services.ingestion.config import IngestionSettings
from services.ingestion.domain.duplicates import DuplicateWindow
from services.ingestion.domain.refusals import Streak
from services.ingestion.generations import RenumberedConsumer, continue_topics
from services.ingestion.messages import Messages
from services.ingestion.pauses import Pauses, Topics
from services.ingestion.pipeline import Pipeline
from services.ingestion.ports import ACCEPTED_BEFORE, BatchRecord, Checkpoint, Journal, Lake, Resumes, Unflushed
from services.ingestion.reader import Batch, Reader

_CHECKPOINT_BATCHES = 5_000
"""Batches after which a checkpoint is taken even if nothing waits for the lake."""


@dataclass(frozen=True)
class Parts:
    """The dependencies of ingestion."""

    consumer: RenumberedConsumer
    producer: BatchProducer
    reader: Reader
    journal: Journal
    lake: Lake
    pipelines: Sequence[Pipeline]
    messages: Sequence[Messages]
    definitions: Topics
    resumes: Resumes
    clock: Clock


class Ingestion(Processor[Batch | None]):
    """Processes the raw records of all loops. A restart continues from the checkpoint."""

    def __init__(self, parts: Parts, settings: IngestionSettings) -> None:
        self._parts = parts
        self._settings = settings
        self._span_ms = to_ms(settings.flush_span)
        self._pauses = Pauses(
            parts.pipelines, parts.messages, parts.definitions, parts.reader, parts.resumes, parts.producer.send,
            parts.clock, settings.dead_letter_limit,
        )  # fmt: skip
        self._backlogs: list[Backlog] = []
        self._flushing = self._stored = Checkpoint()
        self._loops = EVERYTHING
        self._probes_pending = False  # probes after the last checkpoint; they leave nothing for the lake
        self._busy_s = parts.clock.monotonic_s()
        self._log = log.get(__name__)

    def start(self) -> Positions:
        self._stored, batches = self._load()
        self._loops = _loop_positions(self._stored, [pipeline.loop for pipeline in self._parts.pipelines])
        for pipeline in self._parts.pipelines:
            if pipeline.loop in self._stored.loops:
                pipeline.restore(self._stored.loops[pipeline.loop])
            for event_type, stages in pipeline.stages.items():
                _remember(self._parts.lake, pipeline, event_type, stages.duplicates, self._loops)
            schemas = {event_type: stages.schema for event_type, stages in pipeline.stages.items()}
            self._backlogs.append(Backlog(pipeline.loop, schemas, pipeline.clock.watermark_ms))
        self._parts.reader.start(self._stored.sequence, self._loops.start(), batches)
        self._pauses.restore(self._stored.refusals)
        self._log.info("resumed", checkpoint=self._stored.sequence, again=len(batches))
        positions = self._parts.reader.positions
        return {partition: offset for partition, offset in self._loops.start().items() if partition in positions}

    def _load(self) -> tuple[Checkpoint, list[BatchRecord]]:
        """Return the checkpoint and the batches since, and number the records of topics that were created again."""
        consumer = self._parts.consumer
        before, taken = self._parts.journal.load()
        stored, batches, again = continue_topics(before, taken, consumer.topic_ids(), consumer.end_offsets())
        if stored != before:
            self._parts.journal.checkpoint(stored)  # before a record of these topics is read
        for topic in sorted(again):
            first = {str(tp.partition): offset for tp, offset in stored.first.items() if tp.topic == topic}
            self._log.warning("topic-created-again", topic=topic, first_offsets=first)
            metrics.TOPICS_CREATED_AGAIN.add(topic=topic)
        consumer.renumber(stored.first)
        return stored, batches

    def read(self) -> Batch | None:
        self._pauses.check_resumes()
        return self._parts.reader.next(self._settings.poll_timeout_s)

    def process(self, batch: Batch | None) -> None:
        if batch is None:
            return
        began_s = self._parts.clock.monotonic_s()
        streaks: dict[tuple[str, str], Streak] = {}
        for pipeline, backlog in zip(self._parts.pipelines, self._backlogs, strict=True):
            records = self._records_of(pipeline, batch)
            idle = [partition for partition in batch.record.idle if partition.topic in pipeline.stages]
            result = pipeline.process_batch(records, idle, self._parts.producer.send, batch.record.read_at_ms)
            backlog.add(result)
            self._probes_pending |= result.probes > 0
            streaks |= {(pipeline.loop, topic): streak for topic, streak in result.streaks.items()}
        self._pauses.add(streaks)
        self._busy_s = self._parts.clock.monotonic_s()
        metrics.BATCH_SECONDS.record(self._busy_s - began_s)

    def due_flush(self) -> Flush | None:
        return self._new_flush() if self._is_due() else None

    def flushed(self) -> None:
        self._parts.journal.checkpoint(self._flushing)
        self._stored = self._flushing

    def last_flush(self) -> Flush | None:
        pending = self._probes_pending or self._pauses.changed
        return self._new_flush() if pending or any(backlog.waits for backlog in self._backlogs) else None

    def report_lag(self, ends: Positions) -> None:
        positions, lag = self._parts.reader.positions, dict[str, int]()
        for partition, end in ends.items():
            lag[partition.topic] = lag.get(partition.topic, 0) + max(0, end - positions.get(partition, 0))
        for topic, records in lag.items():
            metrics.LAG.set(records, topic=topic)

    def _records_of(self, pipeline: Pipeline, batch: Batch) -> dict[TopicPartition, Sequence[Record]]:
        """Return the loop's records of a batch, without those that it read before it was left out of a start."""
        records: dict[TopicPartition, Sequence[Record]] = {}
        for partition, rows in batch.records.items():
            if partition.topic not in pipeline.stages:
                continue
            if not self._loops.is_new(pipeline.loop, partition, rows[0].offset):
                rows = [row for row in rows if self._loops.is_new(pipeline.loop, partition, row.offset)]
            if rows:
                records[partition] = rows
        return records

    def _is_due(self) -> bool:
        waiting = [backlog for backlog in self._backlogs if backlog.waits]
        if self._pauses.changed or self._parts.reader.sequence - self._stored.sequence >= _CHECKPOINT_BATCHES:
            return True
        if not (waiting or self._probes_pending):
            return False
        full = sum(backlog.rows for backlog in waiting) >= self._settings.flush_rows
        long = max((backlog.span_ms for backlog in waiting), default=0) >= self._span_ms
        return full or long or self._parts.clock.monotonic_s() - self._busy_s >= self._settings.flush_idle_s

    def _new_flush(self) -> Flush:
        reader, pipelines = self._parts.reader, self._parts.pipelines
        states = {pipeline.loop: pipeline.state() for pipeline in pipelines}
        positions = {**self._stored.positions, **reader.positions}
        self._flushing = Checkpoint(
            reader.sequence,
            positions,
            {**self._stored.loops, **states},
            self._pauses.state(),
            self._loops.apart(positions),
            self._stored.topic_ids,
            self._stored.first,
        )
        unflushed = [
            (messages, backlog.drain())
            for messages, backlog in zip(self._parts.messages, self._backlogs, strict=True)
            if backlog.waits
        ]
        self._probes_pending = False
        return partial(self._flush, unflushed, self._flushing)

    def _flush(self, unflushed: Sequence[tuple[Messages, Unflushed]], checkpoint: Checkpoint) -> Positions:
        began_s = self._parts.clock.monotonic_s()
        for messages, rows in unflushed:
            tables = self._parts.lake.append(rows)
            watermark_ms = checkpoint.loops[rows.loop].watermark_ms
            if watermark_ms is not None:
                self._parts.producer.send([messages.lake_flushed(watermark_ms, tables)])
            metrics.FLUSHED_ROWS.add(rows.rows, loop=rows.loop)
        self._parts.producer.flush()
        metrics.FLUSH_SECONDS.record(self._parts.clock.monotonic_s() - began_s)
        return {tp: checkpoint.positions[tp] for tp in self._parts.reader.positions}


def _loop_positions(checkpoint: Checkpoint, present: Sequence[str]) -> LoopPositions:
    """Return where each loop is in its own topics."""
    own = {
        loop: {partition: checkpoint.positions.get(partition, 0) for partition in state.partitions}
        for loop, state in checkpoint.loops.items()
    }
    return LoopPositions(checkpoint.positions, {**own, **checkpoint.apart}, present=present, known=())


def _remember(lake: Lake, pipeline: Pipeline, event_type: str, window: DuplicateWindow, loops: LoopPositions) -> None:
    """Fill a window with ids of rows accepted before the checkpoint; later rows are read and judged again."""
    positions = loops.of(pipeline.loop)
    rows: pa.Table = lake.accepted(pipeline.loop, event_type, window.horizon_ms(pipeline.clock.watermark_ms))
    columns = zip(*(rows.column(name).to_pylist() for name in ACCEPTED_BEFORE), strict=True)
    before = [
        (event_id, time_ms)
        for event_id, time_ms, partition, offset in columns
        if offset < positions.get(TopicPartition(event_type, partition), 0)
    ]
    window.remember((event_id for event_id, _ in before), (time_ms for _, time_ms in before))
