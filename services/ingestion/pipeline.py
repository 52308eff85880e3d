"""Turns a batch of raw records of one loop into records to send and rows for the lake."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from driftloop.bus.ports import Outgoing, Record, TopicPartition
from driftloop.process import log
from services.ingestion import metrics
from services.ingestion.domain.fanout import OutcomeColumns, Partitioner, entity_keys
from services.ingestion.domain.probes import split_probes
from services.ingestion.domain.refusals import Streak
from services.ingestion.domain.rejection import DUPLICATE
from services.ingestion.domain.watermarks import Advance, LoopClock
from services.ingestion.messages import DETAIL_LENGTH, Messages, dead_letter_of
from services.ingestion.ports import ClockState
from services.ingestion.stages import EventTypeResult, EventTypeStages, Refused

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

_MOST_UNKNOWN = 50
"""Names of unknown fields that are logged per event type."""
_NAME_LENGTH = 80
_NONE_REJECTED = pa.RecordBatch.from_pylist([], schema=REJECTED)


@dataclass(frozen=True)
class Feeds:
    """Readers of a loop's rows. ``entities``: join keys in alphabetical order, by event type."""

    entities: Mapping[str, tuple[tuple[str, ...], ...]]
    label: str
    outcome: OutcomeColumns


@dataclass(frozen=True)
class BatchResult:
    """The result of a batch."""

    accepted: dict[str, pa.RecordBatch]
    rejected: pa.RecordBatch
    advances: list[Advance]
    streaks: dict[str, Streak]
    """Dead letters at the end of the batch, by event type, in the order of partition and offset."""
    probes: int
    """Number of answered probes."""


