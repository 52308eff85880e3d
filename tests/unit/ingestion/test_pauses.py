"""Too many consecutive dead letters pause one topic of one loop; everything else continues."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftloop.bus.ports import Record
from driftloop.contracts.ingestion_pb2 import TopicPaused
from driftloop.loop import load_loop
from tests.helpers.memory_broker import MemoryBroker
from tests.unit.ingestion.fixtures import HOUR_MS, PAID, PLACED, START_MS, Producer, paid, placed, write_loop
from tests.unit.ingestion.harness import PAUSES, IngestionHarness, envelopes, newest_watermark, read_all

NOISE = b"noise"


@pytest.fixture
def harness(tmp_path: Path) -> IngestionHarness:
    return IngestionHarness(
        tmp_path, [write_loop(tmp_path / "loops")], settings={"dead_letter_limit": 3, "poll_records": 2}
    )


@pytest.fixture
def producer(harness: IngestionHarness) -> Producer:
    return Producer(harness.broker, harness.loops[0])


def pauses(harness: IngestionHarness) -> list[tuple[str, str]]:
    """Kind and topic of each distinct event of a pause."""
    events = {event.id: event for _, event in envelopes(harness.broker, PAUSES)}
    return [(type(event.data).__name__, event.data.event_type) for event in events.values()]


def letters(harness: IngestionHarness, topic: str = PLACED) -> list[Record]:
    """Every record of the dead-letter topic; repeated ones too."""
    return harness.broker.records(f"{topic}.dlq")


def test_a_topic_that_is_always_refused_is_paused_and_the_others_continue(
    harness: IngestionHarness, producer: Producer
) -> None:
    for number in range(20):
        producer.raw(PLACED, NOISE)
        producer.json(PAID, paid(f"p{number}", number))
    harness.ingest()
    [(_, event)] = envelopes(harness.broker, PAUSES)
    assert event.data == TopicPaused(
        loop="orders", event_type=PLACED, reason="malformed-protobuf", detail=event.data.detail, dead_letters=4,
        partition=0, offset=3,
    )  # fmt: skip
    assert (event.loop, len(letters(harness)), len(harness.events("orders", PAID))) == ("orders", 4, 20)


def test_a_restart_neither_reads_nor_refuses_anything_again(harness: IngestionHarness, producer: Producer) -> None:
    for _ in range(20):
        producer.raw(PLACED, NOISE)
    for _ in range(3):
        harness.ingest()
    assert (len(letters(harness)), pauses(harness)) == (4, [("TopicPaused", PLACED)])


def test_a_kill_right_after_the_pause_loses_and_repeats_nothing(harness: IngestionHarness, producer: Producer) -> None:
    for _ in range(20):
        producer.raw(PLACED, NOISE)
    service = harness.service()
    service.start()
    read_all(service)  # and no graceful stop
    harness.ingest()
    assert (len(letters(harness)), pauses(harness)) == (4, [("TopicPaused", PLACED)])


def test_a_record_that_is_accepted_starts_the_count_again(harness: IngestionHarness, producer: Producer) -> None:
    for number in range(10):
        producer.raw(PLACED, NOISE)
        producer.raw(PLACED, NOISE)
        producer.json(PLACED, placed(f"e{number}"))
    harness.ingest()
    assert (len(harness.events("orders", PLACED)), pauses(harness)) == (10, [])


def test_duplicates_are_no_dead_letters(harness: IngestionHarness, producer: Producer) -> None:
    for _ in range(20):
        producer.json(PLACED, placed("e"))
    harness.ingest()
    assert pauses(harness) == []


def test_another_loop_continues_with_its_windows(tmp_path: Path) -> None:
    loops = [write_loop(tmp_path / "loops", name, f"{name}.") for name in ("one", "two")]
    harness = IngestionHarness(tmp_path, loops, settings={"dead_letter_limit": 3, "poll_records": 2})
    one, two = (Producer(harness.broker, loop, f"{loop.name}.") for loop in loops)
    for number in range(10):
        one.raw(PLACED, NOISE)
        two.json(PLACED, placed(f"e{number}", number))
    two.watermark(10)
    harness.ingest()
    assert len(harness.events("two", f"two.{PLACED}")) == 10
    [*_, newest] = harness.table("two", "watermarks").to_pylist()
    assert newest["watermark_ms"] == START_MS + 10 * HOUR_MS
    assert pauses(harness) == [("TopicPaused", f"one.{PLACED}")]


def test_the_watermark_of_the_loop_waits_for_a_paused_topic(harness: IngestionHarness, producer: Producer) -> None:
    service = harness.service()
    service.start()
    for partition in (0, 1):
        producer.json(PLACED, placed(f"a{partition}", 5), partition)
        producer.json(PAID, paid(f"p{partition}", 5), partition)
    read_all(service)
    before = newest_watermark(harness)
    for _ in range(20):
        producer.raw(PLACED, NOISE)
    for number in range(5):
        producer.json(PAID, paid(f"q{number}", 20 + number), number % 2)
    read_all(service)
    harness.clock.move(3600)
    read_all(service)
    assert before == newest_watermark(harness) == START_MS + 4 * HOUR_MS


def test_a_command_resumes_the_topic_and_lifts_the_limit_until_a_record_is_accepted(
    harness: IngestionHarness, producer: Producer
) -> None:
    for _ in range(20):
        producer.raw(PLACED, NOISE)
    harness.ingest()
    producer.json(PLACED, placed("good"))
    for _ in range(20):
        producer.raw(PLACED, NOISE)
    harness.resumed_ms["orders"] = harness.clock.now_ms()
    harness.ingest()
    assert len(letters(harness)) == 4  # the command is not newer than the pause
    harness.resumed_ms["orders"] += 1
    harness.clock.move(1)
    harness.ingest()
    assert [row["uid"] for row in harness.events("orders", PLACED)] == ["good"]
    assert 20 + 4 <= len(letters(harness)) <= 20 + 5
    assert pauses(harness) == [("TopicPaused", PLACED), ("TopicResumed", PLACED), ("TopicPaused", PLACED)]


def test_a_command_for_another_loop_changes_nothing(harness: IngestionHarness, producer: Producer) -> None:
    for _ in range(20):
        producer.raw(PLACED, NOISE)
    harness.ingest()
    harness.resumed_ms["flows"] = harness.clock.now_ms() + 1
    harness.ingest()
    assert len(letters(harness)) == 4


def test_a_changed_definition_resumes_the_topic_at_the_next_start(tmp_path: Path) -> None:
    loop = write_loop(tmp_path / "loops")
    harness = IngestionHarness(tmp_path, [loop], settings={"dead_letter_limit": 3, "poll_records": 2})
    producer = Producer(harness.broker, loop)
    for number in range(20):
        producer.json(PLACED, placed(f"e{number}", shop="west"))
    harness.ingest()
    assert len(letters(harness)) == 4
    path = loop.folder / "loop.yaml"
    path.write_text(path.read_text().replace("north, south", "north, west"))
    harness.loops = [load_loop(loop.folder)]
    harness.ingest()
    assert pauses(harness) == [("TopicPaused", PLACED), ("TopicResumed", PLACED)]
    assert len(harness.events("orders", PLACED)) == 16


def test_a_topic_of_two_loops_is_paused_only_if_both_refuse_it(tmp_path: Path) -> None:
    broker = MemoryBroker()
    loops = [write_loop(tmp_path / "loops", name) for name in ("one", "two")]
    path = loops[0].folder / "loop.yaml"
    path.write_text(path.read_text().replace("north, south", "west"))
    loops[0] = load_loop(loops[0].folder)
    harness = IngestionHarness(tmp_path, loops, broker, settings={"dead_letter_limit": 3, "poll_records": 2})
    producer = Producer(broker, loops[1])
    for number in range(10):
        producer.json(PLACED, placed(f"e{number}"))
    harness.ingest()
    assert (len(harness.events("two", PLACED)), pauses(harness)) == (10, [])
    for _ in range(20):
        producer.raw(PLACED, NOISE)
    harness.ingest()
    assert pauses(harness) == [("TopicPaused", PLACED)] * 2
