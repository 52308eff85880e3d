from __future__ import annotations

import threading
from pathlib import Path

import pytest

from driftloop.bus.ports import Outgoing, TopicPartition
from driftloop.contracts import predictions_pb2 as messages
from driftloop.process.errors import Retriable
from services.control.adapters.predictions import TOPIC, PredictionIndex
from services.control.adapters.reader import NAME
from tests.helpers.mutations import mutations
from tests.unit.control.harness import Harness


def served(number: int) -> messages.PredictionServed:
    return messages.PredictionServed(
        loop="orders", prediction_id=f"p-{number}", key=f"k-{number}", decision_time_ms=number, release_id="r-1"
    )


@pytest.fixture
def harness(tmp_path: Path) -> Harness:
    return Harness(tmp_path)


def follow(harness: Harness) -> None:
    harness.index.add(harness.broker.batch_consumer([TOPIC], "again").poll(1000, 0.0))


def test_a_prediction_is_returned_complete(harness: Harness) -> None:
    harness.serve([served(number) for number in range(50)])
    follow(harness)
    assert harness.index.find("p-17", 0.0) == served(17)
    assert harness.index.find("p-50", 0.0) is None


def test_a_prediction_is_found_by_the_id_of_its_request(harness: Harness) -> None:
    ids = ("ask.1f", "ask-2.2e", "many/0.3d", "a%.4c", "ask.0a")
    harness.serve(
        [messages.PredictionServed(loop="orders", prediction_id=name, key="k", release_id="r-1") for name in ids]
    )
    follow(harness)
    found = {name: harness.index.find(name, 0.0) for name in ("ask", "ask-2", "many/0", "a%", "ask.1f")}
    assert {name: each.prediction_id for name, each in found.items() if each} == {
        "ask": "ask.0a", "ask-2": "ask-2.2e", "many/0": "many/0.3d", "a%": "a%.4c", "ask.1f": "ask.1f",
    }  # fmt: skip
    assert harness.index.find("as", 0.0) is None


def test_a_repeated_prediction_has_its_first_position(harness: Harness) -> None:
    harness.serve([served(1), served(1)])
    follow(harness)
    follow(harness)
    assert harness.index.find("p-1", 0.0) == served(1)


def test_an_index_that_is_behind_is_reported(harness: Harness) -> None:
    harness.serve([served(1)])
    with pytest.raises(Retriable, match="try again"):
        harness.index.find("p-1", 0.0)


def test_find_waits_for_the_index(harness: Harness) -> None:
    harness.serve([served(number) for number in range(5)])
    thread = threading.Thread(target=harness.index.run)
    thread.start()
    try:
        assert harness.index.find("p-4", 30.0) == served(4)
    finally:
        harness.stop.set()
        thread.join(10)


def test_a_new_index_continues_and_drops_deleted_records(harness: Harness) -> None:
    harness.serve([served(number) for number in range(40)])
    follow(harness)
    oldest = {TopicPartition(TOPIC, p): 3 for p in range(harness.broker.partitions(TOPIC))}
    again = PredictionIndex(
        harness.engine, harness.broker.batch_consumer([TOPIC], NAME), harness.record, oldest, harness.stop
    )
    kept = [number for number in range(40) if again.find(f"p-{number}", 0.0) is not None]
    offsets = {record.header("ce_id"): record.offset for record in harness.broker.records(TOPIC)}
    assert kept == [number for number in range(40) if offsets[f"p-{number}".encode()] >= 3]


def test_a_prediction_that_cannot_be_read_is_passed_over(harness: Harness) -> None:
    harness.serve([served(1), served(2)])
    first, second = harness.broker.records(TOPIC)
    damaged = [changed for _, changed in mutations(first, served(1))]
    harness.index.add([*damaged, second])
    assert harness.index.find("p-2", 0.0) == served(2)
    assert harness.index.find("p-1", 0.0) in (None, served(1))


def test_a_record_that_is_no_message_is_not_found(harness: Harness) -> None:
    harness.serve([served(1)])
    (record,) = harness.broker.records(TOPIC)
    harness.broker.append([Outgoing(TOPIC, b"\xff\xff", record.key, (("ce_id", b"p-2"), record.headers[2]))])
    follow(harness)
    assert harness.index.find("p-2", 0.0) is None
