from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from driftloop.bus.ports import Outgoing
from driftloop.process.errors import TooManyDeadLetters
from services.control.adapters.tables import events
from tests.helpers.story import LOOP, told
from tests.unit.control.rig import Rig

STORY = told().events


def rows(rig: Rig) -> list[tuple[Any, ...]]:
    """All that stands in the read model, but for the places of the rows."""
    columns = [column for column in events.c if column.name != "position"]
    with rig.engine.connect() as connection:
        return sorted(tuple(row) for row in connection.execute(select(*columns)))


@pytest.mark.parametrize("batch", [1, 3, 500])
def test_every_event_stands_once_with_all_that_it_says(tmp_path: Path, batch: int) -> None:
    rig = Rig(tmp_path)
    rig.read(STORY, batch=batch)
    found = rig.views.timeline(LOOP, "")
    assert [each.event for each in found] == STORY
    assert rig.noticed
    assert len(rig.noticed) == len(STORY)


def test_what_is_delivered_again_changes_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.read(STORY)
    before = rows(rig)
    rig.read(STORY)  # a producer that sent twice
    assert rows(rig) == before
    assert len(rig.noticed) == len(STORY)


def test_a_reader_goes_on_where_the_last_one_was(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.read(STORY[:20])
    rig.read(STORY[20:])
    assert rig.store.count() == len(STORY)


@pytest.mark.parametrize("batch", [3, 500])
def test_rebuilt_from_the_events_it_is_equal(tmp_path: Path, batch: int) -> None:
    rig = Rig(tmp_path)
    shuffled = list(STORY)
    random.Random(7).shuffle(shuffled)
    rig.tell(shuffled)
    reader = rig.reader(batch)
    made: list[int] = []

    def rebuilt() -> bool:
        if reader.caught_up() and not made:
            before, state = rows(rig), rig.views.state(LOOP)
            made.append(reader.rebuild(30))
            assert rows(rig) == before
            assert rig.views.state(LOOP) == state
        return bool(made)

    rig.run_until(reader, rebuilt)
    assert made == [len(STORY)]


def test_places_of_a_rebuilt_read_model_are_new(tmp_path: Path) -> None:
    """Who follows from an old place misses nothing."""
    rig = Rig(tmp_path)
    rig.read(STORY)
    last = rig.store.position()
    with rig.engine.begin() as connection:
        rig.store.forget(connection)
    rig.read()
    assert len(rig.store.after(last, limit=1000)) == len(STORY)


def test_what_cannot_be_read_is_a_dead_letter(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.broker.append([Outgoing("registry.stage-entered.v1", b"\xff\xff", b"orders")])
    rig.read(STORY)
    [letter] = rig.broker.records("registry.stage-entered.v1.dlq")
    assert letter.header("dlq-reason") == b"missing-header"
    assert letter.header("dlq-consumer") == b"control"
    assert rig.store.count() == len(STORY)


def test_records_that_are_all_unreadable_end_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.broker.append([Outgoing("registry.stage-entered.v1", b"\xff", b"orders")] * 30)
    with pytest.raises(TooManyDeadLetters):
        rig.reader().run()
