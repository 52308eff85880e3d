"""Reads dead letters with what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from driftloop.bus.dead_letters import SUFFIX
from driftloop.bus.ports import BatchConsumer, Record
from driftloop.history import records
from driftloop.letters.letter import Letter, Replay, mark_of

Open = Callable[[Sequence[str]], BatchConsumer]
"""A consumer of some topics, from their beginning; whoever opens one closes it."""


def read_letters(topics: Sequence[str], open_consumer: Open) -> list[Letter]:
    """Letters of the records of these topics, by topic and offset; one that was written twice counts once.

    Raises:
        UndeclaredTopic: a topic has no dead letters.
        Retriable: the broker did not answer.
    """
    if not topics:
        return []
    consumer = open_consumer([f"{topic}{SUFFIX}" for topic in topics])
    try:
        return letters_of(records(consumer))
    finally:
        consumer.close()


def letters_of(found: Iterable[Record]) -> list[Letter]:
    """Letters among the records of dead-letter topics."""
    letters: dict[tuple[str, bytes], Record] = {}
    ledger: dict[tuple[str, int], Replay] = {}
    for record in sorted(found, key=lambda each: (each.topic, each.partition, each.offset)):
        mark = mark_of(record)
        if mark is None:
            letters.setdefault((record.topic, record.header("dlq-source") or b""), record)
        else:
            ledger[record.topic, mark[0]] = mark[1]
    return [Letter(record, ledger.get((record.topic, record.offset))) for record in letters.values()]
