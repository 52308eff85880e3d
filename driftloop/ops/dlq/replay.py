"""Replays dead letters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from driftloop.bus.ports import BatchProducer
from driftloop.ops.dlq.dead_letter import REPLAY_OF, DeadLetter
from driftloop.ops.dlq.read import ReadTopics
from driftloop.process.errors import ConfigError


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The result of a replay."""

    sent: list[str]
    """Ids of the dead letters that were sent now."""
    already_sent: list[str]
    """Ids of those that had been sent before."""


def replay_dead_letters(
    letters: Sequence[DeadLetter], producer: BatchProducer, read: ReadTopics, *, who: str, why: str
) -> ReplayResult:
    """Send the original bytes of each dead letter once, to its original partition.

    For an announced but unconfirmed replay, first search the topic for its record.

    Raises:
        ConfigError: a dead letter lacks original bytes.
        Retriable: the broker did not acknowledge; the same call continues where it stopped.
    """
    for letter in letters:
        if not letter.is_complete:
            raise ConfigError(
                f"{letter.id} does not have all bytes that were refused: send the events again from their source"
            )
    done = [letter.id for letter in letters if letter.is_done]
    sent = _find_sent([letter for letter in letters if letter.replay is not None and not letter.is_done], read)
    remaining = [letter for letter in letters if letter.id not in {*done, *sent}]
    for records in (
        [letter.replay_marker("begun", who, why) for letter in remaining],
        [letter.original() for letter in remaining],
        [letter.replay_marker("done", who, why) for letter in letters if letter.id not in done],
    ):
        producer.send(records)
        producer.flush()
    return ReplayResult([letter.id for letter in remaining], [*done, *sorted(sent)])


def _find_sent(letters: Sequence[DeadLetter], read: ReadTopics) -> set[str]:
    """Return the ids of the dead letters whose bytes are in their topic again."""
    ids, topics = {letter.id for letter in letters}, sorted({letter.topic for letter in letters})
    return (
        ids & {(record.header(REPLAY_OF) or b"").decode(errors="replace") for record in read(topics)}
        if topics
        else set()
    )
