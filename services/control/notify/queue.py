"""Notices in the control service's database, with the state of their delivery.

They are not part of the read model: when that is rebuilt from the topics, these tables remain, because they record what
was sent. If they are lost too, the age limit of events prevents notices about the past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Select,
    and_,
    func,
    select,
    update,
)

from driftloop.runner.claims import RELEASED, claim, is_free
from driftloop.runner.tables import insert, reading
from services.control.adapters.tables import deliveries, notices
from services.control.domain.notices import Notice
from services.control.notify import metrics
from services.control.notify.ports import Due

WEBHOOK = "webhook"
FRESH_MS = 3_600_000
"""Age of an event, in ms of wall time, above which nobody is notified: an hour."""

WAITING, SENT, GIVEN_UP, PASSED_OVER = "waiting", "sent", "given-up", "passed-over"

_COLUMNS = [notices.c[field.name] for field in fields(Notice)]


def put(
    connection: Connection,
    notice: Notice,
    wall_ms: int,
    *,
    fresh_ms: int = FRESH_MS,
    channels: Sequence[str] = (WEBHOOK,),
) -> bool:
    """Queue a notice in the caller's transaction; return whether it is new.

    A notice whose event is older than ``fresh_ms`` is stored but not sent, so that reading a log again notifies nobody.

    Args:
        connection: connection with the caller's transaction.
        notice: the notice.
        wall_ms: wall time now, UTC ms.
        fresh_ms: maximum age of the event by wall time, in ms.
        channels: each receives the notice once.
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
    """`services.control.notify.ports.NoticeQueue` of a channel. ``owner``: name of this instance."""

    def __init__(self, engine: Engine, owner: str, channel: str = WEBHOOK) -> None:
        self._engine = engine
        self._owner = owner
        self._channel = channel

    def due(self, now_ms: int, limit: int) -> list[Due]:
        query = (
            select(*_COLUMNS, deliveries.c.attempts)
            .join(deliveries)
            .where(*self._is_waiting(), deliveries.c.due_wall_ms <= now_ms, is_free(deliveries, self._owner, now_ms))
            .order_by(notices.c.put_wall_ms, notices.c.wall_time_ms, notices.c.notice_id)
            .limit(limit)
        )
        return [Due(_notice(row), row.attempts) for row in self._read(query)]

    def claim(self, notice_id: str, now_ms: int, until_ms: int) -> bool:
        row = and_(deliveries.c.notice_id == notice_id, *self._is_waiting())
        return claim(self._engine, deliveries, row, owner=self._owner, now_ms=now_ms, until_ms=until_ms)

    def sent(self, notice_id: str, now_ms: int) -> None:
        self._count_attempt(notice_id, state=SENT, ended_wall_ms=now_ms, problem="")

    def failed(self, notice_id: str, retry_at_ms: int, problem: str) -> None:
        self._count_attempt(notice_id, due_wall_ms=retry_at_ms, problem=problem[:500])

    def give_up(self, notice_id: str, now_ms: int, problem: str) -> None:
        self._count_attempt(notice_id, state=GIVEN_UP, ended_wall_ms=now_ms, problem=problem[:500])

    def pass_over(self, now_ms: int, why: str) -> int:
        if self.waiting() == 0:
            return 0
        values = {"state": PASSED_OVER, "ended_wall_ms": now_ms, "problem": why}
        with self._engine.begin() as connection:
            return connection.execute(update(deliveries).where(*self._is_waiting()).values(values)).rowcount

    def waiting(self) -> int:
        [row] = self._read(select(func.count()).select_from(deliveries).where(*self._is_waiting()))
        return int(row[0])

    def _is_waiting(self) -> tuple[Any, Any]:
        return (deliveries.c.channel == self._channel, deliveries.c.state == WAITING)

    def _read(self, query: Select[Any]) -> Sequence[Any]:
        with reading(self._engine) as connection:
            return connection.execute(query).all()

    def _count_attempt(self, notice_id: str, **values: Any) -> None:
        """End an attempt, unless another instance has already ended the delivery."""
        row = (deliveries.c.notice_id == notice_id, *self._is_waiting())
        attempts = deliveries.c.attempts + 1
        with self._engine.begin() as connection:
            connection.execute(update(deliveries).where(*row).values(attempts=attempts, **values, **RELEASED))


def _notice(row: Any) -> Notice:
    return Notice(**{column.name: row._mapping[column.name] for column in _COLUMNS})
