"""Prediction watermarks of several writers, from the records of the prediction log. Pure.

A writer is a Triton with its serving agent and its spool. The rules are in
`docs/decisions/0015-prediction-watermarks-carry-their-writer.md`; `tests/simulation/watermark_protocol/` checks them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from google.protobuf.message import Message

from driftloop.bus.watermarks import PartitionWatermarks, lowest
from driftloop.contracts import predictions_pb2 as predictions

CONTROL = (
    predictions.PredictionWatermark,
    predictions.WriterJoined,
    predictions.WriterLeft,
    predictions.GiveUp,
)
"""Messages of the prediction log that change its watermark."""


class OpenWriter(NamedTuple):
    """A writer that is open in a partition. ``watermark_ms``: the newest that this start wrote, or None."""

    start: int
    watermark_ms: int | None = None


@dataclass
class PartitionWriters:
    """The writers of one partition, by name."""

    open: dict[str, OpenWriter] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    """The newest start of each writer, also of closed ones."""

    def join(self, writer: str, start: int) -> None:
        """Open a writer, unless this start or a newer one is known."""
        if start > self.starts.get(writer, -1):
            self.starts[writer] = start
            self.open[writer] = OpenWriter(start)

    def mark(self, writer: str, start: int, watermark_ms: int) -> None:
        """Record a watermark of an open writer.

        A start that is not known yet joins: agents of earlier versions do not, and the broker deletes old records.
        """
        self.join(writer, start)
        known = self.open.get(writer)
        if known is not None and known.start == start:
            newest_ms = watermark_ms if known.watermark_ms is None else max(watermark_ms, known.watermark_ms)
            self.open[writer] = OpenWriter(start, newest_ms)

    def close(self, writer: str, start: int) -> OpenWriter | None:
        """Close this start of a writer, or an older one; return it if it was open."""
        self.starts[writer] = max(start, self.starts.get(writer, -1))
        known = self.open.get(writer)
        return self.open.pop(writer) if known is not None and known.start <= start else None

    @property
    def watermark_ms(self) -> int | None:
        """The least watermark of the open writers; None if there are none, or one of them has written none."""
        return lowest(writer.watermark_ms for writer in self.open.values())


@dataclass
class PredictionWatermarks(PartitionWatermarks):
    """The watermark of each partition: the least of its open writers. It never goes back."""

    writers: dict[int, PartitionWriters] = field(default_factory=dict)

    def apply(self, partition: int, message: Message) -> OpenWriter | None:
        """Apply a record of a type in `CONTROL`; return the start that it closed, if any."""
        writers = self.writers.setdefault(partition, PartitionWriters())
        closed = _apply(writers, message)
        if (watermark_ms := writers.watermark_ms) is not None:
            self.advance(partition, watermark_ms)
        return closed

    def newest_start(self, partition: int, writer: str) -> int:
        """Return the newest start of a writer that a partition knows; -1 if it knows none."""
        writers = self.writers.get(partition)
        return -1 if writers is None else writers.starts.get(writer, -1)

    def open_start(self, writer: str) -> int | None:
        """Return the newest start of a writer that is open in any partition, or None."""
        starts = [known.start for name, known in self._open() if name == writer]
        return max(starts, default=None)

    def holding(self) -> dict[str, tuple[tuple[int, int, int | None], ...]]:
        """Return the writers that are behind another one in a partition, with partition, start and watermark in each.

        A writer that is alone is never behind.
        """
        state: dict[str, list[tuple[int, int, int | None]]] = {}
        behind = set()
        for partition, writers in sorted(self.writers.items()):
            newest = max(map(_order, writers.open.values()), default=(False, 0))
            for name, known in writers.open.items():
                state.setdefault(name, []).append((partition, known.start, known.watermark_ms))
                if _order(known) < newest:
                    behind.add(name)
        return {name: tuple(state[name]) for name in sorted(behind)}

    def _open(self) -> Iterator[tuple[str, OpenWriter]]:
        for writers in self.writers.values():
            yield from writers.open.items()


def _order(writer: OpenWriter) -> tuple[bool, int]:
    return (writer.watermark_ms is not None, writer.watermark_ms or 0)


def _apply(writers: PartitionWriters, message: Any) -> OpenWriter | None:
    match message:
        case predictions.PredictionWatermark():
            writers.mark(message.writer, message.start, message.watermark_ms)
        case predictions.WriterJoined():
            writers.join(message.writer, message.start)
        case predictions.WriterLeft() | predictions.GiveUp():
            return writers.close(message.writer, message.start)
    return None
