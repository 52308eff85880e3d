"""Inbox and outbox forget events after a time, and no event has its effect twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import delete, insert

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.runner import inbox as handled
from driftloop.runner import outbox
from driftloop.runner.handler import Transaction
from driftloop.runner.inbox import KEEP_MS, PRUNE_ROWS
from driftloop.runner.tables import handled_positions, inbox
from tests.unit.driftloop.runner.harness import CLOSED, Harness, closed

MESSAGES = [monitoring.WindowClosed]
TYPE = monitoring.WindowClosed.DESCRIPTOR.full_name


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path)


def _pass_time(harness: Harness) -> None:
    harness.clock.move(KEEP_MS / 1000 + 1)


async def _prune(harness: Harness) -> None:
    """Run the service for over a minute of its clock, until nothing old is left."""

    def is_pruned() -> bool:
        harness.clock.move(61)
        return harness.inbox_size() == 0

    await harness.run_until(is_pruned)


async def test_an_event_that_is_delivered_again_after_its_id_is_pruned_has_no_second_effect(harness: Harness) -> None:
    harness.send(closed(1), closed(2))
    await harness.run_through()
    _pass_time(harness)
    await _prune(harness)
    harness.broker.forget_commits()
    harness.send(closed(3))
    await harness.run_through()
    assert harness.effects() == [closed(number).id for number in (1, 2, 3)]
    assert [event.data.window_id for event in harness.published()] == ["w1", "w2", "w3"]


async def test_the_events_of_a_topic_that_was_created_again_are_handled(harness: Harness) -> None:
    harness.send(closed(1), closed(2))
    await harness.run_through()
    _pass_time(harness)
    await _prune(harness)
    harness.broker.create_again(CLOSED)
    harness.send(closed(3), closed(4))
    await harness.run_through()
    assert harness.effects() == [closed(number).id for number in (1, 2, 3, 4)]


async def test_a_second_copy_of_a_recent_event_has_no_second_effect(harness: Harness) -> None:
    harness.send(closed(1))
    await harness.run_through()
    harness.clock.move(KEEP_MS / 1000 - 3600)
    harness.send(closed(1), closed(2))
    await harness.run_through()
    assert harness.effects() == [closed(1).id, closed(2).id]


async def test_sent_events_are_pruned_and_unsent_ones_stay(harness: Harness) -> None:
    harness.send(closed(1))
    await harness.run_through()
    assert outbox.prune(harness.engine, harness.clock.now_ms() + KEEP_MS) == 0
    assert outbox.prune(harness.engine, harness.clock.now_ms() + KEEP_MS + 1) == 1
    assert outbox.find(harness.engine, harness.published()[0].id) is None
    with harness.engine.begin() as connection:
        drafts = harness.handlers[monitoring.WindowClosed](closed(2), Transaction(connection))
        outbox.put(connection, drafts, source="tested", wall_time_ms=0, cause=None)
    assert outbox.prune(harness.engine, harness.clock.now_ms() + 10 * KEEP_MS) == 0
    assert len(outbox.unsent(harness.engine, 10)) == 1


async def test_a_step_deletes_a_limited_number_of_ids(harness: Harness) -> None:
    harness.send(closed(1))
    await harness.run_through()
    with harness.engine.begin() as connection:
        rows = [{"event_id": str(n), "type": TYPE, "handled_wall_ms": 0} for n in range(PRUNE_ROWS + 5)]
        connection.execute(insert(inbox), rows)
    now_ms = harness.clock.now_ms()
    assert [handled.prune(harness.engine, MESSAGES, now_ms) for _ in range(3)] == [PRUNE_ROWS, 5, 0]
    assert harness.inbox_size() == 1


async def test_ids_from_before_there_were_positions_stay(harness: Harness) -> None:
    harness.send(closed(1))
    await harness.run_through()
    with harness.engine.begin() as connection:
        connection.execute(delete(handled_positions))
    assert handled.prune(harness.engine, MESSAGES, harness.clock.now_ms() + 2 * KEEP_MS) == 0
    harness.broker.forget_commits()
    await harness.run_through()
    assert harness.effects() == [closed(1).id]
