"""Remembers which events have had their effect.

The inbox has the ids of recent events, and each partition has the position up to which all events are handled. An event
that is delivered again within `KEEP_MS` is found by its id, wherever it is in the topic. An older one is before the
position (`docs/decisions/0013-inbox-and-outbox-forget-after-thirty-days.md`).
"""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import Connection, Engine, bindparam, delete, select

from driftloop.bus.ports import Record
from driftloop.contracts.topics import topic_of
from driftloop.events.envelope import Envelope
from driftloop.runner.tables import handled_positions, inbox, insert_of, reading

KEEP_MS = 30 * 86_400_000
"""How long the ids of handled and of sent events are kept, in ms of wall time."""
PRUNE_ROWS = 1_000
"""Most rows that one call deletes, so that it does not hold the writer's lock for long."""

# Built once, because every event executes them: to build a statement takes longer than to execute it.
_KNOWN = select(inbox.c.event_id).where(inbox.c.event_id == bindparam("event_id"))
_POSITION = select(handled_positions.c.topic_id, handled_positions.c.next_offset).where(
    handled_positions.c.topic == bindparam("topic"), handled_positions.c.partition == bindparam("number")
)
_HANDLED = inbox.insert()
_TOPICS = select(handled_positions.c.topic).distinct()
_OLD = (
    select(inbox.c.event_id)
    .where(inbox.c.handled_wall_ms < bindparam("before_ms"), inbox.c.type.in_(bindparam("types", expanding=True)))
    .limit(PRUNE_ROWS)
)


def is_known(connection: Connection, event_id: str) -> bool:
    """Return whether the inbox has the id."""
    return connection.execute(_KNOWN, {"event_id": event_id}).first() is not None


def topic_id_before(connection: Connection, record: Record) -> str | None:
    """Return the id of the topic in which a record was handled before, or None if it is after the position."""
    row = connection.execute(_POSITION, {"topic": record.topic, "number": record.partition}).first()
    return None if row is None or record.offset >= row.next_offset else str(row.topic_id)


def add(connection: Connection, event: Envelope[Any], record: Record, topic_id: str, wall_ms: int) -> None:
    """Remember that an event is handled, and the position after its record."""
    connection.execute(_HANDLED, {"event_id": event.id, "type": event.type, "handled_wall_ms": wall_ms})
    position = {"topic": record.topic, "partition": record.partition, "topic_id": topic_id}
    connection.execute(_advance(connection.dialect.name), {**position, "next_offset": record.offset + 1})


def forget_positions(engine: Engine, topic: str) -> None:
    """Forget the positions in a topic that was created again."""
    with engine.begin() as connection:
        connection.execute(delete(handled_positions).where(handled_positions.c.topic == topic))


def prune(engine: Engine, messages: Collection[type[Message]], now_ms: int) -> int:
    """Delete ids of events that were handled over `KEEP_MS` ago; return their number, at most `PRUNE_ROWS`.

    An id stays as long as its topic has no position: then a newer version has handled no event of it yet.
    """
    with reading(engine) as connection:
        topics = set(connection.execute(_TOPICS).scalars())
        types = [message.DESCRIPTOR.full_name for message in messages if topic_of(message).name in topics]
        ids = list(connection.execute(_OLD, {"before_ms": now_ms - KEEP_MS, "types": types}).scalars())
    if ids:
        with engine.begin() as connection:
            connection.execute(delete(inbox).where(inbox.c.event_id.in_(ids)))
    return len(ids)


@cache
def _advance(dialect: str) -> Any:
    statement = insert_of(dialect, handled_positions)
    after = {"topic_id": statement.excluded.topic_id, "next_offset": statement.excluded.next_offset}
    return statement.on_conflict_do_update(index_elements=["topic", "partition"], set_=after)
