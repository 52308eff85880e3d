"""Reads dead letters with what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from driftloop.bus.dead_letters import SUFFIX
from driftloop.bus.ports import Record
from driftloop.ops.dlq.dead_letter import DeadLetter, Replay, mark_of

Read = Callable[[Sequence[str]], Iterable[Record]]
"""All records of some topics, as `driftloop.events.event_log.read_topics` gives them."""


def read_dead_letters(topics: Sequence[str], read: Read) -> list[DeadLetter]:
    """Letters of the records of these topics, by topic and offset; one that was written twice counts once.

    Raises:
        UndeclaredTopic: a topic has no dead letters.
        Retriable: the broker did not answer.
    """
    return letters_of(read([f"{topic}{SUFFIX}" for topic in topics])) if topics else []


def letters_of(found: Iterable[Record]) -> list[DeadLetter]:
    """Letters among the records of dead-letter topics."""
    letters: dict[tuple[str, bytes], Record] = {}
    ledger: dict[tuple[str, int], Replay] = {}
    for record in sorted(found, key=lambda each: (each.topic, each.partition, each.offset)):
        mark = mark_of(record)
        if mark is None:
            letters.setdefault((record.topic, record.header("dlq-source") or b""), record)
        else:
            ledger[record.topic, mark[0]] = mark[1]
    return [DeadLetter(record, ledger.get((record.topic, record.offset))) for record in letters.values()]
