"""Sends letters again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from driftloop.bus.ports import BatchProducer
from driftloop.ops.dlq.dead_letter import REPLAY_OF, DeadLetter
from driftloop.ops.dlq.read import Read
from driftloop.process.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did."""

    sent: list[str]
    """Ids of the letters that were sent now."""
    before: list[str]
    """Of those that had been sent already."""


def replay(letters: Sequence[DeadLetter], producer: BatchProducer, read: Read, *, who: str, why: str) -> Replayed:
    """Send the original bytes of each letter once, to the partition that they stood in.

    A letter that somebody set out to send and did not come to note is looked for where it would stand.

    Raises:
        ConfigError: a letter does not hold its original bytes, as those were too large for any topic.
        Retriable: the broker did not acknowledge; the same call goes on where it stopped.
    """
    for each in letters:
        if not each.whole:
            raise ConfigError(f"{each.id} holds only the beginning of what was refused: it cannot be sent again")
    done = [each.id for each in letters if each.is_done]
    found = _sent([each for each in letters if each.replay is not None and not each.is_done], read)
    left = [each for each in letters if each.id not in {*done, *found}]
    for step in (
        [each.marked("begun", who, why) for each in left],
        [each.original() for each in left],
        [each.marked("done", who, why) for each in letters if each.id not in done],
    ):
        producer.send(step)
        producer.flush()
    return Replayed([each.id for each in left], [*done, *sorted(found)])


def _sent(letters: Sequence[DeadLetter], read: Read) -> set[str]:
    """Ids of those letters whose bytes stand in their topic again."""
    wanted, topics = {each.id for each in letters}, sorted({each.topic for each in letters})
    return wanted & {(record.header(REPLAY_OF) or b"").decode() for record in read(topics)} if topics else set()
