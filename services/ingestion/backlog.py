"""The rows of a loop that are not in the lake yet."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import pyarrow as pa

from services.ingestion.domain.watermarks import Advance
from services.ingestion.pipeline import REJECTED, BatchResult
from services.ingestion.ports import Unflushed

WATERMARKS = pa.schema([("watermark_ms", pa.int64()), ("sequence", pa.int64())])
"""Columns of the lake's table `watermarks`."""


class Backlog:
    """Rows and watermarks of one loop that wait for a flush. ``schemas``: schemas of accepted rows, by event type."""

    def __init__(self, loop: str, schemas: Mapping[str, pa.Schema], watermark_ms: int | None) -> None:
        self.loop = loop
        self.rows = 0
        self._schemas = schemas
        self._events: dict[str, list[pa.RecordBatch]] = defaultdict(list)
        self._rejected: list[pa.RecordBatch] = []
        self._advances: list[Advance] = []
        self._flushed_ms = watermark_ms

    def add(self, result: BatchResult) -> None:
        for name, rows in result.accepted.items():
            self._events[name].append(rows)
            self.rows += rows.num_rows
        if result.rejected.num_rows:
            self._rejected.append(result.rejected)
            self.rows += result.rejected.num_rows
        self._advances += result.advances

    @property
    def waits(self) -> bool:
        return bool(self.rows or self._advances)

    @property
    def span_ms(self) -> int:
        """Return the event time since the last flush; 0 before the first flush or watermark."""
        if not self._advances:
            return 0
        since = self._advances[0].watermark_ms if self._flushed_ms is None else self._flushed_ms
        return self._advances[-1].watermark_ms - since

    def drain(self) -> Unflushed:
        """Return everything that waits, and start empty."""
        events = {
            name: pa.Table.from_batches(self._events.get(name, []), schema) for name, schema in self._schemas.items()
        }
        rejected = pa.Table.from_batches(self._rejected, REJECTED)
        unflushed = Unflushed(self.loop, events, rejected, _table(self._advances))
        if self._advances:
            self._flushed_ms = self._advances[-1].watermark_ms
        self.rows, self._rejected, self._advances = 0, [], []
        self._events = defaultdict(list)
        return unflushed


def _table(advances: Sequence[Advance]) -> pa.Table:
    columns = [[advance.watermark_ms for advance in advances], [advance.sequence for advance in advances]]
    return pa.Table.from_arrays([pa.array(column, pa.int64()) for column in columns], schema=WATERMARKS)
