"""Splits the records of one event type into rows and watermarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from driftloop.bus.ports import Record, TopicPartition
from driftloop.events.raw_watermark import DERIVE, WATERMARK_HEADER, watermark_text
from driftloop.process.limits import END_OF_TIME_MS
from services.ingestion.domain.arrivals import Mark
from services.ingestion.domain.rejection import LATEST, TOO_FAR_AHEAD, Rejection, time_text


@dataclass(frozen=True, slots=True)
class Run:
    """A partition's part of the rows, positions [start, end). A mark precedes the row at its position."""

    partition: TopicPartition
    start: int
    end: int
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Runs:
    """``rows`` of all partitions in turn, each in order of offset; ``unreadable``: faulty watermark records."""

    rows: list[Record]
    runs: list[Run]
    unreadable: list[tuple[Record, Rejection]]


def read_runs(records: Mapping[TopicPartition, Sequence[Record]], latest_ms: int | None = None) -> Runs:
    """Split records by partition into rows and watermarks. A watermark after ``latest_ms`` is faulty."""
    rows: list[Record] = []
    runs: list[Run] = []
    unreadable: list[tuple[Record, Rejection]] = []
    for partition, batch in sorted(records.items(), key=lambda item: (item[0].topic, item[0].partition)):
        start, marks = len(rows), []
        for record in batch:
            text = watermark_text(record)
            if text is None:
                rows.append(record)
            elif text == DERIVE:
                marks.append(Mark(len(rows), None))
            elif (watermark_ms := _milliseconds(text)) is None:
                detail = f"{WATERMARK_HEADER}: {text[:40]!r} is not milliseconds from 1970 to 9999"
                unreadable.append((record, Rejection(-1, "malformed-watermark", detail)))
            elif latest_ms is not None and watermark_ms > latest_ms:
                detail = f"{WATERMARK_HEADER}: {time_text(watermark_ms)} is after {time_text(latest_ms)}, {LATEST}"
                unreadable.append((record, Rejection(-1, TOO_FAR_AHEAD, detail)))
            else:
                marks.append(Mark(len(rows), watermark_ms))
        runs.append(Run(partition, start, len(rows), tuple(marks)))
    return Runs(rows, runs, unreadable)


def _milliseconds(text: bytes) -> int | None:
    digits = text.strip()
    if not digits.isdigit() or len(digits) > 15:
        return None
    number = int(digits)
    return number if number < END_OF_TIME_MS else None
