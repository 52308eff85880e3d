"""The read model: one row per lifecycle event, stored in one transaction with the reader's position."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import (
    Connection,
    Engine,
    Row,
    delete,
    func,
    select,
)

from driftloop.bus.ports import TopicPartition
from driftloop.contracts.topics import message_class
from driftloop.events.envelope import Envelope, from_row, to_row
from driftloop.runner.tables import insert, reading
from services.control.adapters.tables import events, positions
from services.control.ports import Stored

READER = "events"


def store_positions(connection: Connection, reader: str, read: Mapping[TopicPartition, int]) -> None:
    """Store a reader's position."""
    if not read:
        return
    rows = [
        {"reader": reader, "topic": partition.topic, "partition": partition.partition, "next_offset": offset}
        for partition, offset in read.items()
    ]
    statement = insert(connection, positions).values(rows)
    keys = ["reader", "topic", "partition"]
    connection.execute(
        statement.on_conflict_do_update(index_elements=keys, set_={"next_offset": statement.excluded.next_offset})
    )


def read_positions(engine: Engine, reader: str) -> dict[TopicPartition, int]:
    """Return a reader's position."""
    with reading(engine) as connection:
        rows = connection.execute(select(positions).where(positions.c.reader == reader))
        return {TopicPartition(row.topic, row.partition): row.next_offset for row in rows}


class EventStore:
    """`services.control.ports.Events` in SQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(
        self, connection: Connection, read_events: Sequence[Envelope[Any]], read: Mapping[TopicPartition, int]
    ) -> list[Envelope[Any]]:
        """Store events and the reader's position; return the events that are new."""
        ids = {event.id for event in read_events}
        known = {
            row.event_id for row in connection.execute(select(events.c.event_id).where(events.c.event_id.in_(ids)))
        }
        new = list({event.id: event for event in read_events if event.id not in known}.values())
        if new:
            connection.execute(insert(connection, events).values([_row(event) for event in new]))
        store_positions(connection, READER, read)
        return new

    def forget(self, connection: Connection) -> None:
        """Delete all events. Later rows continue with new positions."""
        connection.execute(delete(events))
        connection.execute(delete(positions).where(positions.c.reader == READER))

    def position(self) -> int:
        return int(self._all(select(func.coalesce(func.max(events.c.position), 0)))[0][0])

    def span(self, loop: str) -> tuple[int, int]:
        queries = (select(end(events.c.position)).where(events.c.loop == loop) for end in (func.min, func.max))
        first, last = (self._all(query)[0][0] or 0 for query in queries)
        return first, last

    def count(self) -> int:
        return int(self._all(select(func.count()).select_from(events))[0][0])

    def loops(self) -> list[str]:
        return [row.loop for row in self._all(select(events.c.loop).distinct().order_by(events.c.loop))]

    def by_id(self, event_id: str) -> Stored | None:
        rows = self._all(select(events).where(events.c.event_id == event_id))
        return _stored(rows[0]) if rows else None

    def of_chain(self, correlation_id: str) -> list[Stored]:
        return self._stored(select(events).where(events.c.correlation_id == correlation_id))

    def of_loop(self, loop: str) -> list[Stored]:
        return self._stored(select(events).where(events.c.loop == loop))

    def newest(self, loop: str, kind: type[Message], limit: int) -> list[Stored]:
        query = select(events).where(events.c.loop == loop, events.c.type == kind.DESCRIPTOR.full_name)
        query = query.order_by(events.c.time_ms.desc(), events.c.event_id.desc())
        return self._stored(query.limit(limit) if limit else query)

    def after(self, position: int, *, loop: str = "", correlation_id: str = "", limit: int) -> list[Stored]:
        query = select(events).where(events.c.position > position)
        if loop:
            query = query.where(events.c.loop == loop)
        if correlation_id:
            query = query.where(events.c.correlation_id == correlation_id)
        return self._stored(query.order_by(events.c.position).limit(limit))

    def _stored(self, query: Any) -> list[Stored]:
        return [_stored(row) for row in self._all(query)]

    def _all(self, query: Any) -> Sequence[Row[Any]]:
        with reading(self._engine) as connection:
            return connection.execute(query).all()


def _row(event: Envelope[Any]) -> dict[str, Any]:
    return to_row(event) | {"type": event.type, "data": event.data.SerializeToString(deterministic=True)}


def _stored(row: Row[Any]) -> Stored:
    return Stored(row.position, from_row(row, message_class(row.type).FromString(row.data)))
