"""Turns a batch of raw records of one loop into records to send and rows for the lake."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from driftloop.bus.ports import Outgoing, Record, TopicPartition
from services.ingestion import metrics
from services.ingestion.domain.fanout import OutcomeColumns, Partitioner, entity_keys
from services.ingestion.domain.probes import set_aside
from services.ingestion.domain.rejection import DUPLICATE
from services.ingestion.domain.watermarks import Advance, LoopClock
from services.ingestion.handlers import EventHandler, EventTypeResult, Refused
from services.ingestion.messages import DETAIL_LENGTH, Messages, letter
from services.ingestion.ports import ClockState

REJECTED = pa.schema(
    [
        ("source_topic", pa.string()),
        ("source_partition", pa.int32()),
        ("source_offset", pa.int64()),
        ("reason", pa.string()),
        ("detail", pa.string()),
        ("event_id", pa.string()),
        ("event_time_ms", pa.int64()),
        ("sha256", pa.string()),
    ]
)
"""Columns of the lake's table `rejected`."""

Send = Callable[[Sequence[Outgoing]], None]

_NONE_REJECTED = pa.RecordBatch.from_pylist([], schema=REJECTED)


@dataclass(frozen=True)
class Feeds:
    """Where the rows of a loop go. ``entities``: join keys in alphabetical order, by event type."""

    entities: Mapping[str, tuple[tuple[str, ...], ...]]
    label: str
    outcome: OutcomeColumns


@dataclass(frozen=True)
class BatchResult:
    """What a batch gave."""

    accepted: dict[str, pa.RecordBatch]
    rejected: pa.RecordBatch
    advances: list[Advance]
    record_results: list[tuple[bool, str]]
    """Whether a record became a dead letter, and the reason, in the order of the records."""
    judged: int
    """How many test events were answered."""


