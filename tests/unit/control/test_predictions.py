from __future__ import annotations

import threading
from pathlib import Path

import pytest

from driftloop.bus.ports import TopicPartition
from driftloop.contracts import predictions_pb2 as messages
from driftloop.process.errors import Retriable
from services.control.adapters.predictions import TOPIC, PredictionIndex
from services.control.adapters.reader import NAME
from tests.unit.control.rig import Rig


def served(number: int) -> messages.PredictionServed:
    return messages.PredictionServed(
        loop="orders", prediction_id=f"p-{number}", key=f"k-{number}", decision_time_ms=number, release_id="r-1"
    )


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


def follow(rig: Rig) -> None:
    rig.index.take(rig.broker.batch_consumer([TOPIC], "again").poll(1000, 0.0))


def test_a_prediction_is_found_whole(rig: Rig) -> None:
    rig.serve([served(number) for number in range(50)])
    follow(rig)
    assert rig.index.find("p-17", 0.0) == served(17)
    assert rig.index.find("p-50", 0.0) is None


def test_one_that_was_logged_twice_is_found_at_its_first_place(rig: Rig) -> None:
    rig.serve([served(1), served(1)])
    follow(rig)
    follow(rig)
    assert rig.index.find("p-1", 0.0) == served(1)


def test_it_says_so_where_the_index_has_not_come_that_far(rig: Rig) -> None:
    rig.serve([served(1)])
    with pytest.raises(Retriable, match="ask again"):
        rig.index.find("p-1", 0.0)


def test_it_waits_for_the_index(rig: Rig) -> None:
    rig.serve([served(number) for number in range(5)])
    thread = threading.Thread(target=rig.index.run)
    thread.start()
    try:
        assert rig.index.find("p-4", 30.0) == served(4)
    finally:
        rig.stop.set()
        thread.join(10)


def test_a_new_index_goes_on_and_forgets_what_the_log_holds_no_more(rig: Rig) -> None:
    rig.serve([served(number) for number in range(40)])
    follow(rig)
    oldest = {TopicPartition(TOPIC, p): 3 for p in range(rig.broker.partitions(TOPIC))}
    again = PredictionIndex(rig.engine, rig.broker.batch_consumer([TOPIC], NAME), rig.record, oldest, rig.stop)
    kept = [number for number in range(40) if again.find(f"p-{number}", 0.0) is not None]
    offsets = {record.header("ce_id"): record.offset for record in rig.broker.records(TOPIC)}
    assert kept == [number for number in range(40) if offsets[f"p-{number}".encode()] >= 3]
