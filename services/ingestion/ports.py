"""What ingestion needs of the world, beside the bus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from driftloop.bus.ports import TopicPartition
from services.ingestion.domain.arrivals import PartitionClock


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A batch as it was taken: what decides its result beside the records themselves.

    ``ranges``: [start, end) of offsets, by partition. ``silent``: partitions that wall time had passed over.
    """

    sequence: int
    ranges: Mapping[TopicPartition, tuple[int, int]]
    silent: frozenset[TopicPartition]


@dataclass(frozen=True)
class ClockState:
    """A `LoopClock` at rest."""

    partitions: Mapping[TopicPartition, PartitionClock]
    watermark_ms: int | None
    sequence: int
    waiting: frozenset[int]
    silent: frozenset[TopicPartition]


@dataclass(frozen=True)
class Checkpoint:
    """Where a restart begins: all before ``positions`` is in the lake, sent and acknowledged.

    ``taken``: sequence of the last batch in it. ``loops``: clocks by loop.
    """

    taken: int = 0
    positions: Mapping[TopicPartition, int] = field(default_factory=dict)
    loops: Mapping[str, ClockState] = field(default_factory=dict)


class Journal(Protocol):
    """The service's own durable notes. Every call is one transaction."""

    def append(self, taken: BatchRecord) -> None:
        """Note a batch before anything of it is sent."""
        ...

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint and forget the batches in it."""
        ...

    def load(self) -> tuple[Checkpoint, list[BatchRecord]]:
        """The newest checkpoint and the batches noted since, in order."""
        ...

    def close(self) -> None:
        """Release it."""
        ...


@dataclass(frozen=True, slots=True)
class TableVersion:
    """Where a table of the lake stands. ``name`` is an event type, `rejected` or `watermarks`."""

    name: str
    path: str
    version: int


@dataclass(frozen=True)
class Unflushed:
    """What a loop's lake lacks. Rows bear their source position; ``watermarks`` has `watermark_ms` and `sequence`."""

    loop: str
    events: Mapping[str, pa.Table]
    rejected: pa.Table
    watermarks: pa.Table

    @property
    def rows(self) -> int:
        """Rows that wait."""
        return sum(int(table.num_rows) for table in (*self.events.values(), self.rejected))


ACCEPTED_BEFORE = ("event_id", "event_time_ms", "source_partition", "source_offset")
"""Columns that tell duplicates."""


class Lake(Protocol):
    """The loops' Delta tables. One writer; from one thread at a time."""

    def append(self, unflushed: Unflushed) -> list[TableVersion]:
        """Append the rows that do not stand yet, by source position; returns the version of every table that exists."""
        ...

    def accepted(self, loop: str, event_type: str, since_ms: int) -> pa.Table:
        """The columns `ACCEPTED_BEFORE` of rows with event time at least ``since_ms``."""
        ...


class Derive(Protocol):
    """Computes an event type's derived columns."""

    @property
    def schema(self) -> pa.Schema:
        """Their names and types."""
        ...

    def __call__(self, rows: pa.RecordBatch) -> list[pa.Array]:
        """The columns, row by row.

        Raises:
            InvalidEvent: an expression fails on the value of some row.
        """
        ...
