"""Reads batches of raw records. Each is stored in the journal first, so that a restart processes the same batches.

Beside the records, three things determine a result: how records were batched across partitions, which partitions were
idle by wall time, and the wall time itself. The journal has them, so after a restart the same results are sent again.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from driftloop.bus.ports import PausableConsumer, Record, TopicPartition
from driftloop.process.clock import Clock
from driftloop.process.errors import Retriable
from services.ingestion.domain.probes import active
from services.ingestion.ports import BatchRecord, Journal

_REREAD_PATIENCE_S = 30.0

Grouped = dict[TopicPartition, list[Record]]


@dataclass(frozen=True)
class Batch:
    """Records in order of offset, by partition."""

    record: BatchRecord
    records: Mapping[TopicPartition, Sequence[Record]]


class IdlePartitions:
    """Tracks since when each partition is idle, by wall time. ``timeouts_s`` by topic."""

    def __init__(self, partitions: Iterable[TopicPartition], timeouts_s: Mapping[str, float], clock: Clock) -> None:
        self._clock = clock
        self._timeouts_s = timeouts_s
        self._last_active = dict.fromkeys(partitions, clock.monotonic_s())

    def idle_now(self, active: Iterable[TopicPartition]) -> frozenset[TopicPartition]:
        """Return partitions that are idle for longer than allowed, given those that are active now."""
        now = self._clock.monotonic_s()
        self._last_active.update(dict.fromkeys(active, now))
        return frozenset(
            partition for partition, at in self._last_active.items() if now - at > self._timeouts_s[partition.topic]
        )


class Reader:
    """Reads from a checkpoint: first the stored batches again, then new ones."""

    def __init__(
        self,
        consumer: PausableConsumer,
        journal: Journal,
        idle: IdlePartitions,
        clock: Clock,
        most_records: int,
        probe_secret: str,
    ) -> None:
        self._consumer = consumer
        self._journal = journal
        self._idle = idle
        self._clock = clock
        self._most = most_records
        self._probe_secret = probe_secret
        self._again: deque[BatchRecord] = deque()
        self._unread: Grouped = defaultdict(list)
        self._idle_before: frozenset[TopicPartition] = frozenset()
        self._to_pause: frozenset[str] = frozenset()
        self._paused: frozenset[str] = frozenset()
        self.sequence = 0
        self.positions: dict[TopicPartition, int] = {}

    def start(self, sequence: int, positions: Mapping[TopicPartition, int], batches: Iterable[BatchRecord]) -> None:
        """Seek to the positions of a checkpoint; the stored batches are read again from there.

        The records of topics that are not read now are left out of these batches.
        """
        self.sequence = sequence
        self.positions = {tp: positions.get(tp, 0) for tp in self._consumer.assignment()}
        self._again = deque(
            replace(batch, ranges={tp: span for tp, span in batch.ranges.items() if tp in self.positions})
            for batch in batches
        )
        self._consumer.seek(self.positions)

    def pause(self, topics: Collection[str]) -> None:
        """Leave these topics where they are and read all others, once the stored batches are read again.

        A paused partition does not count as idle.
        """
        self._to_pause = frozenset(topics)

    def next(self, timeout_s: float) -> Batch | None:
        """Return the next batch, or None if no record arrived and no partition became idle."""
        if self._again:
            return self._same(self._again.popleft())
        if self._to_pause != self._paused:
            self._pause()
        records = self._new(timeout_s)
        idle = frozenset(
            tp for tp in self._idle.idle_now(active(records, self._probe_secret)) if tp.topic not in self._paused
        )
        if not records and idle == self._idle_before:
            return None
        ranges = {partition: (batch[0].offset, batch[-1].offset + 1) for partition, batch in records.items()}
        record = BatchRecord(self.sequence + 1, ranges, idle, self._clock.now_ms())
        self._journal.append(record)
        return self._batch(record, records)

    def _pause(self) -> None:
        changed = self._to_pause ^ self._paused
        for partition in [tp for tp in self._unread if tp.topic in changed]:
            del self._unread[partition]  # read again after the pause
        self._consumer.seek({tp: offset for tp, offset in self.positions.items() if tp.topic in changed})
        self._consumer.pause(self._to_pause)
        self._paused = self._to_pause

    def _new(self, timeout_s: float) -> Grouped:
        if self._unread:
            records, self._unread = dict(self._unread), defaultdict(list)
            return records
        return _grouped(self._consumer.poll(self._most, timeout_s))

    def _same(self, record: BatchRecord) -> Batch:
        """Read a stored batch again; records beyond it wait for later batches.

        Raises:
            Retriable: the records no longer exist.
        """
        deadline = self._clock.monotonic_s() + _REREAD_PATIENCE_S
        while missing := [tp for tp, (_, end) in record.ranges.items() if not self._read_to(tp, end)]:
            polled = self._consumer.poll(self._most, 0.5)
            for partition, records in _grouped(polled).items():
                self._unread[partition] += records
            if polled:
                deadline = self._clock.monotonic_s() + _REREAD_PATIENCE_S
            elif self._clock.monotonic_s() > deadline:
                raise Retriable(
                    f"{missing[0]}: records of a stored batch are missing in the topic; did its retention delete them?"
                )
        return self._batch(record, {tp: self._cut(tp, end) for tp, (_, end) in record.ranges.items()})

    def _read_to(self, partition: TopicPartition, end: int) -> bool:
        records = self._unread.get(partition)
        return records is not None and records[-1].offset >= end - 1

    def _cut(self, partition: TopicPartition, end: int) -> list[Record]:
        records = self._unread.pop(partition)
        rest = [record for record in records if record.offset >= end]
        if rest:
            self._unread[partition] = rest
        return [record for record in records if record.offset < end]

    def _batch(self, record: BatchRecord, records: Grouped) -> Batch:
        self.sequence, self._idle_before = record.sequence, record.idle
        self.positions.update({partition: end for partition, (_, end) in record.ranges.items()})
        return Batch(record, records)


def _grouped(records: Sequence[Record]) -> Grouped:
    grouped: Grouped = defaultdict(list)
    for record in records:
        grouped[TopicPartition(record.topic, record.partition)].append(record)
    return grouped
