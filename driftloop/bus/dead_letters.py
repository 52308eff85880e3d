"""Dead letters: the original bytes, and why."""

from __future__ import annotations

import hashlib

from driftloop.bus.ports import Outgoing, Record
from driftloop.process.errors import TooManyDeadLetters

SUFFIX = ".dlq"
_DETAIL_LIMIT = 2_000
_STACK_LIMIT = 8_000


def dead_letter(record: Record, *, consumer: str, reason: str, detail: str = "", stack: str = "") -> Outgoing:
    """The dead letter of a record, for ``<topic>.dlq``: key, value and headers as they came, and why.

    The reasons stand in ``dlq-*`` headers. ``dlq-source`` (topic/partition/offset) names the original, so that a dead
    letter written twice counts once.
    """
    why = {
        "dlq-consumer": consumer,
        "dlq-reason": reason,
        "dlq-detail": detail[:_DETAIL_LIMIT],
        "dlq-stack": stack[-_STACK_LIMIT:],
        "dlq-sha256": hashlib.sha256(record.value or b"").hexdigest(),
        "dlq-source": f"{record.topic}/{record.partition}/{record.offset}",
    }
    headers = (*record.headers, *((name, text.encode()) for name, text in why.items() if text))
    return Outgoing(f"{record.topic}{SUFFIX}", record.value, record.key, headers)


class DeadLetterLimit:
    """Stops a consumer that refuses more than ``limit`` records in a row: then the fault is not the records'."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._in_a_row = 0

    def accepted(self) -> None:
        """A record was fine."""
        self._in_a_row = 0

    def refused(self, reason: str, count: int = 1) -> None:
        """Records were dead-lettered.

        Raises:
            TooManyDeadLetters: more than the limit, with none accepted between.
        """
        self._in_a_row += count
        if self._in_a_row > self._limit:
            raise TooManyDeadLetters(
                f"{self._in_a_row} dead letters in a row, the last for {reason}; see `driftloop dlq`"
            )
