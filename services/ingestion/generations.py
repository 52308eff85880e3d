"""Continues the offsets of a raw topic that was deleted and created again.

Everything after ingestion identifies a row by its source offset. So the records of the new topic are numbered after
those of the old one. The offset that rows and dead letters name is then the topic's own offset plus a constant.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from driftloop.bus.ports import PausableConsumer, Record, TopicPartition
from driftloop.bus.topic_watch import created_again
from services.ingestion.ports import BatchRecord, Checkpoint

Offsets = Mapping[TopicPartition, int]


class RenumberedConsumer:
    """A `PausableConsumer` that adds a constant to the offsets of each partition."""

    def __init__(self, inner: PausableConsumer) -> None:
        self._inner = inner
        self._first: dict[TopicPartition, int] = {}

    def renumber(self, first: Offsets) -> None:
        """Set the number of the first record of each partition; it is 0 for the others."""
        self._first = {partition: offset for partition, offset in first.items() if offset}

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        records = self._inner.poll(max_records, timeout_s)
        if not self._first:
            return records
        first = self._first
        added = [first.get(TopicPartition(record.topic, record.partition), 0) for record in records]
        return [
            replace(record, offset=record.offset + add) if add else record
            for record, add in zip(records, added, strict=True)
        ]

    def assignment(self) -> frozenset[TopicPartition]:
        return self._inner.assignment()

    def seek(self, positions: Offsets) -> None:
        self._inner.seek(self._own(positions))

    def pause(self, topics: Collection[str]) -> None:
        self._inner.pause(topics)

    def commit(self, positions: Offsets) -> None:
        self._inner.commit(self._own(positions))

    def end_offsets(self) -> Offsets:
        return {tp: offset + self._first.get(tp, 0) for tp, offset in self._inner.end_offsets().items()}

    def topic_ids(self) -> Mapping[str, str]:
        return self._inner.topic_ids()

    def close(self) -> None:
        self._inner.close()

    def _own(self, positions: Offsets) -> dict[TopicPartition, int]:
        return {tp: max(0, offset - self._first.get(tp, 0)) for tp, offset in positions.items()}


def continue_topics(
    checkpoint: Checkpoint, batches: Sequence[BatchRecord], ids: Mapping[str, str], ends: Offsets
) -> tuple[Checkpoint, list[BatchRecord], frozenset[str]]:
    """Return the checkpoint and the batches for the topics with these ids, and the topics that were created again.

    A topic that was created again continues after every offset that was read of the old one. Batches keep only ranges
    of the present topics. ``ends``: the end of each partition, in the topic's own offsets.
    """
    read: dict[TopicPartition, int] = {}
    ranges = [{tp: end for tp, (_, end) in batch.ranges.items()} for batch in batches]
    for positions in (checkpoint.positions, *checkpoint.apart.values(), *ranges):
        for partition, offset in positions.items():
            read[partition] = max(offset, read.get(partition, 0))
    own = {tp: offset - checkpoint.first.get(tp, 0) for tp, offset in read.items()}
    changed = created_again(checkpoint.topic_ids, ids, own, ends)
    first = {**checkpoint.first, **{tp: offset for tp, offset in read.items() if tp.topic in changed}}
    present = Checkpoint(
        checkpoint.sequence,
        _at_least(checkpoint.positions, first),
        checkpoint.loops,
        checkpoint.refusals,
        {loop: _at_least(positions, first) for loop, positions in checkpoint.apart.items()},
        {**checkpoint.topic_ids, **ids},
        first,
    )
    kept = [
        replace(batch, ranges={tp: span for tp, span in batch.ranges.items() if span[0] >= first.get(tp, 0)})
        for batch in batches
    ]
    return present, kept, changed


def _at_least(positions: Offsets, first: Offsets) -> dict[TopicPartition, int]:
    return {tp: max(offset, first.get(tp, 0)) for tp, offset in positions.items()}
