"""The records of one event type from one batch, sorted into rows and watermarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from driftloop.bus.ports import Record, TopicPartition
from services.ingestion.domain.arrivals import Mark
from services.ingestion.domain.rejection import Rejection
from services.ingestion.domain.rules import END_OF_TIME_MS

WATERMARK_HEADER = "driftloop-watermark"


@dataclass(frozen=True, slots=True)
class Run:
    """A partition's piece of the rows: places [start, end). A mark stands before the row at its place."""

    place: TopicPartition
    start: int
    end: int
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Runs:
    """``rows`` of all partitions, one after the other, each in order of offset; ``unreadable``: marks with faults."""

    rows: list[Record]
    runs: list[Run]
    unreadable: list[tuple[Record, Rejection]]


def read_runs(records: Mapping[TopicPartition, Sequence[Record]]) -> Runs:
    """Sort out what came, partition by partition."""
    rows: list[Record] = []
    runs: list[Run] = []
    unreadable: list[tuple[Record, Rejection]] = []
    for place, held in sorted(records.items(), key=lambda item: (item[0].topic, item[0].partition)):
        start, marks = len(rows), []
        for record in held:
            text = None if record.value else record.header(WATERMARK_HEADER)
            if text is None:
                rows.append(record)
            elif (watermark_ms := _milliseconds(text)) is None:
                detail = f"{WATERMARK_HEADER}: {text[:40]!r} is not milliseconds from 1970 to 9999"
                unreadable.append((record, Rejection(-1, "malformed-watermark", detail)))
            else:
                marks.append(Mark(len(rows), watermark_ms))
        runs.append(Run(place, start, len(rows), tuple(marks)))
    return Runs(rows, runs, unreadable)


def _milliseconds(text: bytes) -> int | None:
    digits = text.strip()
    if not digits.isdigit() or len(digits) > 15:
        return None
    number = int(digits)
    return number if number < END_OF_TIME_MS else None
