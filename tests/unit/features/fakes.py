"""Stores in memory that can be told to break, and a bus with accepted rows on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from driftloop.bus.ports import Outgoing
from driftloop.contracts.ingestion_pb2 import EntityRows, RowsAccepted, WatermarkAdvanced
from driftloop.events.envelope import Draft, from_draft, to_record
from services.features.domain.engine import Advance, FeatureRows
from services.features.domain.views import Feed, ViewSpec
from services.features.handlers import TOPIC
from services.features.ports import Checkpoint, ViewVersion
from tests.helpers.fuse import Fuse
from tests.helpers.memory_broker import MemoryBroker


class FakeOnline:
    """`OnlineStore` in dictionaries; ``fuse`` sparks before and after the commit."""

    def __init__(self, fuse: Fuse | None = None) -> None:
        self.fuse = fuse or Fuse()
        self.rows: dict[str, dict[Any, tuple[int, list[Any]]]] = {}
        self.right: dict[str, int] = {}

    def write(self, loop: str, views: Sequence[ViewSpec], advance: Advance) -> int:
        self.fuse.spark()
        behind = {view.view for view in views if self.right.get(view.view, -1) < advance.watermark_ms}
        for view in advance.views:
            if view.spec.view in behind:
                table = self.rows.setdefault(view.spec.view, {})
                for at, key in enumerate(view.keys):
                    table[key] = (advance.watermark_ms, [column[at] for column in view.columns])
        self.right.update(dict.fromkeys(behind, advance.watermark_ms))
        self.fuse.spark()
        return advance.rows

    def watermarks(self, loop: str) -> Mapping[str, int]:
        return dict(self.right)

    def check(self) -> None: ...

    def close(self) -> None: ...


class FakeOffline:
    """`OfflineStore` in lists, skipping what is stored as Delta's app transactions let it."""

    def __init__(self, fuse: Fuse | None = None) -> None:
        self.fuse = fuse or Fuse()
        self.rows: dict[str, list[tuple[Any, ...]]] = {}
        self.stands: dict[str, int] = {}
        self.version: dict[str, int] = {}

    def append(
        self, loop: str, specs: Sequence[ViewSpec], rows: Sequence[FeatureRows], watermark_ms: int, written_at_ms: int
    ) -> list[ViewVersion]:
        versions = []
        for spec in specs:
            self.fuse.spark()
            stands = self.stands.get(spec.view, -1)
            new = [view for view in rows if view.spec.view == spec.view and view.watermark_ms > stands]
            if new:
                self.rows.setdefault(spec.view, []).extend(
                    (view.watermark_ms, key, *(column[at] for column in view.columns))
                    for view in new
                    for at, key in enumerate(view.keys)
                )
                self.stands[spec.view] = watermark_ms
                self.version[spec.view] = self.version.get(spec.view, -1) + 1
            versions.append(ViewVersion(spec.view, spec.view, self.version.get(spec.view, -1)))
        return versions


class FakeCheckpoints:
    """`Checkpoints` in memory."""

    def __init__(self, fuse: Fuse | None = None) -> None:
        self.fuse = fuse or Fuse()
        self.newest: Checkpoint | None = None

    def load(self) -> Checkpoint | None:
        return self.newest

    def save(self, checkpoint: Checkpoint) -> None:
        self.fuse.spark()
        self.newest = checkpoint
        self.fuse.spark()


def accepted(
    feed: Feed, rows: pa.RecordBatch, partition: int, loop: str = "sales", positions: Sequence[int] | None = None
) -> Outgoing:
    """A record of accepted rows of which one entity takes all, or some, as ingestion sends it."""
    positions = range(rows.num_rows) if positions is None else positions
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_batch(rows)
    message = RowsAccepted(
        loop=loop,
        event_type=feed.event_type,
        entities=[EntityRows(join_keys=feed.join_keys, positions=positions)],
        num_rows=rows.num_rows,
        rows=sink.getvalue().to_pybytes(),
    )
    return _record(message, loop, partition)


def watermark(watermark_ms: int, partition: int, loop: str = "sales") -> Outgoing:
    """The loop's watermark in one partition."""
    return _record(WatermarkAdvanced(loop=loop, watermark_ms=watermark_ms), loop, partition)


def broker(partitions: int = 2) -> MemoryBroker:
    """A bus with the service's topics."""
    bus = MemoryBroker()
    bus.create_topic(TOPIC, partitions)
    for name in (f"{TOPIC}.dlq", "features.watermark-advanced.v1", "features.offline-flushed.v1"):
        bus.create_topic(name)
    return bus


def _record(message: Any, loop: str, partition: int) -> Outgoing:
    draft = Draft(f"{loop}-{partition}", loop, 0, message)
    event = from_draft(draft, source="ingestion", wall_time_ms=0, cause=None, traceparent=None)
    record = to_record(event)
    return Outgoing(record.topic, record.value, record.key, record.headers, partition)
