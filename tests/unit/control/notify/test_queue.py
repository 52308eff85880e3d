from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from driftloop.runner.tables import open_database
from services.control.adapters.tables import deliveries, metadata, notices
from services.control.notify import queue
from services.control.notify.ports import Due
from services.control.notify.queue import FRESH_MS, SqlNoticeQueue
from tests.unit.control.notify.events import notice

NOW_MS = 1_700_000_000_000


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    database = open_database(f"sqlite:///{tmp_path / 'control.db'}", metadata)
    yield database
    database.dispose()


def put(engine: Engine, number: int = 1, wall_ms: int = NOW_MS, **more: Any) -> bool:
    with engine.begin() as connection:
        return queue.put(connection, notice(number), wall_ms, **more)


def rows(engine: Engine) -> list[tuple[str, str, str, int]]:
    columns = (deliveries.c.notice_id, deliveries.c.channel, deliveries.c.state, deliveries.c.attempts)
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(*columns[:2]))]


def test_a_notice_is_queued_once_and_read_unchanged(engine: Engine) -> None:
    assert put(engine)
    assert not put(engine)
    assert SqlNoticeQueue(engine, "a").due(NOW_MS, 10) == [Due(notice(), 0)]
    assert SqlNoticeQueue(engine, "a").waiting() == 1


def test_a_rolled_back_transaction_leaves_no_notice(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        assert queue.put(connection, notice(), NOW_MS)
        transaction.rollback()
    assert SqlNoticeQueue(engine, "a").waiting() == 0
    assert put(engine)


def test_the_notice_of_an_old_event_is_stored_and_not_sent(engine: Engine) -> None:
    assert put(engine, 1, NOW_MS + FRESH_MS + 1)
    assert put(engine, 2, NOW_MS + FRESH_MS)
    assert put(engine, 3, NOW_MS + 11, fresh_ms=10)
    assert not put(engine, 1)
    assert [due.notice.notice_id for due in SqlNoticeQueue(engine, "a").due(NOW_MS + 2 * FRESH_MS, 10)] == ["n-2"]
    assert rows(engine) == [
        ("n-1", "webhook", "passed-over", 0),
        ("n-2", "webhook", "waiting", 0),
        ("n-3", "webhook", "passed-over", 0),
    ]


def test_an_event_whose_publisher_s_clock_is_ahead_is_fresh(engine: Engine) -> None:
    assert put(engine, 1, NOW_MS - 10 * FRESH_MS)
    assert SqlNoticeQueue(engine, "a").waiting() == 1


def test_ended_notices_do_not_wait(engine: Engine) -> None:
    for number in (1, 2, 3):
        put(engine, number)
    waiting = SqlNoticeQueue(engine, "a")
    waiting.sent("n-1", NOW_MS)
    waiting.give_up("n-2", NOW_MS, "HTTP 404")
    assert waiting.pass_over(NOW_MS, "no webhook is set") == 1
    assert waiting.pass_over(NOW_MS, "no webhook is set") == 0
    assert waiting.due(NOW_MS, 10) == []
    assert [row[2:] for row in rows(engine)] == [("sent", 1), ("given-up", 1), ("passed-over", 0)]


def test_a_failed_attempt_is_counted_and_retried(engine: Engine) -> None:
    put(engine)
    waiting = SqlNoticeQueue(engine, "a")
    waiting.failed("n-1", NOW_MS + 500, "HTTP 500")
    assert waiting.due(NOW_MS + 499, 10) == []
    assert waiting.due(NOW_MS + 500, 10) == [Due(notice(), 1)]
    assert waiting.waiting() == 1


def test_the_oldest_come_first_up_to_the_limit(engine: Engine) -> None:
    for number, wall_ms in ((1, NOW_MS + 2), (2, NOW_MS), (3, NOW_MS + 1)):
        put(engine, number, wall_ms)
    assert [due.notice.notice_id for due in SqlNoticeQueue(engine, "a").due(NOW_MS + 9, 2)] == ["n-2", "n-3"]


def test_each_channel_has_its_own_delivery(engine: Engine) -> None:
    put(engine, channels=("webhook", "pager"))
    SqlNoticeQueue(engine, "a", "pager").sent("n-1", NOW_MS)
    assert rows(engine) == [("n-1", "pager", "sent", 1), ("n-1", "webhook", "waiting", 0)]


def test_a_notice_without_a_channel_is_stored(engine: Engine) -> None:
    assert put(engine, channels=())
    assert rows(engine) == []
    with engine.connect() as connection:
        assert connection.execute(select(notices.c.notice_id)).scalars().all() == ["n-1"]


def test_sent_notices_are_known_after_a_restart(engine: Engine, tmp_path: Path) -> None:
    put(engine)
    SqlNoticeQueue(engine, "a").sent("n-1", NOW_MS)
    engine.dispose()
    again = open_database(f"sqlite:///{tmp_path / 'control.db'}", metadata)
    assert not put(again)
    assert SqlNoticeQueue(again, "a").waiting() == 0
    again.dispose()


def test_of_two_instances_one_sends_a_notice(engine: Engine) -> None:
    put(engine, 1)
    first, second = SqlNoticeQueue(engine, "a"), SqlNoticeQueue(engine, "b")
    assert len(first.due(NOW_MS, 10)) == len(second.due(NOW_MS, 10)) == 1
    assert first.claim("n-1", NOW_MS, NOW_MS + 60_000)
    assert not second.claim("n-1", NOW_MS, NOW_MS + 60_000)
    assert second.due(NOW_MS, 10) == []
    first.sent("n-1", NOW_MS)
    assert not second.claim("n-1", NOW_MS + 90_000, NOW_MS + 150_000)


def test_a_restarted_instance_sends_the_notice_that_it_had_claimed(engine: Engine) -> None:
    put(engine, 1)
    assert SqlNoticeQueue(engine, "a").claim("n-1", NOW_MS, NOW_MS + 60_000)
    assert SqlNoticeQueue(engine, "a").claim("n-1", NOW_MS + 1, NOW_MS + 60_001)


def test_a_notice_that_another_instance_has_sent_is_not_due_again(engine: Engine) -> None:
    put(engine, 1)
    zombie, owner = SqlNoticeQueue(engine, "a"), SqlNoticeQueue(engine, "b")
    assert zombie.claim("n-1", NOW_MS, NOW_MS + 60_000)
    assert owner.claim("n-1", NOW_MS + 60_000, NOW_MS + 120_000)
    owner.sent("n-1", NOW_MS + 60_000)
    zombie.failed("n-1", NOW_MS + 60_001, "no answer")
    assert owner.waiting() == 0
    assert owner.due(NOW_MS + 90_000, 10) == []
