"""Input positions of loops that share topics. A loop that is left out at a start keeps the position that it had."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from driftloop.bus.ports import TopicPartition

Offsets = Mapping[TopicPartition, int]


class LoopPositions:
    """The next offset to read, by loop.

    ``read``: the stored positions up to which all loops were read, except those in ``apart``. ``present``: the loops
    that run now. ``known``: the loops with a stored state; a new one has no records before ``read``.
    """

    def __init__(
        self, read: Offsets, apart: Mapping[str, Offsets], *, present: Iterable[str], known: Iterable[str]
    ) -> None:
        present = set(present)
        own = {loop: apart.get(loop, read) for loop in {*known, *apart}}
        self._absent = {loop: dict(offsets) for loop, offsets in own.items() if loop not in present}
        self._present = {loop: dict(offsets) for loop, offsets in own.items() if loop in present}
        self._rewound = any(offsets != read for offsets in self._present.values())
        self._read = read

    def start(self) -> dict[TopicPartition, int]:
        """Return the positions to read from: the least of all loops that run now."""
        starts = dict(self._read)
        for offsets in self._present.values():
            for partition, offset in offsets.items():
                starts[partition] = min(offset, starts.get(partition, offset))
        return starts

    def of(self, loop: str) -> Offsets:
        """Return the positions of a loop that runs now."""
        return self._present.get(loop, self._read)

    def is_new(self, loop: str, partition: TopicPartition, offset: int) -> bool:
        """Return whether a record is one that this loop has not read."""
        own = self._present.get(loop)
        return own is None or offset >= own.get(partition, 0)

    def apart(self, read: Offsets) -> dict[str, Offsets]:
        """Return the positions to store beside ``read``, those of the loops that are elsewhere."""
        if not self._rewound:
            return {**self._absent}
        ahead = {
            loop: {partition: max(offset, read.get(partition, 0)) for partition, offset in offsets.items()}
            for loop, offsets in self._present.items()
            if any(offset > read.get(partition, 0) for partition, offset in offsets.items())
        }
        self._rewound = bool(ahead)
        return {**self._absent, **ahead}


EVERYTHING = LoopPositions({}, {}, present=(), known=())
"""No loop has read anything."""


def positions_to_json(offsets: Offsets) -> list[list[str | int]]:
    """Return offsets as lists of topic, partition and offset."""
    return [[partition.topic, partition.partition, offset] for partition, offset in offsets.items()]


def positions_from_json(rows: Iterable[Sequence[Any]]) -> dict[TopicPartition, int]:
    """Return the offsets that `positions_to_json` wrote."""
    return {TopicPartition(topic, partition): offset for topic, partition, offset in rows}


def from_beginning(offsets: Offsets, topics: Collection[str]) -> dict[TopicPartition, int]:
    """Return the offsets, 0 for these topics: they were created again and are read from their beginning."""
    return {partition: 0 if partition.topic in topics else offset for partition, offset in offsets.items()}
