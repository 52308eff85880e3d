"""Replays the live engine over rows from the lake."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from services.features.domain.engine import Advance
from services.features.domain.events import Arrived, Ints
from services.features.domain.loop_run import LoopRun


@dataclass(frozen=True)
class _Sorted:
    """Rows of one event type by the time after which they are visible."""

    effective_ms: Ints
    rows: pa.RecordBatch

    @classmethod
    def of(cls, table: pa.Table) -> _Sorted:
        time, arrival = table["event_time_ms"].to_numpy(), table["arrival_watermark_ms"].to_numpy()
        effective = np.maximum(time, arrival)
        order = np.argsort(effective, kind="stable")
        rows = table.take(pa.array(order)).combine_chunks().to_batches()
        empty = pa.RecordBatch.from_pylist([], table.schema)
        return cls(effective[order], rows[0] if rows else empty)

    def between(self, start: int, watermark_ms: int) -> tuple[pa.RecordBatch, int]:
        """Return rows from a position on that are visible at the watermark, and the next position."""
        end = int(np.searchsorted(self.effective_ms, watermark_ms))
        return self.rows.slice(start, end - start), end


def replay(run: LoopRun, events: Mapping[str, pa.Table], watermarks: Ints, partitions: int) -> Iterator[Advance]:
    """Advance a new run through ``watermarks`` (int64, ascending, UTC ms) over the accepted rows of each event type.

    Afterwards the run also holds the rows that are not visible yet, and skips all of them when the input repeats them.

    Raises:
        KeyError: a view reads a missing event type or column.
    """
    feeds = list(run.engine.feeds)
    rows = {name: _Sorted.of(events[name]) for name in {feed.event_type for feed in feeds}}
    at = dict.fromkeys(rows, 0)
    for watermark_ms in watermarks.tolist():
        arrived: dict[str, Arrived] = {}
        for name, ordered in rows.items():
            batch, at[name] = ordered.between(at[name], watermark_ms)
            arrived[name] = Arrived(batch)
        for feed in feeds:
            run.engine.add(feed, arrived[feed.event_type])
        yield run.engine.advance(watermark_ms)
    rest = {name: Arrived(ordered.rows.slice(at[name])) for name, ordered in rows.items()}
    for feed in feeds:
        run.engine.add(feed, rest[feed.event_type])
    for name in rows:
        run.mark_seen(_newest(name, events[name]), partitions)


def _newest(event_type: str, table: pa.Table) -> dict[tuple[str, int], int]:
    offsets = table.group_by("source_partition").aggregate([("source_offset", "max")])
    pairs = zip(offsets["source_partition"].to_pylist(), offsets["source_offset_max"].to_pylist(), strict=True)
    return {(event_type, partition): offset for partition, offset in pairs}
