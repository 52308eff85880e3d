"""Types of lifecycle handlers.

A service's ``handlers.py`` ends in a table from message class to handler. A handler gets the event and an open
transaction, changes the service's state through ``tx.connection`` and returns the events to send. It must not commit,
and its only I/O is SQL and reads of immutable files. It may raise `InvalidEvent` (dead letter), `OtherLoop` (the event
is skipped) or `Retriable` (the same event is handled again).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message
from sqlalchemy import Connection

from driftloop.events.envelope import Draft, Envelope
from driftloop.process.errors import InvalidEvent, OtherLoop

T = TypeVar("T")

_LOOP_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")
"""A name that a definition accepts as a loop's (`driftloop.loop.definition.LoopDefinition`)."""


@dataclass(frozen=True, slots=True)
class Transaction:
    """The SQL transaction that holds inbox, state and outbox."""

    connection: Connection


Handler = Callable[[Envelope[Any], Transaction], Sequence[Draft]]
HandlerTable = Mapping[type[Message], Handler]


def of_loop(values: Mapping[str, T], loop: str) -> T:
    """Return the value of a loop that this process runs.

    Raises:
        OtherLoop: another process may run the loop.
        InvalidEvent: no loop can have this name.
    """
    if loop in values:
        return values[loop]
    if _LOOP_NAME.fullmatch(loop):
        raise OtherLoop(f"the loop {loop} does not run in this process; DRIFTLOOP_LOOPS lists those that run")
    raise InvalidEvent("malformed-loop", f"{loop!r} is no loop's name: use lowercase letters, digits and _")
