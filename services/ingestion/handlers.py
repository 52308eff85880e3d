"""What is done with the records of one event type: decode, check, derive, place in time, drop what was accepted before.

All of it is done to a whole batch at once; `table` maps each event type of a loop to its handler.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from driftloop.bus.ports import Record, TopicPartition
from driftloop.loop.definition import TimeRules, to_ms
from driftloop.model.classes import unknown_class
from driftloop.process.errors import InvalidEvent
from services.ingestion.domain.arrivals import ArrivalRules, Ints, Mark, PartitionClock
from services.ingestion.domain.decode import Decoder
from services.ingestion.domain.duplicates import DuplicateWindow
from services.ingestion.domain.fanout import OutcomeColumns
from services.ingestion.domain.probes import ProbeResult
from services.ingestion.domain.rejection import DUPLICATE, Rejection
from services.ingestion.domain.rules import Rules
from services.ingestion.domain.runs import Run, read_runs
from services.ingestion.domain.schema import STANDARD, EventSchema
from services.ingestion.domain.watermarks import LoopClock
from services.ingestion.ports import Derive

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Refused:
    """A record that was turned away. ``event_id`` and ``time_ms`` where they could be read."""

    record: Record
    fault: Rejection
    event_id: str | None = None
    time_ms: int | None = None


@dataclass(frozen=True, slots=True)
class EventTypeResult:
    """What became of the records of one event type. ``accepted`` has the columns of `EventHandler.schema`."""

    accepted: pa.RecordBatch
    refused: list[Refused]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Decoded rows with their records' places, int64 [n]."""

    batch: pa.RecordBatch
    places: Ints

    def keep(self, mask: Mask) -> _Rows:
        if mask.all():
            return self
        return _Rows(self.batch.filter(pa.array(mask)), self.places[mask])


