"""Types of lifecycle handlers.

A service's ``handlers.py`` ends in a table from message class to handler. A handler gets the event and an open
transaction, changes the service's state through ``tx.connection`` and returns the events to send. It must not commit,
and its only I/O is SQL and reads of immutable files. It may raise `InvalidEvent` (dead letter) or `Retriable` (the same
event is handled again).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import Connection

from driftloop.events.envelope import Draft, Envelope


@dataclass(frozen=True, slots=True)
class Transaction:
    """The SQL transaction that holds inbox, state and outbox."""

    connection: Connection


Handler = Callable[[Envelope[Any], Transaction], Sequence[Draft]]
HandlerTable = Mapping[type[Message], Handler]
