from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from driftloop.bus.ports import Outgoing
from services.control.adapters.tables import events
from tests.helpers.event_log import LOOP, two_champions
from tests.unit.control.harness import Harness

ORDER_HISTORY = two_champions().events


def rows(harness: Harness) -> list[tuple[Any, ...]]:
    """Return the content of the read model without positions."""
    columns = [column for column in events.c if column.name != "position"]
    with harness.engine.connect() as connection:
        return sorted(tuple(row) for row in connection.execute(select(*columns)))


@pytest.mark.parametrize("batch", [1, 3, 500])
def test_every_event_is_stored_once_and_complete(tmp_path: Path, batch: int) -> None:
    harness = Harness(tmp_path)
    harness.read(ORDER_HISTORY, batch=batch)
    found = harness.views.timeline(LOOP, "")
    assert [each.event for each in found] == ORDER_HISTORY
    assert harness.noticed
    assert len(harness.noticed) == len(ORDER_HISTORY)


def test_redelivery_changes_nothing(tmp_path: Path) -> None:
    harness = Harness(tmp_path)
    harness.read(ORDER_HISTORY)
    before = rows(harness)
    harness.read(ORDER_HISTORY)  # a producer that sent twice
    assert rows(harness) == before
    assert len(harness.noticed) == len(ORDER_HISTORY)


def test_a_reader_continues_at_the_stored_position(tmp_path: Path) -> None:
    harness = Harness(tmp_path)
    harness.read(ORDER_HISTORY[:20])
    harness.read(ORDER_HISTORY[20:])
    assert harness.store.count() == len(ORDER_HISTORY)


@pytest.mark.parametrize("batch", [3, 500])
def test_a_rebuilt_read_model_is_equal(tmp_path: Path, batch: int) -> None:
    harness = Harness(tmp_path)
    shuffled = list(ORDER_HISTORY)
    random.Random(7).shuffle(shuffled)
    harness.publish(shuffled)
    reader = harness.reader(batch)
    made: list[int] = []

    def rebuilt() -> bool:
        if reader.caught_up() and not made:
            before, state = rows(harness), harness.views.state(LOOP)
            made.append(reader.rebuild(30))
            assert rows(harness) == before
            assert harness.views.state(LOOP) == state
        return bool(made)

    harness.run_until(reader, rebuilt)
    assert made == [len(ORDER_HISTORY)]


def test_positions_of_a_rebuilt_read_model_are_new(tmp_path: Path) -> None:
    """A follower with an old position misses nothing."""
    harness = Harness(tmp_path)
    harness.read(ORDER_HISTORY)
    last = harness.store.position()
    with harness.engine.begin() as connection:
        harness.store.forget(connection)
    harness.read()
    assert len(harness.store.after(last, limit=1000)) == len(ORDER_HISTORY)


def test_an_unreadable_record_is_a_dead_letter(tmp_path: Path) -> None:
    harness = Harness(tmp_path)
    harness.broker.append([Outgoing("registry.stage-entered.v1", b"\xff\xff", b"orders")])
    harness.read(ORDER_HISTORY)
    [letter] = harness.broker.records("registry.stage-entered.v1.dlq")
    assert letter.header("dlq-reason") == b"missing-header"
    assert letter.header("dlq-consumer") == b"control"
    assert harness.store.count() == len(ORDER_HISTORY)


def test_any_number_of_unreadable_records_does_not_stop_the_reader(tmp_path: Path) -> None:
    harness = Harness(tmp_path)
    harness.broker.append([Outgoing("registry.stage-entered.v1", b"\xff", b"orders")] * 60)
    harness.read(ORDER_HISTORY)
    assert len(harness.broker.records("registry.stage-entered.v1.dlq")) == 60
    assert harness.store.count() == len(ORDER_HISTORY)
