from __future__ import annotations

import threading
from pathlib import Path

import pytest
from google.protobuf.message import Message
from sqlalchemy import Engine, insert

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events.envelope import Draft, Envelope, from_record
from driftloop.runner import outbox
from driftloop.runner.tables import inbox, open_database
from tests.helpers.bus import HEADERS
from tests.unit.driftloop.runner.harness import closed


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    return open_database(f"sqlite:///{tmp_path / 'state.db'}")


def _draft(number: int, key: str | None = None) -> Draft:
    data = monitoring.WindowDecided(loop="orders", window_id=f"w{number}")
    return Draft(f"id-{number}", "orders", number, data, key=key)


def _put(engine: Engine, *drafts: Draft, cause: Envelope[Message] | None = None) -> int:
    with engine.begin() as connection:
        return outbox.put(connection, drafts, source="tested", wall_time_ms=9, cause=cause)


def test_put_keeps_the_order_and_the_first_of_each_id(engine: Engine) -> None:
    assert _put(engine, _draft(2), _draft(1)) == 2
    assert _put(engine, _draft(1), _draft(3), _draft(2)) == 1
    assert [dict(row.record.headers)["ce_id"] for row in outbox.unsent(engine, 10)] == [b"id-2", b"id-1", b"id-3"]


def test_a_sent_event_is_not_put_again(engine: Engine) -> None:
    _put(engine, _draft(1))
    [pending] = outbox.unsent(engine, 10)
    outbox.mark_sent(engine, [pending.position], 10)
    assert outbox.unsent(engine, 10) == []
    assert _put(engine, _draft(1)) == 0
    assert outbox.unsent(engine, 10) == []


def test_a_transaction_that_is_rolled_back_leaves_no_event(engine: Engine) -> None:
    with engine.connect() as connection, connection.begin() as transaction:
        outbox.put(connection, [_draft(1)], source="tested", wall_time_ms=9, cause=None)
        transaction.rollback()
    assert outbox.unsent(engine, 10) == []


def test_a_record_is_returned_unchanged(engine: Engine) -> None:
    cause = closed(1)
    _put(engine, _draft(1, key="a key"), cause=cause)
    [pending] = outbox.unsent(engine, 10)
    record = pending.record
    assert (record.topic, record.key) == ("monitoring.window-decided.v1", b"a key")
    assert len(record.headers) > len(HEADERS)
    assert monitoring.WindowDecided.FromString(record.value or b"") == _draft(1).data
    assert dict(record.headers)["ce_causationid"] == cause.id.encode()


def test_reading_the_outbox_does_not_wait_for_a_writer(engine: Engine) -> None:
    _put(engine, _draft(1))
    counts: list[int] = []
    with engine.begin() as connection:
        connection.execute(insert(inbox).values(event_id="being handled", type="t", handled_wall_ms=0))
        reader = threading.Thread(target=lambda: counts.append(len(outbox.unsent(engine, 10))), daemon=True)
        reader.start()
        reader.join(10)
    assert counts == [1]


def test_two_writers_take_turns(engine: Engine) -> None:
    def write(start: int) -> None:
        for number in range(start, start + 20):
            _put(engine, _draft(number))

    writers = [threading.Thread(target=write, args=(start,)) for start in (0, 100)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert len(outbox.unsent(engine, 100)) == 40


def test_a_reopened_database_has_its_content(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'again.db'}"
    _put(open_database(url), _draft(1))
    assert len(outbox.unsent(open_database(url), 10)) == 1


def test_unsent_gives_the_oldest_first_up_to_a_limit(engine: Engine) -> None:
    _put(engine, *(_draft(number) for number in range(5)))
    ids = [dict(row.record.headers)["ce_id"] for row in outbox.unsent(engine, 2)]
    assert ids == [b"id-0", b"id-1"]


def test_the_bytes_of_an_event_do_not_depend_on_the_order_of_its_maps(engine: Engine) -> None:
    from driftloop.bus.ports import Record
    from driftloop.contracts import training_pb2 as training

    forward = training.CandidateTrained(loop="orders", metrics={"a": 1.0, "b": 2.0})
    backward = training.CandidateTrained(loop="orders", metrics={"b": 2.0, "a": 1.0})
    _put(engine, Draft("one", "orders", 0, forward), Draft("two", "orders", 0, backward))
    one, two = (row.record for row in outbox.unsent(engine, 2))
    assert one.value == two.value
    read = from_record(Record(one.topic, 0, 0, one.key, one.value, one.headers), [training.CandidateTrained])
    assert read.data == forward