class EventHandler:
    """Handles the records of one event type of one loop."""

    def __init__(
        self, schema: EventSchema, derive: Derive | None, time: TimeRules, outcome: OutcomeColumns | None = None
    ) -> None:
        self._event = schema
        self._outcome = outcome if outcome is not None and outcome.classes else None
        self._decoder = Decoder(schema, time.max_record_bytes)
        self._rules = Rules(schema)
        self._derive = derive
        self._arrival = ArrivalRules(to_ms(time.lateness), to_ms(time.max_advance))
        self.duplicates = DuplicateWindow(to_ms(time.duplicate_window))
        own = [schema.fields.field(name) for name in schema.own]
        self.schema = pa.schema([*STANDARD, *own, *(derive.schema if derive else ())])
        self.nothing = pa.RecordBatch.from_pylist([], schema=self.schema)

    def __call__(self, records: Mapping[TopicPartition, Sequence[Record]], clock: LoopClock) -> EventTypeResult:
        """Take the records of a batch, by partition; the clock is moved by what the rows and marks say."""
        runs = read_runs(records)
        refused = [Refused(record, fault) for record, fault in runs.unreadable]
        if not runs.rows:
            self._pass_marks(runs.runs, clock)
            return EventTypeResult(self.nothing, refused)
        rows, derived = self._checked(runs.rows, refused)
        arrival, ahead = self._arrive(rows, runs.runs, clock)
        repeated = self._repeated(rows, ahead, clock.watermark_ms)
        faults = _faults(ahead, "too-far-ahead", "too far ahead of its partition's watermark")
        faults += _faults(repeated, DUPLICATE, "the event was accepted before")
        kept = ~(ahead | repeated)
        self._refuse(rows, faults, runs.rows, refused)
        accepted = self._assemble(rows, derived, arrival, runs.rows)
        return EventTypeResult(accepted if kept.all() else accepted.filter(pa.array(kept)), refused)

    def judge(self, probes: Sequence[Record]) -> list[ProbeResult]:
        """What would become of these test events by form, rules and expressions; nothing is moved or remembered."""
        refused: list[Refused] = []
        rows, _ = self._checked(probes, refused)
        times = dict(zip(rows.places.tolist(), rows.batch.column(self._event.time).to_pylist(), strict=True))
        faults = {(each.record.partition, each.record.offset): each.fault for each in refused}
        return [
            ProbeResult(record, faults.get((record.partition, record.offset)), times.get(place, 0))
            for place, record in enumerate(probes)
        ]

    def _checked(self, records: Sequence[Record], refused: list[Refused]) -> tuple[_Rows, list[pa.Array]]:
        """The rows that can be read and keep the rules, with their derived columns; the others are noted."""
        decoded = self._decoder.decode(records)
        refused += [Refused(records[fault.row], fault) for fault in decoded.rejected]
        rows = _Rows(decoded.rows, decoded.places)
        rows = self._without(rows, self._rules.check(decoded.rows), records, refused)
        rows, derived = self._derived(rows, records, refused)
        if self._outcome is None:
            return rows, derived
        faults = _classless(self._outcome, self._column(self._outcome.value, rows, derived))
        kept = self._without(rows, faults, records, refused)
        return kept, [each.filter(pa.array(_others(faults, len(each)))) for each in derived] if faults else derived

    def _column(self, name: str, rows: _Rows, derived: list[pa.Array]) -> pa.Array:
        """A field of the message, or a derived column."""
        place = -1 if self._derive is None else self._derive.schema.get_field_index(name)
        return rows.batch.column(name) if place < 0 else derived[place]

    def _without(
        self, rows: _Rows, faults: list[Rejection], records: Sequence[Record], refused: list[Refused]
    ) -> _Rows:
        if not faults:
            return rows
        self._refuse(rows, faults, records, refused)
        return rows.keep(_others(faults, len(rows.places)))

    def _refuse(self, rows: _Rows, faults: list[Rejection], records: Sequence[Record], refused: list[Refused]) -> None:
        for fault in faults:
            name, time_ms = rows.batch.column(self._event.id)[fault.row], rows.batch.column(self._event.time)[fault.row]
            event_id = str(name.as_py()) if name.is_valid else None
            refused.append(Refused(records[rows.places[fault.row]], fault, event_id, time_ms.as_py()))

    def _derived(self, rows: _Rows, records: Sequence[Record], refused: list[Refused]) -> tuple[_Rows, list[pa.Array]]:
        if self._derive is None:
            return rows, []
        try:
            return rows, self._derive(rows.batch)
        except InvalidEvent:
            rows = self._without(rows, _failing(self._derive, rows.batch), records, refused)
            return rows, self._derive(rows.batch)

    def _arrive(self, rows: _Rows, runs: list[Run], clock: LoopClock) -> tuple[Ints, Mask]:
        times = rows.batch.column(self._event.time).to_numpy()
        arrival, ahead = np.empty(len(times), dtype=np.int64), np.zeros(len(times), dtype=bool)
        for run in runs:
            start, end = np.searchsorted(rows.places, [run.start, run.end]).tolist()
            marks = [Mark(int(np.searchsorted(rows.places, m.before)) - start, m.watermark_ms) for m in run.marks]
            before: PartitionClock = clock.clock(run.place)
            read = self._arrival.read(before, times[start:end], marks)
            arrival[start:end], ahead[start:end] = read.arrival_ms, read.ahead
            clock.note(run.place, read.clock, read.sent)
        return arrival, ahead

    def _pass_marks(self, runs: list[Run], clock: LoopClock) -> None:
        for run in runs:
            read = self._arrival.read(clock.clock(run.place), np.empty(0, dtype=np.int64), run.marks)
            clock.note(run.place, read.clock, read.sent)

    def _repeated(self, rows: _Rows, ahead: Mask, watermark_ms: int | None) -> Mask:
        present = np.flatnonzero(~ahead)
        chosen = rows.batch if len(present) == len(ahead) else rows.batch.take(pa.array(present))
        ids = chosen.column(self._event.id).cast(pa.string()).to_pylist()
        times = chosen.column(self._event.time).to_pylist()
        repeated = np.zeros(len(ahead), dtype=bool)
        repeated[present] = self.duplicates.repeated(ids, times, watermark_ms)
        return repeated

    def _assemble(self, rows: _Rows, derived: list[pa.Array], arrival: Ints, records: list[Record]) -> pa.RecordBatch:
        stood = [records[place] for place in rows.places.tolist()]
        standard = [
            rows.batch.column(self._event.id).cast(pa.string()),
            rows.batch.column(self._event.time),
            pa.array(arrival, pa.int64()),
            pa.array([self._event.event_type] * len(stood), pa.string()),
            pa.array([record.partition for record in stood], pa.int32()),
            pa.array([record.offset for record in stood], pa.int64()),
        ]
        own = [rows.batch.column(name) for name in self._event.own]
        return pa.RecordBatch.from_arrays([*standard, *own, *derived], schema=self.schema)


def _faults(rows: Mask, reason: str, detail: str) -> list[Rejection]:
    return [Rejection(row, reason, detail) for row in np.flatnonzero(rows).tolist()]


def _others(faults: list[Rejection], rows: int) -> Mask:
    """The rows with no fault."""
    kept = np.ones(rows, dtype=bool)
    kept[[fault.row for fault in faults]] = False
    return kept


def _classless(outcome: OutcomeColumns, held: pa.Array) -> list[Rejection]:
    """Return the rows whose outcome is not one of the label's classes."""
    unknown = np.flatnonzero(unknown_class(held, outcome.classes)).tolist()
    listed = ", ".join(outcome.classes)
    shown = [repr(held[row].as_py())[:80] for row in unknown]
    return [
        Rejection(row, "unknown-class", f"{outcome.value}: {each} is not one of {listed}")
        for row, each in zip(unknown, shown, strict=True)
    ]


def _failing(derive: Derive, batch: pa.RecordBatch) -> list[Rejection]:
    """The rows on which an expression fails, each tried alone."""
    found = []
    for row in range(batch.num_rows):
        try:
            derive(batch.slice(row, 1))
        except InvalidEvent as error:
            found.append(Rejection(row, error.reason, error.detail))
    return found


def table(
    schemas: Mapping[str, EventSchema],
    derives: Mapping[str, Derive],
    time: TimeRules,
    outcomes: Mapping[str, OutcomeColumns],
) -> dict[str, EventHandler]:
    """A loop's handlers by event type; ``outcomes`` by the event type that carries them."""
    return {name: EventHandler(schema, derives.get(name), time, outcomes.get(name)) for name, schema in schemas.items()}
