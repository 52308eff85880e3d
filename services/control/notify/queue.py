"""Notices in the control service's database, and how far each has come on its way to a person.

They are no part of the read model: where that is made again from the topics, these tables stay, for they say what was
told already. Where they are lost with it, the age of the events keeps the past from ringing anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Select,
    func,
    select,
    update,
)

from driftloop.runner.tables import READS, insert
from services.control.adapters.tables import deliveries, notices
from services.control.domain.notices import Notice
from services.control.notify import metrics
from services.control.notify.ports import Due

WEBHOOK = "webhook"
FRESH_MS = 3_600_000
"""Age of an event, by wall time, above which nobody is rung for it: an hour."""

WAITING, SENT, GIVEN_UP, PASSED_OVER = "waiting", "sent", "given-up", "passed-over"

_COLUMNS = [notices.c[each.name] for each in fields(Notice)]


def put(
    connection: Connection,
    notice: Notice,
    wall_ms: int,
    *,
    fresh_ms: int = FRESH_MS,
    channels: Sequence[str] = (WEBHOOK,),
) -> bool:
    """Queue a notice within the caller's transaction; returns whether it is new.

    One whose event is older than ``fresh_ms`` is kept and passed over: a log that is read again rings nobody.

    Args:
        connection: where the caller's transaction is.
        notice: what to tell.
        wall_ms: wall time now, UTC ms.
        fresh_ms: greatest age of the event, by wall time, in ms.
        channels: each gets it once.
    """
    row = {**asdict(notice), "put_wall_ms": wall_ms}
    statement = insert(connection, notices).values(row).on_conflict_do_nothing(index_elements=["notice_id"])
    if connection.execute(statement.returning(notices.c.notice_id)).first() is None:
        return False
    fresh = wall_ms - notice.wall_time_ms <= fresh_ms
    state = WAITING if fresh else PASSED_OVER
    rest = {"state": state, "attempts": 0, "due_wall_ms": wall_ms, "ended_wall_ms": None if fresh else wall_ms}
    problem = "" if fresh else "the event was too old when it was read"
    for channel in channels:
        delivery = {"notice_id": notice.notice_id, "channel": channel, "problem": problem, **rest}
        connection.execute(insert(connection, deliveries).values(delivery))
    metrics.NOTICES.add(loop=notice.loop, kind=notice.kind, state=state)
    return True


class SqlNoticeQueue:
    """`services.control.notify.ports.NoticeQueue` of a channel."""

    def __init__(self, engine: Engine, channel: str = WEBHOOK) -> None:
        self._engine = engine
        self._channel = channel

    def due(self, now_ms: int, limit: int) -> list[Due]:
        query = (
            select(*_COLUMNS, deliveries.c.attempts)
            .join(deliveries)
            .where(*self._waits(), deliveries.c.due_wall_ms <= now_ms)
            .order_by(notices.c.put_wall_ms, notices.c.wall_time_ms, notices.c.notice_id)
            .limit(limit)
        )
        return [Due(_notice(row), row.attempts) for row in self._read(query)]

    def sent(self, notice_id: str, now_ms: int) -> None:
        self._tried(notice_id, state=SENT, ended_wall_ms=now_ms, problem="")

    def failed(self, notice_id: str, retry_at_ms: int, problem: str) -> None:
        self._tried(notice_id, due_wall_ms=retry_at_ms, problem=problem[:500])

    def give_up(self, notice_id: str, now_ms: int, problem: str) -> None:
        self._tried(notice_id, state=GIVEN_UP, ended_wall_ms=now_ms, problem=problem[:500])

    def pass_over(self, now_ms: int, why: str) -> int:
        if self.waiting() == 0:
            return 0
        values = {"state": PASSED_OVER, "ended_wall_ms": now_ms, "problem": why}
        with self._engine.begin() as connection:
            return connection.execute(update(deliveries).where(*self._waits()).values(values)).rowcount

    def waiting(self) -> int:
        [row] = self._read(select(func.count()).select_from(deliveries).where(*self._waits()))
        return int(row[0])

    def _waits(self) -> tuple[Any, Any]:
        return (deliveries.c.channel == self._channel, deliveries.c.state == WAITING)

    def _read(self, query: Select[Any]) -> Sequence[Any]:
        with self._engine.connect().execution_options(**READS) as connection:
            return connection.execute(query).all()

    def _tried(self, notice_id: str, **values: Any) -> None:
        row = (deliveries.c.notice_id == notice_id, deliveries.c.channel == self._channel)
        with self._engine.begin() as connection:
            connection.execute(update(deliveries).where(*row).values(attempts=deliveries.c.attempts + 1, **values))


def _notice(row: Any) -> Notice:
    return Notice(**{column.name: row._mapping[column.name] for column in _COLUMNS})