class Pipeline:
    """The pipeline of one loop: decode, check, derive, arrive, deduplicate, fan out, publish."""

    def __init__(
        self,
        loop: str,
        stages: Mapping[str, EventTypeStages],
        feeds: Feeds,
        clock: LoopClock,
        messages: Messages,
        rows_to: Partitioner,
        outcomes_to: Partitioner,
        probe_secret: str,
    ) -> None:
        self.loop = loop
        self.stages = stages
        self.clock = clock
        self._feeds = feeds
        self._messages = messages
        self._rows_to = rows_to
        self._outcomes_to = outcomes_to
        self._probe_secret = probe_secret
        self._unknown: dict[str, set[str]] = defaultdict(set)
        self._log = log.get(__name__)
        # event types with readers downstream come before those that only the lake stores
        self._order = sorted(stages, key=lambda name: (not feeds.entities.get(name) and name != feeds.label, name))

    def process_batch(
        self,
        records: Mapping[TopicPartition, Sequence[Record]],
        idle: Iterable[TopicPartition],
        send: Send,
        now_ms: int | None,
    ) -> BatchResult:
        """Process a batch and publish: rows and dead letters by event type, then each watermark the loop has reached.

        A row that follows a later watermark of its own partition may be published before that watermark. Its arrival
        watermark says that it is not visible yet. Probes are answered and have no other effect. ``now_ms``: the wall
        clock when the batch was read.
        """
        records, probes = split_probes(records, self._probe_secret)
        self.clock.pass_over(idle, now_ms)
        results: dict[str, EventTypeResult] = {}
        for event_type in self._order:
            own = {partition: batch for partition, batch in records.items() if partition.topic == event_type}
            if not own:
                continue
            result = self.stages[event_type].process(own, self.clock, now_ms)
            self._report_unknown(event_type, result.unknown)
            if result.accepted.num_rows or result.refused:
                results[event_type] = result
                send([*self._dead_letters(result), *self._fan_out(event_type, result.accepted)])
        advances = self.clock.advance(now_ms)
        for advance in advances:
            send(list(self._messages.watermark(advance, self._rows_to.partitions, self._outcomes_to.partitions)))
        self._answer_probes(probes, send)
        self._count(results, advances)
        accepted = {name: result.accepted for name, result in results.items() if result.accepted.num_rows}
        refused = [item for result in results.values() for item in result.refused]
        return BatchResult(accepted, _rejected(refused), advances, _streaks(results), len(probes))

    def state(self) -> ClockState:
        clock = self.clock
        waiting = frozenset(clock.waiting)
        return ClockState(dict(clock.partitions), clock.watermark_ms, clock.sequence, waiting, clock.idle)

    def restore(self, state: ClockState) -> None:
        """Restore the clock's state; new partitions start without a clock, and those that are gone do not count."""
        known = self.clock.partitions.keys() & state.partitions.keys()
        self.clock.partitions.update({partition: state.partitions[partition] for partition in known})
        self.clock.watermark_ms, self.clock.sequence = state.watermark_ms, state.sequence
        self.clock.waiting, self.clock.idle = set(state.waiting), state.idle & self.clock.partitions.keys()

    def _answer_probes(self, probes: Sequence[Record], send: Send) -> None:
        for event_type in sorted({record.topic for record in probes}):
            own = [record for record in probes if record.topic == event_type]
            results = self.stages[event_type].check_probes(own)
            send([self._messages.probe_judged(result) for result in results])
            for result in results:
                verdict = "refused" if result.fault else "accepted"
                metrics.PROBES.add(loop=self.loop, event_type=event_type, verdict=verdict)

    def _dead_letters(self, result: EventTypeResult) -> Iterator[Outgoing]:
        return (dead_letter_of(item.record, item.fault) for item in result.refused if item.fault.reason != DUPLICATE)

    def _fan_out(self, event_type: str, rows: pa.RecordBatch) -> Iterator[Outgoing]:
        """Yield the rows once per partition of the features' topic; outcomes also for the outcomes' topic."""
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

    def _report_unknown(self, event_type: str, unknown: Mapping[str, int]) -> None:
        """Count ignored fields; log each name once, up to a limit, because a producer chooses them."""
        if not unknown:
            return
        metrics.UNKNOWN_FIELDS.add(sum(unknown.values()), loop=self.loop, event_type=event_type)
        named = self._unknown[event_type]
        for name in sorted(unknown.keys() - named)[: _MOST_UNKNOWN - len(named)]:
            named.add(name)
            self._log.warning("unknown-field", loop=self.loop, event_type=event_type, field=name[:_NAME_LENGTH])

    def _count(self, results: Mapping[str, EventTypeResult], advances: Sequence[Advance]) -> None:
        for event_type, result in results.items():
            rows = result.accepted
            late = rows.column("event_time_ms").to_numpy() < rows.column("arrival_watermark_ms").to_numpy()
            metrics.ACCEPTED.add(rows.num_rows, loop=self.loop, event_type=event_type)
            metrics.LATE.add(int(np.count_nonzero(late)), loop=self.loop, event_type=event_type)
            for item in result.refused:
                reason = item.fault.reason
                if reason == DUPLICATE:
                    metrics.DUPLICATES.add(loop=self.loop, event_type=event_type)
                else:
                    metrics.REJECTED.add(loop=self.loop, event_type=event_type, reason=reason)
        far_ahead = Counter(dict.fromkeys(self.stages, 0))
        for partition, clock in self.clock.partitions.items():
            far_ahead[partition.topic] += len(clock.ahead_ms)
        for event_type, rows_ahead in far_ahead.items():
            metrics.FAR_AHEAD.set(rows_ahead, loop=self.loop, event_type=event_type)
        if advances:
            metrics.WATERMARK_MS.set(advances[-1].watermark_ms, loop=self.loop)


def _streaks(results: Mapping[str, EventTypeResult]) -> dict[str, Streak]:
    return {event_type: _streak(result) for event_type, result in results.items()}


def _streak(result: EventTypeResult) -> Streak:
    rows = result.accepted
    refused = [((item.record.partition, item.record.offset), item.fault) for item in result.refused]
    positions = [position for position, fault in refused if fault.reason == DUPLICATE]
    if rows.num_rows:
        partitions, offsets = rows.column("source_partition").to_numpy(), rows.column("source_offset").to_numpy()
        partition = partitions.max()
        positions.append((int(partition), int(offsets[partitions == partition].max())))
    last = max(positions, default=(-1, -1))
    dead = {position: fault for position, fault in refused if position > last}
    if not dead:
        return Streak(0, alone=False)
    partition, offset = max(dead)
    fault = dead[partition, offset]
    return Streak(len(dead), not positions, fault.reason, fault.detail, partition, offset)


def _rejected(refused: Sequence[Refused]) -> pa.RecordBatch:
    if not refused:
        return _NONE_REJECTED
    rows = [
        {
            "source_topic": item.record.topic,
            "source_partition": item.record.partition,
            "source_offset": item.record.offset,
            "reason": item.fault.reason,
            "detail": item.fault.detail[:DETAIL_LENGTH],
            "event_id": item.event_id,
            "event_time_ms": item.time_ms,
            "sha256": hashlib.sha256(item.record.value or b"").hexdigest(),
        }
        for item in refused
    ]
    return pa.RecordBatch.from_pylist(rows, schema=REJECTED)
