"""Windows wait for all prediction writers that are open."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.message import Message
from sqlalchemy import select, update

from driftloop.bus.ports import Outgoing, Record
from driftloop.contracts import ingestion_pb2 as ingestion
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.contracts.topics import message_class, topic_of
from driftloop.events.envelope import from_record
from driftloop.ops.give_up import ask_give_up
from driftloop.runner.tables import open_database
from services.monitoring.adapters.tables import checkpoint_table, metadata
from services.monitoring.bootstrap import TOPICS
from tests.unit.monitoring.harness import PARTITIONS, JoinerHarness, StopWhenIdle, day, outgoing, route, served
from tests.unit.monitoring.rows import HOUR

EVERYWHERE = tuple(range(PARTITIONS))


@pytest.fixture
def harness(tmp_path: Path) -> JoinerHarness:
    return JoinerHarness(tmp_path)


def to_all(message: Message, partitions: Sequence[int] = EVERYWHERE) -> list[Outgoing]:
    return [outgoing(message, "orders", partition=partition) for partition in partitions]


def join(writer: str, start: int = 1, partitions: Sequence[int] = EVERYWHERE) -> list[Outgoing]:
    return to_all(predictions.WriterJoined(loop="orders", writer=writer, start=start), partitions)


def mark(writer: str, hour: float, start: int = 1, partitions: Sequence[int] = EVERYWHERE) -> list[Outgoing]:
    at = round(hour * HOUR)
    message = predictions.PredictionWatermark(loop="orders", writer=writer, start=start, watermark_ms=at)
    return to_all(message, partitions)


def leave(writer: str, start: int = 1) -> list[Outgoing]:
    return to_all(predictions.WriterLeft(loop="orders", writer=writer, start=start))


def outcomes(hour: float) -> list[Outgoing]:
    """Return the outcome watermarks."""
    return to_all(ingestion.OutcomeWatermark(loop="orders", watermark_ms=round(hour * HOUR)))


def ends(harness: JoinerHarness) -> list[int]:
    """Return the days that have closed."""
    return [event.data.end_ms // round(24 * HOUR) for event in harness.windows()]


def given_up(harness: JoinerHarness) -> list[Any]:
    records = harness.broker.records("monitoring.writer-given-up.v1")
    return [from_record(record, [monitoring.WriterGivenUp]).data for record in records]


def give_ups(harness: JoinerHarness) -> list[tuple[int, Any]]:
    """Return partition and message of the give-ups in the log."""
    kinds = [message_class(name) for name in topic_of(predictions.GiveUp).messages]
    read = [
        (record.partition, from_record(record, kinds).data)
        for record in harness.broker.records("predictions.served.v1")
    ]
    return [(partition, data) for partition, data in read if isinstance(data, predictions.GiveUp)]


def ask(harness: JoinerHarness, writer: str) -> None:
    ask_give_up("orders", writer, "ana", "its disk is lost", harness.broker.batch_producer(), 1)


def test_a_window_waits_for_the_slowest_writer(harness: JoinerHarness) -> None:
    harness.send(*join("a"), *join("b"), *outcomes(0), *outcomes(day(3)), *mark("a", day(2)), *mark("b", 1))
    harness.run()
    assert ends(harness) == []
    harness.send(route("r-1"), served("x", 5, name="late-in-the-log"), *mark("b", day(1)))
    harness.run()
    assert ends(harness) == [1]
    assert harness.windows()[0].data.predictions == 1


def test_a_window_waits_for_a_writer_that_has_joined_only(harness: JoinerHarness) -> None:
    harness.send(*join("a"), *outcomes(0), *outcomes(day(3)), *mark("a", day(1)))
    harness.send(*join("b", partitions=[1]), *mark("a", day(2)))
    harness.run()
    assert ends(harness) == [1]
    harness.send(*join("b", partitions=[0]), *mark("b", day(3)))
    harness.run()
    assert ends(harness) == [1, 2]


def test_a_window_does_not_wait_for_a_writer_that_has_left(harness: JoinerHarness) -> None:
    harness.send(*join("a"), *join("b"), *outcomes(0), *outcomes(day(3)), *mark("a", day(1)), *leave("b"))
    harness.run()
    assert ends(harness) == [1]


def test_without_open_writers_windows_wait(harness: JoinerHarness) -> None:
    harness.send(*join("a"), *outcomes(0), *outcomes(day(3)), *mark("a", day(1)), *leave("a"))
    harness.run()
    assert ends(harness) == [1]
    harness.send(*join("a", 2), *mark("a", day(2), 2))
    harness.run()
    assert ends(harness) == [1, 2]


def test_records_of_an_older_start_have_no_effect(harness: JoinerHarness) -> None:
    harness.send(*join("a", 2), *outcomes(0), *outcomes(day(3)))
    harness.send(*mark("a", day(1), 1), *leave("a", 1), *join("a", 1), *mark("a", day(1), 1))
    harness.run()
    assert ends(harness) == []
    harness.send(*mark("a", day(1), 2))
    harness.run()
    assert ends(harness) == [1]


@pytest.mark.parametrize("cut", range(1, 9))
def test_a_restart_at_any_time_closes_the_same_windows(harness: JoinerHarness, cut: int) -> None:
    steps = [
        [*join("a"), *join("b"), *outcomes(0), *outcomes(day(9))],
        [*mark("a", day(1)), *mark("b", day(1))],
        [*join("b", 2), *mark("a", day(3))],
        [*mark("b", day(2), 2)],
        [*leave("a"), *mark("b", day(3), 2)],
        [*join("a", 2), *mark("b", day(4), 2)],
        [*mark("a", day(5), 2)],
        [*mark("b", day(6), 2)],
    ]
    closed = [0, 1, 1, 2, 3, 3, 4, 5]
    for number, records in enumerate(steps):
        harness.send(*records)
        if number >= cut - 1:
            harness.run()
            assert len(harness.windows()) == closed[number]


def test_records_without_a_writer_are_those_of_one_writer_without_a_name(harness: JoinerHarness) -> None:
    old = predictions.PredictionWatermark(loop="orders", watermark_ms=round(day(1) * HOUR))
    harness.send(*outcomes(0), *outcomes(day(9)), *to_all(old))
    harness.run()
    assert ends(harness) == [1]
    harness.send(*join("", 5), *mark("", day(2), 5))
    harness.run()
    assert ends(harness) == [1, 2]


def test_a_state_of_an_earlier_version_has_one_writer_without_a_name(harness: JoinerHarness) -> None:
    """That version stored the watermark of each partition only."""
    harness.send(*outcomes(0), *outcomes(day(9)), *mark("", day(1), 0))
    harness.run()
    engine = open_database(harness.settings.database_url("monitoring"), metadata)
    with engine.begin() as connection:
        body = json.loads(connection.execute(select(checkpoint_table.c.body)).scalar_one())
        for name in ("writers", "giving_up"):
            del body["loops"]["orders"][name]
        connection.execute(update(checkpoint_table).values(body=json.dumps(body)))
    engine.dispose()
    harness.send(*join("two"), *mark("two", day(3)))
    harness.run()
    assert ends(harness) == [1]
    harness.send(*mark("", day(2), 0))
    harness.run()
    assert ends(harness) == [1, 2]
    harness.send(*join("", 7), *mark("", day(3), 7))
    harness.run()
    assert ends(harness) == [1, 2, 3]


def test_a_writer_is_given_up_by_a_command(harness: JoinerHarness) -> None:
    harness.send(*join("a"), *join("b", 4), *outcomes(0), *outcomes(day(3)), *mark("a", day(2)), *mark("b", 1, 4))
    ask(harness, "b")
    ask(harness, "nobody")
    harness.run()
    harness.run()
    assert ends(harness) == [1, 2]
    expected: dict[str, Any] = {
        "writer": "b",
        "start": 4,
        "because": "command",
        "who": "ana",
        "why": "its disk is lost",
    }
    assert give_ups(harness) == [(part, predictions.GiveUp(loop="orders", **expected)) for part in EVERYWHERE]
    [event] = given_up(harness)
    assert event == monitoring.WriterGivenUp(loop="orders", watermark_ms=round(HOUR), **expected)
    harness.send(*mark("b", day(9), 4), *mark("a", day(3)))
    harness.run()
    assert ends(harness) == [1, 2, 3]
    harness.send(*join("b", 5), *mark("a", day(9)))
    harness.run()
    assert ends(harness) == [1, 2, 3]


class QuietConsumer(StopWhenIdle):
    """Moves the clock by 5 seconds at each poll without records, and sets the stop event after some time."""

    def __init__(self, harness: JoinerHarness, seconds: int) -> None:
        super().__init__(harness.broker.batch_consumer(TOPICS, "nobody"), threading.Event())
        self._clock, self._left_s = harness.clock, seconds
        self.stop = threading.Event()

    def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        records = super().poll(max_records, 0.0)
        if not records:
            self._clock.move(5.0)
            self._left_s -= 5
            if self._left_s < 0:
                self.stop.set()
        return records


def wait(harness: JoinerHarness, timeout_s: float, seconds: int) -> None:
    """Run a join for some time in which nothing arrives."""
    harness.settings = harness.settings.model_copy(update={"writer_timeout_s": timeout_s})
    consumer = QuietConsumer(harness, seconds)
    with harness.joiner(consumer, consumer.stop) as joiner:
        asyncio.run(joiner.run())


@pytest.mark.parametrize(("timeout_s", "seconds", "given"), [(60.0, 90, ["b"]), (60.0, 50, []), (0.0, 500, [])])
def test_a_writer_is_given_up_after_the_timeout(
    harness: JoinerHarness, timeout_s: float, seconds: int, given: list[str]
) -> None:
    harness.send(*join("a"), *join("b"), *outcomes(0), *mark("a", day(2)), *mark("b", 1))
    wait(harness, timeout_s, seconds)
    harness.run()
    assert [(event.writer, event.because) for event in given_up(harness)] == [(name, "timeout") for name in given]
    assert len(give_ups(harness)) == len(given) * PARTITIONS


def test_the_only_writer_is_never_given_up_by_itself(harness: JoinerHarness) -> None:
    harness.send(*join("a"), *outcomes(0), *outcomes(day(9)), *mark("a", day(1)))
    wait(harness, 60.0, 500)
    assert give_ups(harness) == []
