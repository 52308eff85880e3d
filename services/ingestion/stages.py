"""Stages that turn the raw records of one event type into accepted rows: decode, check, derive, arrive, deduplicate.

Each stage takes the whole batch, drops the rows that it refuses and records why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftloop.bus.ports import Record, TopicPartition
from driftloop.loop.definition import TimeRules, to_ms
from driftloop.model.classes import unknown_class
from driftloop.model.labels import allowed_outcomes, valid_outcomes
from driftloop.process.errors import InvalidEvent
from services.ingestion.domain.arrivals import Ints, Mark
from services.ingestion.domain.decode import Decoded, Decoder
from services.ingestion.domain.duplicates import DuplicateWindow
from services.ingestion.domain.fanout import OutcomeColumns
from services.ingestion.domain.probes import ProbeResult
from services.ingestion.domain.rejection import DUPLICATE, TOO_FAR_AHEAD, Rejection
from services.ingestion.domain.rules import Rules, non_finite
from services.ingestion.domain.runs import Run, read_runs
from services.ingestion.domain.schema import STANDARD, EventSchema
from services.ingestion.domain.watermarks import LoopClock
from services.ingestion.ports import Derive

Mask = NDArray[np.bool_]

_NO_TIMES = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Refused:
    """A refused record. ``event_id`` and ``time_ms`` are None if they could not be read."""

    record: Record
    fault: Rejection
    event_id: str | None = None
    time_ms: int | None = None


@dataclass(frozen=True, slots=True)
class EventTypeResult:
    """Accepted rows, with the columns of `EventTypeStages.schema`, and refused records of one event type."""

    accepted: pa.RecordBatch
    refused: list[Refused]
    unknown: Mapping[str, int] = field(default_factory=dict)
    """Records with a field that the message lacks, by the field."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows between two stages.

    ``fields``: the message's fields. ``positions``: index of each row's record in ``records``, int64 [n].
    ``derived``: one array per derived column. ``arrival_ms``: arrival watermarks, int64 [n] after the stage arrive.
    """

    records: Sequence[Record]
    fields: pa.RecordBatch
    positions: Ints
    derived: list[pa.Array] = field(default_factory=list)
    arrival_ms: Ints = field(default_factory=lambda: _NO_TIMES)

    def keep(self, mask: Mask) -> _Rows:
        """Return the rows for which ``mask``, bool [n], is true."""
        if mask.all():
            return self
        chosen = pa.array(mask)
        return replace(
            self,
            fields=self.fields.filter(chosen),
            positions=self.positions[mask],
            derived=[column.filter(chosen) for column in self.derived],
            arrival_ms=self.arrival_ms[mask] if len(self.arrival_ms) else self.arrival_ms,
        )


class EventTypeStages:
    """The stages for one event type of one loop."""

    def __init__(
        self, schema: EventSchema, derive: Derive | None, time: TimeRules, outcome: OutcomeColumns | None = None
    ) -> None:
        self._event = schema
        self._outcome = outcome
        self._decoder = Decoder(schema, time.max_record_bytes)
        self._rules = Rules(schema)
        self._derive = derive
        self.duplicates = DuplicateWindow(to_ms(time.duplicate_window))
        own = [schema.fields.field(name) for name in schema.own]
        self.schema = pa.schema([*STANDARD, *own, *(derive.schema if derive else ())])
        self.no_rows = pa.RecordBatch.from_pylist([], schema=self.schema)

    def process(
        self, records: Mapping[TopicPartition, Sequence[Record]], clock: LoopClock, now_ms: int | None
    ) -> EventTypeResult:
        """Run all stages on the records of a batch, by partition. Rows and watermark records advance ``clock``.

        ``now_ms``: the wall clock when the batch was read.
        """
        runs = read_runs(records, clock.rules.latest_ms(now_ms))
        refused = [Refused(record, fault) for record, fault in runs.unreadable]
        if not runs.rows:
            self._advance_by_marks(runs.runs, clock, now_ms)
            return EventTypeResult(self.no_rows, refused)
        decoded = self._decoder.decode(runs.rows)
        rows = self._judge(runs.rows, decoded, refused)
        rows = self._arrive(rows, runs.runs, clock, now_ms, refused)
        rows = self._deduplicate(rows, clock.watermark_ms, refused)
        return EventTypeResult(self._assemble(rows), refused, decoded.unknown)

    def check_probes(self, probes: Sequence[Record]) -> list[ProbeResult]:
        """Run the stages without side effects on probes: decode, check and derive."""
        refused: list[Refused] = []
        rows = self._judge(probes, self._decoder.decode(probes), refused)
        times = dict(zip(rows.positions.tolist(), rows.fields.column(self._event.time).to_pylist(), strict=True))
        faults = {(item.record.partition, item.record.offset): item.fault for item in refused}
        return [
            ProbeResult(record, faults.get((record.partition, record.offset)), times.get(position, 0))
            for position, record in enumerate(probes)
        ]

    def _judge(self, records: Sequence[Record], decoded: Decoded, refused: list[Refused]) -> _Rows:
        """Run the stages without side effects after decoding: check, derive, check the outcome."""
        refused += [Refused(records[fault.row], fault) for fault in decoded.rejected]
        rows = _Rows(records, decoded.rows, decoded.positions)
        rows = self._drop(rows, self._rules.check(rows.fields), refused)
        return self._check_outcome(self._compute_derived(rows, refused), refused)

    def _compute_derived(self, rows: _Rows, refused: list[Refused]) -> _Rows:
        if self._derive is None:
            return rows
        try:
            rows = replace(rows, derived=self._derive(rows.fields))
        except InvalidEvent:
            failures = [Rejection(row, "derive", why) for row, why in self._derive.failures(rows.fields)]
            rows = self._drop(rows, failures, refused)
            rows = replace(rows, derived=self._derive(rows.fields))
        return self._drop(rows, self._non_finite(rows.derived), refused)

    def _non_finite(self, derived: Sequence[pa.Array]) -> list[Rejection]:
        """Return the rows with NaN or infinity in a derived column, each once."""
        assert self._derive is not None  # noqa: S101
        broken: dict[int, Rejection] = {}
        for name, column in zip(self._derive.schema.names, derived, strict=True):
            if not self._event.rule(name).allow_non_finite:
                broken = {fault.row: fault for fault in non_finite(name, column)} | broken
        return [broken[row] for row in sorted(broken)]

    def _check_outcome(self, rows: _Rows, refused: list[Refused]) -> _Rows:
        """Drop rows whose outcome is not a value of the label. A row without an outcome stays."""
        if self._outcome is None:
            return rows
        values = self._column(self._outcome.value, rows)
        check = _unknown_classes if self._outcome.classes else _invalid_outcomes
        return self._drop(rows, check(self._outcome, values), refused)

    def _arrive(
        self, rows: _Rows, runs: list[Run], clock: LoopClock, now_ms: int | None, refused: list[Refused]
    ) -> _Rows:
        """Give each row the watermark of its partition when it was read; drop rows too far ahead."""
        times = rows.fields.column(self._event.time).to_numpy()
        arrival, too_far = np.empty(len(times), dtype=np.int64), np.zeros(len(times), dtype=bool)
        for run in runs:
            start, end = np.searchsorted(rows.positions, [run.start, run.end]).tolist()
            marks = [
                Mark(int(np.searchsorted(rows.positions, mark.before)) - start, mark.watermark_ms) for mark in run.marks
            ]
            arrivals = clock.read(run.partition, times[start:end], marks, now_ms)
            arrival[start:end], too_far[start:end] = arrivals.arrival_ms, arrivals.refused
        faults = [
            Rejection(row, TOO_FAR_AHEAD, clock.rules.describe(int(times[row]), int(arrival[row]), now_ms))
            for row in np.flatnonzero(too_far).tolist()
        ]
        return self._drop(replace(rows, arrival_ms=arrival), faults, refused)

    def _deduplicate(self, rows: _Rows, watermark_ms: int | None, refused: list[Refused]) -> _Rows:
        """Drop rows whose event id was accepted before, within the loop's duplicate window."""
        ids = rows.fields.column(self._event.id).cast(pa.string()).to_pylist()
        times = rows.fields.column(self._event.time).to_pylist()
        repeated = self.duplicates.repeated(ids, times, watermark_ms)
        return self._drop(rows, _rejections(repeated, DUPLICATE, "the event was accepted before"), refused)

    def _assemble(self, rows: _Rows) -> pa.RecordBatch:
        records = [rows.records[position] for position in rows.positions.tolist()]
        standard = [
            rows.fields.column(self._event.id).cast(pa.string()),
            rows.fields.column(self._event.time),
            pa.array(rows.arrival_ms, pa.int64()),
            pa.array([self._event.event_type] * len(records), pa.string()),
            pa.array([record.partition for record in records], pa.int32()),
            pa.array([record.offset for record in records], pa.int64()),
        ]
        own = [rows.fields.column(name) for name in self._event.own]
        return pa.RecordBatch.from_arrays([*standard, *own, *rows.derived], schema=self.schema)

    def _advance_by_marks(self, runs: list[Run], clock: LoopClock, now_ms: int | None) -> None:
        for run in runs:
            clock.read(run.partition, _NO_TIMES, run.marks, now_ms)

    def _column(self, name: str, rows: _Rows) -> pa.Array:
        index = -1 if self._derive is None else self._derive.schema.get_field_index(name)
        return rows.fields.column(name) if index < 0 else rows.derived[index]

    def _drop(self, rows: _Rows, faults: list[Rejection], refused: list[Refused]) -> _Rows:
        """Append the faulty rows to ``refused`` and return the others."""
        if not faults:
            return rows
        ids, times = rows.fields.column(self._event.id), rows.fields.column(self._event.time)
        for fault in faults:
            event_id = str(ids[fault.row].as_py()) if ids[fault.row].is_valid else None
            record = rows.records[rows.positions[fault.row]]
            refused.append(Refused(record, fault, event_id, times[fault.row].as_py()))
        kept = np.ones(len(rows.positions), dtype=bool)
        kept[[fault.row for fault in faults]] = False
        return rows.keep(kept)


