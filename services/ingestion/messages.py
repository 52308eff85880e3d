"""The events that ingestion sends, as records for a given partition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
from google.protobuf.message import Message

from driftloop.bus.dead_letters import dead_letter
from driftloop.bus.ports import Outgoing, Record
from driftloop.clock import Clock
from driftloop.contracts.ingestion_pb2 import (
    LakeFlushed,
    OutcomesAccepted,
    OutcomeWatermark,
    RowsAccepted,
    TableVersion,
    WatermarkAdvanced,
)
from driftloop.envelope import Draft, from_draft, to_record
from driftloop.ids import event_id
from services.ingestion import ports
from services.ingestion.domain.rejection import Rejection
from services.ingestion.domain.watermarks import Advance

SOURCE = "ingestion"
MOST_BYTES = 4_000_000
"""Rows of one event; half of what a broker takes as one record."""
_LETTER_BYTES = 7_000_000
_EXCERPT_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class Messages:
    """Makes the records of one loop."""

    loop: str
    clock: Clock

    def rows(
        self, event_type: str, join_keys: tuple[str, ...], partition: int, rows: pa.RecordBatch
    ) -> Iterator[Outgoing]:
        """Rows for one entity, which feed the features; several events where they are too many for one."""
        for piece, content in _pieces(rows):
            name = event_id("rows-accepted", self.loop, event_type, *join_keys, "in", partition, *_span(piece))
            data = RowsAccepted(
                loop=self.loop, event_type=event_type, join_keys=join_keys, num_rows=piece.num_rows, rows=content
            )
            yield self._record(name, _newest(piece), data, partition)

    def outcomes(self, event_type: str, partition: int, rows: pa.RecordBatch) -> Iterator[Outgoing]:
        """Outcomes, with the columns of `domain.fanout.OUTCOME`."""
        for piece, content in _pieces(rows):
            name = event_id("outcomes-accepted", self.loop, event_type, "in", partition, *_span(piece))
            data = OutcomesAccepted(loop=self.loop, event_type=event_type, num_rows=piece.num_rows, rows=content)
            yield self._record(name, _newest(piece), data, partition)

    def watermark(self, advance: Advance, rows_partitions: int, outcome_partitions: int) -> Iterator[Outgoing]:
        """The loop's watermark, for every partition of both topics; its copies are one event."""
        at = advance.watermark_ms
        advanced = WatermarkAdvanced(loop=self.loop, watermark_ms=at, sequence=advance.sequence)
        outcome = OutcomeWatermark(loop=self.loop, watermark_ms=at, sequence=advance.sequence)
        yield from self._copies(event_id("watermark-advanced", self.loop, at), at, advanced, rows_partitions)
        yield from self._copies(event_id("outcome-watermark", self.loop, at), at, outcome, outcome_partitions)

    def lake_flushed(self, watermark_ms: int, tables: Sequence[ports.TableVersion]) -> Outgoing:
        """The lake is whole up to a watermark."""
        versions = [f"{table.name}@{table.version}" for table in tables]
        name = event_id("lake-flushed", self.loop, watermark_ms, *versions)
        held = [TableVersion(name=table.name, path=table.path, version=table.version) for table in tables]
        return self._record(
            name, watermark_ms, LakeFlushed(loop=self.loop, watermark_ms=watermark_ms, tables=held), None
        )

    def _copies(self, name: str, time_ms: int, data: Message, partitions: int) -> Iterator[Outgoing]:
        record = self._record(name, time_ms, data, None)
        for partition in range(partitions):
            yield replace(record, partition=partition)

    def _record(self, name: str, time_ms: int, data: Message, partition: int | None) -> Outgoing:
        draft = Draft(name, self.loop, time_ms, data)
        event = from_draft(draft, source=SOURCE, wall_time_ms=self.clock.now_ms(), cause=None, traceparent=None)
        return replace(to_record(event), partition=partition)


def letter(record: Record, fault: Rejection) -> Outgoing:
    """The dead letter of a record. One that no topic would take carries its beginning; the digest is the whole's."""
    value = record.value or b""
    whole = dead_letter(record, consumer=SOURCE, reason=fault.reason, detail=fault.detail, stack=fault.stack)
    if len(value) + sum(len(held) for _, held in record.headers) <= _LETTER_BYTES:
        return whole
    headers = tuple((name, held) for name, held in whole.headers if name.startswith("dlq-"))
    size = ("dlq-original-bytes", str(len(value)).encode())
    return replace(
        whole, value=value[:_EXCERPT_BYTES], key=(record.key or b"")[:_EXCERPT_BYTES], headers=(*headers, size)
    )


def _pieces(rows: pa.RecordBatch) -> Iterator[tuple[pa.RecordBatch, bytes]]:
    """The rows with their bytes, halved until a record can hold them."""
    content = _ipc(rows)
    if len(content) <= MOST_BYTES or rows.num_rows == 1:
        yield rows, content
        return
    half = rows.num_rows // 2
    yield from _pieces(rows.slice(0, half))
    yield from _pieces(rows.slice(half))


def _ipc(rows: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _newest(rows: pa.RecordBatch) -> int:
    return int(rows.column("event_time_ms").to_numpy().max())


def _span(rows: pa.RecordBatch) -> list[int]:
    """Where the first and the last row stood, and how many there are: no other rows of the stream have these."""
    partitions, offsets = rows.column("source_partition"), rows.column("source_offset")
    ends = [held[at].as_py() for at in (0, -1) for held in (partitions, offsets)]
    return [*ends, rows.num_rows]
