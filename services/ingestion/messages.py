"""The events that ingestion sends, as records for a given partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
from google.protobuf.message import Message

from driftloop.bus.dead_letters import dead_letter
from driftloop.bus.ports import Outgoing, Record
from driftloop.contracts.ingestion_pb2 import (
    EntityRows,
    LakeFlushed,
    OutcomesAccepted,
    OutcomeWatermark,
    ProbeJudged,
    RowsAccepted,
    TableVersion,
    TopicPaused,
    TopicResumed,
    WatermarkAdvanced,
)
from driftloop.events.envelope import Draft, from_draft, to_record
from driftloop.events.ids import event_id
from driftloop.events.probe import PROBE_ID
from driftloop.process.clock import Clock
from services.ingestion import ports
from services.ingestion.domain.fanout import Share
from services.ingestion.domain.probes import ProbeResult
from services.ingestion.domain.refusals import Streak
from services.ingestion.domain.rejection import Rejection
from services.ingestion.domain.watermarks import Advance

SOURCE = "ingestion"
MOST_BYTES = 4_000_000
"""Maximum bytes of rows in one event; half of a broker's record limit."""
DETAIL_LENGTH = 500
"""Maximum length of the detail of a refusal."""
_PROBE_ID_LENGTH = 200


@dataclass(frozen=True, slots=True)
class Messages:
    """Makes the records of one loop."""

    loop: str
    clock: Clock

    def rows(self, event_type: str, share: Share) -> Iterator[Outgoing]:
        """Yield rows for the features, with their entities; several events if one is too large."""
        for piece, content in _pieces(share):
            name = event_id("rows-accepted", self.loop, event_type, "in", piece.partition, *_span(piece.rows))
            takes = [EntityRows(join_keys=keys, positions=at.tolist()) for keys, at in piece.entities]
            data = RowsAccepted(
                loop=self.loop, event_type=event_type, entities=takes, num_rows=piece.rows.num_rows, rows=content
            )
            yield self._record(name, _newest(piece.rows), data, piece.partition)

    def outcomes(self, event_type: str, share: Share) -> Iterator[Outgoing]:
        """Yield outcomes, with the columns of `domain.fanout.OUTCOME`."""
        for piece, content in _pieces(share):
            name = event_id("outcomes-accepted", self.loop, event_type, "in", piece.partition, *_span(piece.rows))
            data = OutcomesAccepted(loop=self.loop, event_type=event_type, num_rows=piece.rows.num_rows, rows=content)
            yield self._record(name, _newest(piece.rows), data, piece.partition)

    def watermark(self, advance: Advance, rows_partitions: int, outcome_partitions: int) -> Iterator[Outgoing]:
        """Yield the loop's watermark for every partition of both topics; the copies are one event."""
        at = advance.watermark_ms
        advanced = WatermarkAdvanced(loop=self.loop, watermark_ms=at, sequence=advance.sequence)
        outcome = OutcomeWatermark(loop=self.loop, watermark_ms=at, sequence=advance.sequence)
        yield from self._copies(event_id("watermark-advanced", self.loop, at), at, advanced, rows_partitions)
        yield from self._copies(event_id("outcome-watermark", self.loop, at), at, outcome, outcome_partitions)

    def lake_flushed(self, watermark_ms: int, tables: Sequence[ports.TableVersion]) -> Outgoing:
        """Return the event that the lake is complete up to a watermark."""
        versions = [f"{table.name}@{table.version}" for table in tables]
        name = event_id("lake-flushed", self.loop, watermark_ms, *versions)
        flushed = LakeFlushed(
            loop=self.loop,
            watermark_ms=watermark_ms,
            tables=[TableVersion(name=table.name, path=table.path, version=table.version) for table in tables],
        )
        return self._record(name, watermark_ms, flushed, None)

    def probe_judged(self, result: ProbeResult) -> Outgoing:
        """Return the answer to a probe; a repeated record gives the same answer."""
        record, fault = result.record, result.fault
        name = event_id("probe-judged", self.loop, record.topic, record.partition, record.offset)
        probe_id = (record.header(PROBE_ID) or b"").decode(errors="replace")[:_PROBE_ID_LENGTH]
        data = ProbeJudged(
            loop=self.loop,
            event_type=record.topic,
            probe_id=probe_id,
            accepted=fault is None,
            reason=fault.reason if fault else "",
            detail=fault.detail[:DETAIL_LENGTH] if fault else "",
        )
        return self._record(name, result.time_ms, data, None)

    def topic_paused(self, event_type: str, streak: Streak, dead_letters: int, time_ms: int) -> tuple[str, Outgoing]:
        """Return the id and the event of a pause."""
        name = event_id("topic-paused", self.loop, event_type, streak.partition, streak.offset)
        data = TopicPaused(
            loop=self.loop,
            event_type=event_type,
            reason=streak.reason,
            detail=streak.detail[:DETAIL_LENGTH],
            dead_letters=dead_letters,
            partition=streak.partition,
            offset=streak.offset,
        )
        return name, self._record(name, time_ms, data, None)

    def topic_resumed(self, event_type: str, paused_by: str, because: str, time_ms: int) -> Outgoing:
        """Return the event that a topic is read again."""
        data = TopicResumed(loop=self.loop, event_type=event_type, because=because)
        return self._record(event_id("topic-resumed", self.loop, paused_by), time_ms, data, None)

    def _copies(self, name: str, time_ms: int, data: Message, partitions: int) -> Iterator[Outgoing]:
        record = self._record(name, time_ms, data, None)
        for partition in range(partitions):
            yield replace(record, partition=partition)

    def _record(self, name: str, time_ms: int, data: Message, partition: int | None) -> Outgoing:
        draft = Draft(name, self.loop, time_ms, data)
        event = from_draft(draft, source=SOURCE, wall_time_ms=self.clock.now_ms(), cause=None, traceparent=None)
        return replace(to_record(event), partition=partition)


def dead_letter_of(record: Record, fault: Rejection) -> Outgoing:
    """Return the dead letter of a record."""
    return dead_letter(record, consumer=SOURCE, reason=fault.reason, detail=fault.detail, stack=fault.stack)


def _pieces(share: Share) -> Iterator[tuple[Share, bytes]]:
    """Yield the share with the bytes of its rows, halved until it fits a record."""
    content = _ipc(share.rows)
    if len(content) <= MOST_BYTES or share.rows.num_rows == 1:
        yield share, content
        return
    for half in share.halves():
        yield from _pieces(half)


def _ipc(rows: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _newest(rows: pa.RecordBatch) -> int:
    return int(rows.column("event_time_ms").to_numpy().max())


def _span(rows: pa.RecordBatch) -> list[int]:
    """Return positions of the first and last row, and the row count, which identify these rows."""
    partitions, offsets = rows.column("source_partition"), rows.column("source_offset")
    ends = [column[at].as_py() for at in (0, -1) for column in (partitions, offsets)]
    return [*ends, rows.num_rows]