class Pipeline:
    """One loop's pipeline."""

    def __init__(
        self,
        loop: str,
        handlers: Mapping[str, EventHandler],
        feeds: Feeds,
        clock: LoopClock,
        messages: Messages,
        rows_to: Partitioner,
        outcomes_to: Partitioner,
    ) -> None:
        self.loop = loop
        self.handlers = handlers
        self.clock = clock
        self._feeds = feeds
        self._messages = messages
        self._rows_to = rows_to
        self._outcomes_to = outcomes_to
        # what others wait for goes out before what only the lake keeps
        self._order = sorted(handlers, key=lambda name: (not feeds.entities.get(name) and name != feeds.label, name))

    def take(
        self, records: Mapping[TopicPartition, Sequence[Record]], silent: Iterable[TopicPartition], send: Send
    ) -> BatchResult:
        """Handle a batch, and send: the rows of each event type, then every watermark that the loop reached by them.

        A row that stands behind a later watermark of its own partition may so go out before that watermark; it says by
        its arrival watermark that it is not to be seen yet. Test events are answered, and are in nothing else.
        """
        records, probes = set_aside(records)
        self.clock.pass_over(silent)
        handled: dict[str, EventTypeResult] = {}
        for name in self._order:
            each = self._handle(name, records)
            if each.accepted.num_rows or each.refused:
                handled[name] = each
                send([*self._letters(each), *self._rows(name, each.accepted)])
        advances = self.clock.advance()
        for advance in advances:
            send(list(self._messages.watermark(advance, self._rows_to.partitions, self._outcomes_to.partitions)))
        self._judge(probes, send)
        self._count(handled, advances)
        accepted = {name: each.accepted for name, each in handled.items() if each.accepted.num_rows}
        refused = [each for every in handled.values() for each in every.refused]
        return BatchResult(accepted, _rejected(refused), advances, _record_results(handled), len(probes))

    def state(self) -> ClockState:
        """The clock at rest."""
        clock = self.clock
        waiting = frozenset(clock.waiting)
        return ClockState(dict(clock.partitions), clock.watermark_ms, clock.sequence, waiting, clock.silent)

    def restore(self, state: ClockState) -> None:
        """Set the clock as it was; partitions that are new since then start with none."""
        self.clock.partitions.update(state.partitions)
        self.clock.watermark_ms, self.clock.sequence = state.watermark_ms, state.sequence
        self.clock.waiting, self.clock.silent = set(state.waiting), state.silent

    def _handle(self, event_type: str, records: Mapping[TopicPartition, Sequence[Record]]) -> EventTypeResult:
        handler = self.handlers[event_type]
        mine = {place: held for place, held in records.items() if place.topic == event_type}
        return handler(mine, self.clock) if mine else EventTypeResult(handler.nothing, [])

    def _judge(self, probes: Sequence[Record], send: Send) -> None:
        for name in sorted({record.topic for record in probes}):
            judged = self.handlers[name].judge([record for record in probes if record.topic == name])
            send([self._messages.judged(each) for each in judged])
            for each in judged:
                verdict = "refused" if each.fault else "accepted"
                metrics.PROBES.add(loop=self.loop, event_type=name, verdict=verdict)

    def _letters(self, handled: EventTypeResult) -> Iterator[Outgoing]:
        return (letter(each.record, each.fault) for each in handled.refused if each.fault.reason != DUPLICATE)

    def _rows(self, event_type: str, rows: pa.RecordBatch) -> Iterator[Outgoing]:
        if not rows.num_rows:
            return
        entities = self._feeds.entities.get(event_type, ())
        if entities:
            for share in self._rows_to.shares(rows, entity_keys(rows, entities)):
                yield from self._messages.rows(event_type, share)
        if event_type == self._feeds.label:
            outcomes = self._feeds.outcome.read(rows)
            for share in self._outcomes_to.shares(outcomes, [((), outcomes.column("key"))]):
                yield from self._messages.outcomes(event_type, share)

    def _count(self, handled: Mapping[str, EventTypeResult], advances: Sequence[Advance]) -> None:
        for name, each in handled.items():
            rows = each.accepted
            late = rows.column("event_time_ms").to_numpy() < rows.column("arrival_watermark_ms").to_numpy()
            metrics.ACCEPTED.add(rows.num_rows, loop=self.loop, event_type=name)
            metrics.LATE.add(int(np.count_nonzero(late)), loop=self.loop, event_type=name)
            for refused in each.refused:
                reason = refused.fault.reason
                if reason == DUPLICATE:
                    metrics.DUPLICATES.add(loop=self.loop, event_type=name)
                else:
                    metrics.REJECTED.add(loop=self.loop, event_type=name, reason=reason)
        if advances:
            metrics.WATERMARK_MS.set(advances[-1].watermark_ms, loop=self.loop)


def _record_results(handled: Mapping[str, EventTypeResult]) -> list[tuple[bool, str]]:
    """As the event types were handled, then by partition and offset; one for all where none was refused."""
    record_results: list[tuple[bool, str]] = []
    for each in handled.values():
        rows = each.accepted
        if not each.refused:
            record_results.append((False, ""))
            continue
        places = zip(rows.column("source_partition").to_pylist(), rows.column("source_offset").to_pylist(), strict=True)
        found = [((partition, offset), (False, "")) for partition, offset in places]
        for refused in each.refused:
            reason, record = refused.fault.reason, refused.record
            found.append(((record.partition, record.offset), (reason != DUPLICATE, reason)))
        record_results += [fate for _, fate in sorted(found)]
    return record_results


def _rejected(refused: Sequence[Refused]) -> pa.RecordBatch:
    if not refused:
        return _NONE_REJECTED
    rows = [
        {
            "source_topic": each.record.topic,
            "source_partition": each.record.partition,
            "source_offset": each.record.offset,
            "reason": each.fault.reason,
            "detail": each.fault.detail[:DETAIL_LENGTH],
            "event_id": each.event_id,
            "event_time_ms": each.time_ms,
            "sha256": hashlib.sha256(each.record.value or b"").hexdigest(),
        }
        for each in refused
    ]
    return pa.RecordBatch.from_pylist(rows, schema=REJECTED)
