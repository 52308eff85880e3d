"""Stores events in the transaction of the state change that they report. The relay publishes them later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import Connection, Engine, bindparam, delete, select, update

from driftloop.bus.ports import Outgoing, Record
from driftloop.contracts.topics import message_class, topic
from driftloop.events.envelope import Draft, Envelope, from_draft, from_record, to_record
from driftloop.runner.inbox import KEEP_MS, PRUNE_ROWS
from driftloop.runner.tables import insert_of, outbox, reading

HAS_PUT = "driftloop-has-put"
"""Key in the `info` of a connection that has put events in the outbox, so that the relay must look."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A row of the outbox that is not sent yet."""

    position: int
    record: Outgoing


# Built once, because the relay executes them all the time: to build a statement takes longer than to execute it.
_UNSENT = select(outbox).where(outbox.c.sent_wall_ms.is_(None)).order_by(outbox.c.position).limit(bindparam("most"))
_SENT = (
    update(outbox)
    .where(outbox.c.position.in_(bindparam("positions", expanding=True)))
    .values(sent_wall_ms=bindparam("now_ms"))
)
_OLD = select(outbox.c.position).where(outbox.c.sent_wall_ms < bindparam("before_ms")).limit(PRUNE_ROWS)


def put(
    connection: Connection,
    drafts: Sequence[Draft],
    *,
    source: str,
    wall_time_ms: int,
    cause: Envelope[Any] | None,
    traceparent: str | None = None,
) -> int:
    """Put events in the outbox, in order; return the number of new ones.

    An event whose id is in the outbox already is skipped. The outbox keeps ids for 30 days.
    """
    new = sum(
        _insert(
            connection,
            from_draft(d, source=source, wall_time_ms=wall_time_ms, cause=cause, traceparent=traceparent),
            d.key,
        )
        for d in drafts
    )
    if new:
        connection.info[HAS_PUT] = True
    return new


def find(engine: Engine, event_id: str) -> Envelope[Message] | None:
    """Return the event with that id, sent or not, or None."""
    with reading(engine) as connection:
        row = connection.execute(select(outbox).where(outbox.c.event_id == event_id)).first()
    if row is None:
        return None
    out = _outgoing(row)
    messages = [message_class(name) for name in topic(out.topic).messages]
    return from_record(Record(out.topic, 0, 0, out.key, out.value, out.headers), messages)


def unsent(engine: Engine, limit: int) -> list[Pending]:
    """Return the oldest unsent events."""
    with reading(engine) as connection:
        rows = connection.execute(_UNSENT, {"most": limit}).all()
    return [Pending(row.position, _outgoing(row)) for row in rows]


def mark_sent(engine: Engine, positions: Sequence[int], wall_time_ms: int) -> None:
    """Mark events as acknowledged."""
    with engine.begin() as connection:
        connection.execute(_SENT, {"positions": list(positions), "now_ms": wall_time_ms})


def prune(engine: Engine, now_ms: int) -> int:
    """Delete events that were sent over `inbox.KEEP_MS` ago; return their number, at most `inbox.PRUNE_ROWS`."""
    with reading(engine) as connection:
        positions = list(connection.execute(_OLD, {"before_ms": now_ms - KEEP_MS}).scalars())
    if positions:
        with engine.begin() as connection:
            connection.execute(delete(outbox).where(outbox.c.position.in_(positions)))
    return len(positions)


def _insert(connection: Connection, event: Envelope[Message], key: str | None) -> int:
    record = to_record(event, key)
    headers = json.dumps([[name, value.decode()] for name, value in record.headers]).encode()
    row = {"event_id": event.id, "topic": record.topic, "key": record.key, "value": record.value, "headers": headers}
    return len(connection.execute(_add(connection.dialect.name), row).all())


@cache
def _add(dialect: str) -> Any:
    """Return a statement that returns a row if it inserts one: PostgreSQL does not count inserted rows."""
    new = insert_of(dialect, outbox).on_conflict_do_nothing(index_elements=["event_id"])
    return new.returning(outbox.c.position)


def _outgoing(row: Any) -> Outgoing:
    headers = tuple((name, value.encode()) for name, value in json.loads(row.headers))
    return Outgoing(row.topic, bytes(row.value), bytes(row.key), headers)
