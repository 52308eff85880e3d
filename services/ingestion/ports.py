"""Ports of ingestion, beside the bus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from driftloop.bus.ports import TopicPartition
from services.ingestion.domain.arrivals import PartitionClock
from services.ingestion.domain.refusals import Refusals


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A batch as it was read: what determines its result beside the records.

    ``ranges``: [start, end) of offsets, by partition. ``idle``: partitions that were idle by wall time. ``read_at_ms``:
    the wall clock; None in a batch that an older version stored.
    """

    sequence: int
    ranges: Mapping[TopicPartition, tuple[int, int]]
    idle: frozenset[TopicPartition]
    read_at_ms: int | None


@dataclass(frozen=True)
class ClockState:
    """The state of a `LoopClock`."""

    partitions: Mapping[TopicPartition, PartitionClock]
    watermark_ms: int | None
    sequence: int
    waiting: frozenset[int]
    idle: frozenset[TopicPartition]


@dataclass(frozen=True)
class Checkpoint:
    """The start of a restart: everything before ``positions`` is in the lake, sent and acknowledged.

    ``sequence``: that of its last batch. ``loops``: clocks by loop. ``refusals``: by loop and topic. Both also hold the
    loops that do not run now. ``apart``: the positions of the loops that were not read up to ``positions``.
    ``topic_ids``: the ids of the topics of these positions. ``first``: the number of the first record of partitions
    whose topic was created again.
    """

    sequence: int = 0
    positions: Mapping[TopicPartition, int] = field(default_factory=dict)
    loops: Mapping[str, ClockState] = field(default_factory=dict)
    refusals: Mapping[tuple[str, str], Refusals] = field(default_factory=dict)
    apart: Mapping[str, Mapping[TopicPartition, int]] = field(default_factory=dict)
    topic_ids: Mapping[str, str] = field(default_factory=dict)
    first: Mapping[TopicPartition, int] = field(default_factory=dict)


class Journal(Protocol):
    """The service's durable log of batches. Every call is one transaction."""

    def append(self, batch: BatchRecord) -> None:
        """Store a batch before any of its results are sent."""
        ...

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint and delete its batches."""
        ...

    def load(self) -> tuple[Checkpoint, list[BatchRecord]]:
        """Return the newest checkpoint and the batches since, in order."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


@dataclass(frozen=True, slots=True)
class TableVersion:
    """The version of a lake table. ``name`` is an event type, `rejected` or `watermarks`."""

    name: str
    path: str
    version: int


@dataclass(frozen=True)
class Unflushed:
    """Rows of a loop that are not in the lake, with their source position.

    ``watermarks`` has `watermark_ms` and `sequence`.
    """

    loop: str
    events: Mapping[str, pa.Table]
    rejected: pa.Table
    watermarks: pa.Table

    @property
    def rows(self) -> int:
        """Number of waiting rows."""
        return sum(int(table.num_rows) for table in (*self.events.values(), self.rejected))


ACCEPTED_BEFORE = ("event_id", "event_time_ms", "source_partition", "source_offset")
"""Columns that identify duplicates."""


class Lake(Protocol):
    """The loops' Delta tables. One writer, one thread at a time."""

    def append(self, unflushed: Unflushed) -> list[TableVersion]:
        """Append the rows that are not stored yet, by source position; return the version of every table."""
        ...

    def accepted(self, loop: str, event_type: str, since_ms: int) -> pa.Table:
        """Return the columns `ACCEPTED_BEFORE` of rows with event time at least ``since_ms``."""
        ...


class Resumes(Protocol):
    """The commands of users that resume a loop."""

    def newest_ms(self) -> Mapping[str, int]:
        """Return the wall time of each loop's newest command that was read so far, by loop. Does not wait."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class Derive(Protocol):
    """Computes an event type's derived columns."""

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        ...

    def __call__(self, rows: pa.RecordBatch) -> list[pa.Array]:
        """Return the columns, row by row.

        Raises:
            InvalidEvent: an expression fails on a row's value.
        """
        ...

    def failures(self, rows: pa.RecordBatch) -> list[tuple[int, str]]:
        """Return the rows on which an expression fails, ascending, and why."""
        ...
