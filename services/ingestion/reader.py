"""Reads batches of raw records. Each is stored in the journal first, so that a restart processes the same batches.

Beside the records, two things determine a result: how records were batched across partitions, and which partitions were
idle by wall time. The journal has both, so after a restart the same results are sent again.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from driftloop.bus.ports import BatchConsumer, Record, TopicPartition
from driftloop.process.clock import Clock
from driftloop.process.errors import Retriable
from services.ingestion.domain.probes import active
from services.ingestion.ports import BatchRecord, Checkpoint, Journal

_REREAD_PATIENCE_S = 30.0

Grouped = dict[TopicPartition, list[Record]]


@dataclass(frozen=True)
class Batch:
    """Records in order of offset, by partition."""

    taken: BatchRecord
    records: Mapping[TopicPartition, Sequence[Record]]


class IdlePartitions:
    """Tracks since when each partition is idle, by wall time. ``timeouts_s`` by topic."""

    def __init__(self, places: Iterable[TopicPartition], timeouts_s: Mapping[str, float], clock: Clock) -> None:
        self._clock = clock
        self._timeouts_s = timeouts_s
        self._last_active = dict.fromkeys(places, clock.monotonic_s())

    def idle_now(self, active: Iterable[TopicPartition]) -> frozenset[TopicPartition]:
        """Return partitions that are idle for longer than allowed, given those that are active now."""
        now = self._clock.monotonic_s()
        self._last_active.update(dict.fromkeys(active, now))
        return frozenset(place for place, at in self._last_active.items() if now - at > self._timeouts_s[place.topic])


class Reader:
    """Reads from a checkpoint: first the stored batches again, then new ones."""

    def __init__(
        self, consumer: BatchConsumer, journal: Journal, idle: IdlePartitions, clock: Clock, most_records: int
    ) -> None:
        self._consumer = consumer
        self._journal = journal
        self._idle = idle
        self._clock = clock
        self._most = most_records
        self._again: deque[BatchRecord] = deque()
        self._held: Grouped = defaultdict(list)
        self._silent: frozenset[TopicPartition] = frozenset()
        self.sequence = 0
        self.positions: dict[TopicPartition, int] = {}

    def start(self, checkpoint: Checkpoint, noted: Iterable[BatchRecord]) -> None:
        """Seek to a checkpoint; the stored batches are read again from there."""
        self.sequence = checkpoint.taken
        self.positions = {place: checkpoint.positions.get(place, 0) for place in self._consumer.assignment()}
        self._again = deque(noted)
        self._consumer.seek(self.positions)

    @property
    def caught_up(self) -> bool:
        """Return whether all stored batches were read again."""
        return not self._again

    def next(self, timeout_s: float) -> Batch | None:
        """Return the next batch, or None if no record arrived and no partition became idle."""
        if self._again:
            return self._same(self._again.popleft())
        records = self._new(timeout_s)
        silent = self._idle.idle_now(active(records))
        if not records and silent == self._silent:
            return None
        ranges = {place: (held[0].offset, held[-1].offset + 1) for place, held in records.items()}
        taken = BatchRecord(self.sequence + 1, ranges, silent)
        self._journal.append(taken)
        return self._batch(taken, records)

    def _new(self, timeout_s: float) -> Grouped:
        if self._held:
            records, self._held = dict(self._held), defaultdict(list)
            return records
        return _grouped(self._consumer.poll(self._most, timeout_s))

    def _same(self, taken: BatchRecord) -> Batch:
        """Read a stored batch again; records beyond it wait for later batches.

        Raises:
            Retriable: the records no longer exist.
        """
        deadline = self._clock.monotonic_s() + _REREAD_PATIENCE_S
        while missing := [place for place, (_, end) in taken.ranges.items() if not self._read_to(place, end)]:
            polled = self._consumer.poll(self._most, 0.5)
            for place, held in _grouped(polled).items():
                self._held[place] += held
            if polled:
                deadline = self._clock.monotonic_s() + _REREAD_PATIENCE_S
            elif self._clock.monotonic_s() > deadline:
                raise Retriable(f"{missing[0]}: records that were in hand do not come again; deleted by retention?")
        return self._batch(taken, {place: self._cut(place, end) for place, (_, end) in taken.ranges.items()})

    def _read_to(self, place: TopicPartition, end: int) -> bool:
        held = self._held.get(place)
        return bool(held) and held[-1].offset >= end - 1  # type: ignore[index]  # not None when true

    def _cut(self, place: TopicPartition, end: int) -> list[Record]:
        held = self._held.pop(place)
        rest = [record for record in held if record.offset >= end]
        if rest:
            self._held[place] = rest
        return [record for record in held if record.offset < end]

    def _batch(self, taken: BatchRecord, records: Grouped) -> Batch:
        self.sequence, self._silent = taken.sequence, taken.silent
        self.positions.update({place: end for place, (_, end) in taken.ranges.items()})
        return Batch(taken, records)


def _grouped(records: Sequence[Record]) -> Grouped:
    grouped: Grouped = defaultdict(list)
    for record in records:
        grouped[TopicPartition(record.topic, record.partition)].append(record)
    return grouped
