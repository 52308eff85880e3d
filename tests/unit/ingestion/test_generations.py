"""A raw topic that is deleted and created again, or gets more partitions, between two starts."""

from __future__ import annotations

import pytest

from driftloop.bus.ports import TopicPartition
from services.ingestion.ports import Checkpoint
from tests.unit.ingestion.fixtures import PAID, PLACED, Producer, paid, placed
from tests.unit.ingestion.harness import IngestionHarness, consume, read_all


def send(producer: Producer, hours: range) -> None:
    for hour in hours:
        for partition in (0, 1):
            producer.json(PLACED, placed(f"{hour}-{partition}", hour), partition)
            producer.json(PAID, paid(f"{hour}-{partition}", hour, order_id=str(hour)), partition)


def published_rows(harness: IngestionHarness) -> list[str]:
    """Return the ids of one entity's rows as the services behind ingestion keep them: once by source offset."""
    rows = [
        dict(row[2]) for seen in consume(harness.broker, "ingestion.rows-accepted.v1").values() for row in seen.rows()
    ]
    return sorted(row["event_id"] for row in rows if "everywhere" in row and row["source_topic"] == PLACED)


@pytest.mark.parametrize("more", [3, 40])
@pytest.mark.parametrize("with_id", [True, False])
def test_every_event_of_the_new_topic_is_stored_and_published(
    harness: IngestionHarness, producer: Producer, more: int, with_id: bool
) -> None:
    """Without a stored id, as in the state of older versions, the topic must be shorter than the old one."""
    send(producer, range(10))
    harness.ingest()
    if not with_id:
        more = 3
        forget_ids(harness)
    for topic in (PLACED, PAID):
        harness.broker.create_again(topic)
    send(producer, range(20, 20 + more))
    harness.ingest()
    expected = sorted(f"{hour}-{partition}" for hour in [*range(10), *range(20, 20 + more)] for partition in (0, 1))
    for topic in (PLACED, PAID):
        assert sorted(row["event_id"] for row in harness.events("orders", topic)) == expected
    assert sorted(set(published_rows(harness))) == expected
    send(producer, range(80, 82))
    harness.ingest()
    assert len(harness.events("orders", PLACED)) == len(expected) + 4


def forget_ids(harness: IngestionHarness) -> None:
    journal = harness.journal()
    checkpoint, _ = journal.load()
    journal.checkpoint(Checkpoint(checkpoint.sequence, checkpoint.positions, checkpoint.loops))
    journal.close()


def test_batches_of_the_old_topic_are_not_awaited(harness: IngestionHarness, producer: Producer) -> None:
    killed = harness.service()
    killed.start()
    send(producer, range(10))
    read_all(killed)
    harness.broker.create_again(PLACED)
    producer.json(PLACED, placed("new", 11))
    harness.ingest()
    [row] = harness.events("orders", PLACED)
    assert (row["event_id"], row["source_offset"]) == ("new", 10)
    assert len(harness.events("orders", PAID)) == 20


def test_a_second_new_topic_continues_after_the_first(harness: IngestionHarness, producer: Producer) -> None:
    for number in range(3):
        producer.json(PLACED, placed(f"e{number}", number))
        harness.ingest()
        harness.broker.create_again(PLACED)
    checkpoint, _ = harness.journal().load()
    assert [row["source_offset"] for row in harness.events("orders", PLACED)] == [0, 1, 2]
    assert checkpoint.first[TopicPartition(PLACED, 0)] == 2


@pytest.mark.parametrize("partitions", [1, 3])
def test_a_topic_with_another_number_of_partitions_is_read_and_does_not_stop_the_watermark(
    harness: IngestionHarness, producer: Producer, partitions: int
) -> None:
    producer.watermark(1)
    harness.ingest()
    harness.broker.create_again(PLACED, partitions)
    for partition in range(partitions):
        producer.json(PLACED, placed(f"e{partition}", 2), partition)
    producer.watermark(3, *[(PLACED, partition) for partition in range(partitions)], (PAID, 0), (PAID, 1))
    harness.ingest()
    assert len(harness.events("orders", PLACED)) == partitions
    assert harness.table("orders", "watermarks").num_rows == 2
