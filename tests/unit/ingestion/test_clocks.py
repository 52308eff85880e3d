"""What moves the clocks of a stream without watermarks, and what does not, through the whole service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import insert

from driftloop.bus.ports import TopicPartition
from driftloop.ops.watermarks import Asked, write_watermarks
from driftloop.runner.tables import open_database
from services.ingestion.adapters.sql import SqlJournal, checkpoints, metadata, taken_batches
from services.ingestion.domain.arrivals import PartitionClock
from tests.helpers.clock import FakeClock
from tests.unit.ingestion.fixtures import HOUR_MS, PAID, PLACED, START_MS, Producer, paid, placed, write_loop
from tests.unit.ingestion.harness import IngestionHarness, newest_watermark, read_all

DAY_H = 24
NOW_MS = START_MS + 100 * DAY_H * HOUR_MS


def test_a_gap_longer_than_max_advance_loses_nothing_and_does_not_stop_the_loop(
    harness: IngestionHarness, producer: Producer
) -> None:
    harness.settings = {"dead_letter_limit": 3}
    hours = [*range(10), *range(100, 120)]
    for hour in hours:
        producer.json(PLACED, placed(f"{hour}", hour), hour % 2)
        producer.json(PAID, paid(f"{hour}", hour), hour % 2)
    harness.ingest()
    for event_type in (PLACED, PAID):
        assert sorted(int(row["event_id"]) for row in harness.events("orders", event_type)) == hours
    assert harness.rejected() == []
    assert newest_watermark(harness) == START_MS + 117 * HOUR_MS


def test_a_batch_with_wrong_times_makes_no_right_event_late(harness: IngestionHarness, producer: Producer) -> None:
    harness.clock = FakeClock(NOW_MS)
    right, wrong = [*range(20)], [90 * DAY_H + number for number in range(16)]
    for number, hour in enumerate([*right[:10], *wrong, *right[10:]]):
        producer.json(PLACED, placed(f"{number}", hour), number % 2)
        producer.json(PAID, paid(f"{number}", hour), number % 2)
    harness.ingest()
    assert newest_watermark(harness) == START_MS + 17 * HOUR_MS
    assert harness.rejected() == []
    for event_type in (PLACED, PAID):
        rows = harness.events("orders", event_type)
        assert len(rows) == len(right) + len(wrong)
        assert [row["event_id"] for row in rows if row["event_time_ms"] < row["arrival_watermark_ms"]] == []


def test_one_event_in_each_partition_after_a_gap_is_enough_if_the_partitions_agree(
    harness: IngestionHarness, producer: Producer
) -> None:
    partitions = [(topic, partition) for topic in (PLACED, PAID) for partition in (0, 1)]
    for hour in (0, 1, 100, 101):
        for topic, partition in partitions:
            event = placed if topic == PLACED else paid
            producer.json(topic, event(f"{topic}{partition}{hour}", hour), partition)
    harness.ingest()
    assert newest_watermark(harness) == START_MS + 100 * HOUR_MS


def test_a_loop_that_had_watermarks_goes_on_with_plain_events_once_somebody_hands_back(
    harness: IngestionHarness, producer: Producer
) -> None:
    producer.watermark(1)
    for hour in range(900, 920):
        producer.json(PLACED, placed(f"before{hour}", hour), hour % 2)
    harness.ingest()
    assert {row["reason"] for row in harness.rejected()} == {"too-far-ahead"}
    assert newest_watermark(harness) == START_MS + HOUR_MS

    asked = Asked(list(harness.loops[0].definition.events), None, "anna", "the new producer sends none")
    write_watermarks(asked, harness.broker.batch_producer())
    for hour in range(900, 920):
        producer.json(PLACED, placed(f"{hour}", hour), hour % 2)
        producer.json(PAID, paid(f"{hour}", hour), hour % 2)
    harness.ingest()
    assert sorted(int(row["event_id"]) for row in harness.events("orders", PLACED)) == [*range(900, 920)]
    assert newest_watermark(harness) == START_MS + 917 * HOUR_MS


@pytest.mark.parametrize("wrong_ms", [START_MS // 1000, START_MS + 300 * DAY_H * HOUR_MS])
def test_a_first_event_with_a_wrong_time_makes_no_later_event_late(
    harness: IngestionHarness, producer: Producer, wrong_ms: int
) -> None:
    for partition in (0, 1):
        producer.json(PLACED, placed(f"wrong{partition}", placed_ms=wrong_ms), partition)
        producer.json(PAID, paid(f"wrong{partition}", event_time_ms=wrong_ms), partition)
    for hour in range(12):
        producer.json(PLACED, placed(f"{hour}", hour), hour % 2)
        producer.json(PAID, paid(f"{hour}", hour), hour % 2)
    harness.ingest()
    assert newest_watermark(harness) == START_MS + 9 * HOUR_MS
    rows = [row for topic in (PLACED, PAID) for row in harness.events("orders", topic)]
    late = [row["event_id"] for row in rows if row["event_time_ms"] < row["arrival_watermark_ms"]]
    assert (len(rows), set(late) - {"wrong0", "wrong1"}) == (28, set())


def test_a_restart_while_events_agree_gives_the_same_result(tmp_path: Path) -> None:
    watermarks = []
    for cut in range(6):
        folder = tmp_path / str(cut)
        harness = IngestionHarness(folder, [write_loop(folder / "loops")])
        producer = Producer(harness.broker, harness.loops[0])
        producer.watermark(0, (PLACED, 1), (PAID, 0), (PAID, 1))
        producer.watermark(500, (PLACED, 1), (PAID, 0), (PAID, 1))
        events = [placed(f"{n}", hour) for n, hour in enumerate([490, 491, 900, 901, 902, 903, 904, 905])]
        for event in events[: 2 + cut]:
            producer.json(PLACED, event)
        harness.ingest()
        for event in events[2 + cut :]:
            producer.json(PLACED, event)
        harness.ingest()
        rows = [(row["event_id"], row["arrival_watermark_ms"]) for row in harness.events("orders", PLACED)]
        watermarks.append((rows, harness.table("orders", "watermarks").to_pylist()[-1]["watermark_ms"]))
    assert len(watermarks[0][0]) == 8
    assert watermarks == [watermarks[0]] * 6


def test_an_event_after_a_weekend_advances_the_watermark_once_its_partition_is_idle(
    harness: IngestionHarness, producer: Producer
) -> None:
    harness.clock = FakeClock(START_MS + 2 * HOUR_MS)
    service = harness.service()
    service.start()
    for hour in (0, 1):
        producer.json(PLACED, placed(f"friday{hour}", hour))
    read_all(service)
    harness.clock.move(62 * 3600)
    read_all(service)
    assert newest_watermark(harness) == START_MS
    producer.json(PLACED, placed("monday", 64))
    read_all(service)
    harness.clock.move(31)
    read_all(service)
    assert newest_watermark(harness) == START_MS + 63 * HOUR_MS


def test_a_watermark_after_the_wall_clock_is_a_dead_letter_and_makes_no_row_late(
    harness: IngestionHarness, producer: Producer
) -> None:
    harness.clock = FakeClock(NOW_MS)
    producer.watermark(1)
    producer.watermark(103 * DAY_H, (PLACED, 0))
    producer.json(PLACED, placed("a", 2))
    harness.ingest()
    [row] = harness.events("orders", PLACED)
    assert row["arrival_watermark_ms"] == START_MS + HOUR_MS
    [rejected] = harness.rejected()
    assert rejected["reason"] == "too-far-ahead"
    assert "2015-11-30T16:00:00Z is after 2015-11-29T16:00:00Z, the wall clock plus" in rejected["detail"]
    assert len(harness.dead_letters(PLACED)) == 1


def test_a_watermark_up_to_the_wall_clock_plus_max_advance_is_accepted(
    harness: IngestionHarness, producer: Producer
) -> None:
    harness.clock = FakeClock(NOW_MS)
    producer.watermark(102 * DAY_H)
    harness.ingest()
    assert (newest_watermark(harness), harness.rejected()) == (START_MS + 102 * DAY_H * HOUR_MS, [])


def test_an_event_after_the_wall_clock_is_a_dead_letter(harness: IngestionHarness, producer: Producer) -> None:
    harness.clock = FakeClock(NOW_MS)
    producer.json(PLACED, placed("a", 103 * DAY_H))
    harness.ingest()
    assert [(row["reason"], row["event_id"]) for row in harness.rejected()] == [("too-far-ahead", "a")]


def test_a_checkpoint_and_batches_of_an_older_version_are_read(harness: IngestionHarness) -> None:
    engine = open_database(f"sqlite:///{harness.home / 'ingestion.db'}", metadata)
    place = [PLACED, 0]
    state = {"partitions": [[*place, 9, True]], "watermark_ms": 9, "sequence": 1, "waiting": [], "silent": []}
    contents = {
        checkpoints: {"positions": [[*place, 4]], "loops": {"orders": state}},
        taken_batches: {"ranges": [[*place, 4, 6]], "silent": []},
    }
    with engine.begin() as connection:
        for sequence, (table, content) in enumerate(contents.items()):
            connection.execute(insert(table).values(sequence=sequence, content=json.dumps(content)))
    checkpoint, [batch] = SqlJournal(engine).load()
    assert checkpoint.loops["orders"].partitions == {TopicPartition(PLACED, 0): PartitionClock(9, True)}
    assert (batch.ranges, batch.read_at_ms) == ({TopicPartition(PLACED, 0): (4, 6)}, None)


@pytest.mark.parametrize("poll_records", [10_000, 3])
def test_a_backlog_gives_a_watermark_for_each_hour_however_fast_it_is_read(
    harness: IngestionHarness, producer: Producer, poll_records: int
) -> None:
    harness.settings = {"poll_records": poll_records}
    hours = [*range(10), *range(100, 105)]
    for hour in hours:
        for partition in (0, 1):
            producer.json(PLACED, placed(f"{hour}-{partition}", hour + 0.5), partition)
    for hour in hours:
        for partition in (0, 1):
            producer.json(PAID, paid(f"{hour}-{partition}", hour + 0.5), partition)
    harness.ingest()
    marks = [row["watermark_ms"] for row in harness.table("orders", "watermarks").to_pylist()]
    whole_hours = [(mark - START_MS) // HOUR_MS for mark in marks if mark % HOUR_MS == 0]
    assert whole_hours == [hour - 1 for hour in hours]