def _rejections(rows: Mask, reason: str, detail: str) -> list[Rejection]:
    return [Rejection(row, reason, detail) for row in np.flatnonzero(rows).tolist()]


def _unknown_classes(outcome: OutcomeColumns, values: pa.Array) -> list[Rejection]:
    listed = ", ".join(outcome.classes)
    return [
        Rejection(row, "unknown-class", f"{outcome.value}: {repr(values[row].as_py())[:80]} is not one of {listed}")
        for row in np.flatnonzero(unknown_class(values, outcome.classes)).tolist()
    ]


def _invalid_outcomes(outcome: OutcomeColumns, values: pa.Array) -> list[Rejection]:
    numbers = values.cast(pa.float64(), safe=False).fill_null(0).to_numpy()  # 0 is valid for every kind
    reason = "unknown-class" if outcome.kind == "binary" else "invalid-outcome"
    allowed = allowed_outcomes(outcome.kind)
    return [
        Rejection(row, reason, f"{outcome.value}: {values[row].as_py()} is not {allowed}, the values of {outcome.kind}")
        for row in np.flatnonzero(~valid_outcomes(outcome.kind, numbers)).tolist()
    ]


def stages_by_event_type(
    schemas: Mapping[str, EventSchema],
    derives: Mapping[str, Derive],
    time: TimeRules,
    outcomes: Mapping[str, OutcomeColumns],
) -> dict[str, EventTypeStages]:
    """Return a loop's stages by event type; ``outcomes`` by the event type that carries them."""
    return {
        name: EventTypeStages(schema, derives.get(name), time, outcomes.get(name)) for name, schema in schemas.items()
    }
