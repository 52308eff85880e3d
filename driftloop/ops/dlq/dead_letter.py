"""One dead letter and its replay."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from driftloop.bus.dead_letters import PREFIX, SUFFIX
from driftloop.bus.ports import Outgoing, Record
from driftloop.bus.unreadable import BATCH

REPLAY_OF = "driftloop-replay-of"
"""Header of a replayed record: the id of its dead letter."""
_SOURCE_PARTS = 3
_STATE, _OFFSET, _WHO, _WHY = "dlq-replay", "dlq-replay-offset", "dlq-replay-who", "dlq-replay-why"


@dataclass(frozen=True, slots=True)
class Replay:
    """A completed or announced replay of a dead letter."""

    state: Literal["begun", "done"]
    who: str
    why: str


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that a consumer refused. ``record`` is the record in the dead-letter topic."""

    record: Record
    replay: Replay | None = None

    @property
    def topic(self) -> str:
        """Return the topic that it came from and is replayed to."""
        return self.record.topic.removesuffix(SUFFIX)

    @property
    def offset(self) -> int:
        return self.record.offset

    @property
    def id(self) -> str:
        """``topic.dlq/partition/offset``."""
        return f"{self.record.topic}/{self.record.partition}/{self.record.offset}"

    @property
    def source(self) -> str:
        """Return ``topic/partition/offset`` of the refused record."""
        return self._header_text("dlq-source")

    @property
    def consumer(self) -> str:
        return self._header_text("dlq-consumer")

    @property
    def reason(self) -> str:
        return self._header_text("dlq-reason")

    @property
    def detail(self) -> str:
        return self._header_text("dlq-detail")

    @property
    def stack(self) -> str:
        """Return the stack trace in the consumer; may be empty."""
        return self._header_text("dlq-stack")

    @property
    def sha256(self) -> str:
        return self._header_text("dlq-sha256")

    @property
    def is_complete(self) -> bool:
        """Return whether it has all original bytes.

        It lacks some of a record that is too large for any topic, and all of a batch that could not be decompressed.
        """
        return self.reason != BATCH and hashlib.sha256(self.record.value or b"").hexdigest() == self.sha256

    @property
    def is_done(self) -> bool:
        """Return whether it was replayed and that was confirmed."""
        return self.replay is not None and self.replay.state == "done"

    def original(self) -> Outgoing:
        """Return the refused record, for its original partition."""
        headers = tuple((name, value) for name, value in self.record.headers if not name.startswith(PREFIX))
        replay_of = (REPLAY_OF, self.id.encode())
        return Outgoing(self.topic, self.record.value, self.record.key, (*headers, replay_of), self._partition())

    def replay_marker(self, state: Literal["begun", "done"], who: str, why: str) -> Outgoing:
        marker = {_STATE: state, _OFFSET: str(self.offset), _WHO: who, _WHY: why}
        headers = tuple((name, text.encode()) for name, text in marker.items())
        return Outgoing(self.record.topic, None, self.record.key, headers, self.record.partition)

    def _partition(self) -> int | None:
        """Return the original partition; None if the source is not readable."""
        parts = self.source.rsplit("/", 2)
        return int(parts[1]) if len(parts) == _SOURCE_PARTS and parts[1].isdecimal() else None

    def _header_text(self, name: str) -> str:
        return _last(self.record, name).decode(errors="replace")


def source_of(record: Record) -> bytes:
    """Return the header that identifies the refused record; empty if there is none."""
    return _last(record, "dlq-source")


def parse_replay_marker(record: Record) -> tuple[int, Replay] | None:
    """Return the offset and the replay of a ledger record; None for a dead letter.

    A refused record may have any header, also those of a ledger record. Only a ledger record has no source.
    """
    state, offset = record.header(_STATE), record.header(_OFFSET)
    if record.value or source_of(record) or state not in (b"begun", b"done") or not (offset or b"").isdigit():
        return None
    who, why = (_last(record, name).decode(errors="replace") for name in (_WHO, _WHY))
    return int(offset or b""), Replay("done" if state == b"done" else "begun", who, why)


def _last(record: Record, name: str) -> bytes:
    """Return the last header of the name: the consumer's own follow those that the refused record had."""
    return next((value for key, value in reversed(record.headers) if key == name), b"")
