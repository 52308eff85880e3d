"""One dead letter, and what became of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from driftloop.bus.dead_letters import SUFFIX
from driftloop.bus.ports import Outgoing, Record

REPLAY_OF = "driftloop-replay-of"
"""Header of a record that was sent again: the letter that it is from."""
_STATE, _OFFSET, _WHO, _WHY = "dlq-replay", "dlq-replay-offset", "dlq-replay-who", "dlq-replay-why"


@dataclass(frozen=True, slots=True)
class Replay:
    """A letter was sent again, or somebody set out to."""

    state: Literal["begun", "done"]
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that a consumer refused. ``record`` is as it stands in the dead-letter topic."""

    record: Record
    replay: Replay | None = None

    @property
    def topic(self) -> str:
        """Where it came from, and is sent again to."""
        return self.record.topic.removesuffix(SUFFIX)

    @property
    def offset(self) -> int:
        """In the dead-letter topic."""
        return self.record.offset

    @property
    def id(self) -> str:
        """``topic.dlq/partition/offset``."""
        return f"{self.record.topic}/{self.record.partition}/{self.record.offset}"

    @property
    def source(self) -> str:
        """``topic/partition/offset`` of the record that was refused."""
        return self._text("dlq-source")

    @property
    def consumer(self) -> str:
        """Who refused it."""
        return self._text("dlq-consumer")

    @property
    def reason(self) -> str:
        """The short code of why."""
        return self._text("dlq-reason")

    @property
    def detail(self) -> str:
        """The rest of why."""
        return self._text("dlq-detail")

    @property
    def stack(self) -> str:
        """Where in the consumer; empty where that says nothing."""
        return self._text("dlq-stack")

    @property
    def sha256(self) -> str:
        """Of the original bytes."""
        return self._text("dlq-sha256")

    @property
    def whole(self) -> bool:
        """Whether it holds the original bytes; one that no topic would take holds their beginning."""
        return hashlib.sha256(self.record.value or b"").hexdigest() == self.sha256

    @property
    def is_done(self) -> bool:
        """Whether it was sent again, and that was noted."""
        return self.replay is not None and self.replay.state == "done"

    def original(self) -> Outgoing:
        """The record as it was refused, for the partition that it stood in."""
        headers = tuple((name, value) for name, value in self.record.headers if not name.startswith("dlq-"))
        partition = int(self.source.split("/")[-2])
        again = (REPLAY_OF, self.id.encode())
        return Outgoing(self.topic, self.record.value, self.record.key, (*headers, again), partition)

    def marked(self, state: Literal["begun", "done"], who: str, why: str) -> Outgoing:
        """The ledger's line for a replay."""
        line = {_STATE: state, _OFFSET: str(self.offset), _WHO: who, _WHY: why}
        headers = tuple((name, text.encode()) for name, text in line.items())
        return Outgoing(self.record.topic, None, self.record.key, headers, self.record.partition)

    def _text(self, name: str) -> str:
        return (self.record.header(name) or b"").decode(errors="replace")


def mark_of(record: Record) -> tuple[int, Replay] | None:
    """The offset that a line of the ledger is about, and what it says; None where the record is a letter."""
    state, offset = record.header(_STATE), record.header(_OFFSET)
    if state is None or offset is None:
        return None
    who, why = ((record.header(name) or b"").decode() for name in (_WHO, _WHY))
    return int(offset), Replay("done" if state == b"done" else "begun", who, why)
