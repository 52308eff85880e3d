"""Reads dead letters with their replays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from driftloop.bus.dead_letters import SUFFIX
from driftloop.bus.ports import Record
from driftloop.ops.dlq.dead_letter import DeadLetter, Replay, parse_replay_marker, source_of

ReadTopics = Callable[[Sequence[str]], Iterable[Record]]
"""Returns all records of some topics, as `driftloop.events.event_log.read_topics` does."""


def read_dead_letters(topics: Sequence[str], read: ReadTopics) -> list[DeadLetter]:
    """Return the dead letters of these topics, sorted by topic and offset; one that was written twice counts once.

    Raises:
        UndeclaredTopic: a topic has no dead letters.
        Retriable: the broker did not answer.
    """
    return parse_dead_letters(read([f"{topic}{SUFFIX}" for topic in topics])) if topics else []


def parse_dead_letters(records: Iterable[Record]) -> list[DeadLetter]:
    """Return the dead letters among the records of dead-letter topics."""
    letters: dict[tuple[str, bytes], Record] = {}
    ledger: dict[tuple[str, int], Replay] = {}
    for record in sorted(records, key=lambda record: (record.topic, record.partition, record.offset)):
        marker = parse_replay_marker(record)
        if marker is None:
            letters.setdefault((record.topic, source_of(record) or _position(record)), record)
        else:
            offset, replay = marker
            ledger[record.topic, offset] = replay
    return [DeadLetter(record, ledger.get((record.topic, record.offset))) for record in letters.values()]


def _position(record: Record) -> bytes:
    """Return what identifies a dead letter without a source: its own position."""
    return f"{record.partition}/{record.offset}".encode()
