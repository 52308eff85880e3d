"""Batches of a few kilobytes that are large once decompressed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing

import pytest
from confluent_kafka import Producer

from driftloop.bus.kafka_batch import KafkaBatchConsumer
from driftloop.bus.kafka_lifecycle import KafkaLifecycleConsumer
from driftloop.bus.ports import Record
from driftloop.bus.unreadable import unreadable
from driftloop.process.settings import ROOT
from tests.helpers.bus import new_group, running, take, take_events
from tests.helpers.kafka import Kafka

pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.extended]

ABOVE_THE_LIMIT = 105_000_000
READ_ALL = """
import resource, sys
from driftloop.bus.kafka_batch import KafkaBatchConsumer
from driftloop.bus.kafka_settings import KafkaSettings

consumer = KafkaBatchConsumer(KafkaSettings(sys.argv[1]), [sys.argv[2]], "reads-all")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sizes = []
while b"last" not in sizes:
    for record in consumer.poll(5_000, 0.5):
        sizes.append(record.value if len(record.value) < 100 else len(record.value))
        del record
print(len(sizes), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def send(kafka: Kafka, topic: str, codec: str, *batches: Sequence[bytes], partition: int = 0) -> None:
    """Send each batch as one batch."""
    options = {"message.max.bytes": 1_000_000_000, "batch.size": 2_000_000_000, "linger.ms": 60_000}
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "compression.type": codec, **options})
    for batch in batches:
        for value in batch:
            producer.produce(topic, value, partition=partition)
        assert producer.flush(60) == 0
    producer.close()


def values(records: Sequence[Record]) -> list[bytes | str | None]:
    """Return the values, with the reason in place of a value that could not be read."""
    reasons = [unreadable(record) for record in records]
    return [record.value if why is None else why[0] for record, why in zip(records, reasons, strict=True)]


def test_a_batch_consumer_continues_after_batches_above_the_limit(kafka: Kafka) -> None:
    topic = kafka.topic(2)
    bomb = [bytes(ABOVE_THE_LIMIT // 3)] * 3
    send(kafka, topic, "zstd", [b"first"], bomb, [b"second", b"third"], bomb, bomb, [b"last"])
    send(kafka, topic, "zstd", [b"other"], partition=1)
    with closing(KafkaBatchConsumer(kafka.settings, [topic], new_group())) as consumer:
        records = take(consumer, 8)
    own = [record for record in records if record.partition == 0]
    refused = "unreadable-batch"
    assert values(own) == [b"first", refused, b"second", b"third", refused, refused, b"last"]
    assert [record.offset for record in own] == [0, 3, 4, 5, 8, 11, 12]
    assert [record.value for record in records if record.partition == 1] == [b"other"]


def test_a_batch_consumer_that_starts_inside_such_a_batch_continues_after_it(kafka: Kafka) -> None:
    topic, group = kafka.topic(), new_group()
    send(kafka, topic, "zstd", [bytes(ABOVE_THE_LIMIT // 3)] * 3, [b"last"])
    with closing(KafkaBatchConsumer(kafka.settings, [topic], group)) as consumer:
        [partition] = consumer.assignment()
        consumer.seek({partition: 1})
        records = take(consumer, 2)
        assert values(records) == ["unreadable-batch", b"last"]
        consumer.seek({partition: 0})
        assert values(take(consumer, 2)) == values(records)


async def test_a_lifecycle_consumer_continues_after_a_batch_above_the_limit(kafka: Kafka) -> None:
    topic = kafka.topic()
    send(kafka, topic, "zstd", [b"first"], [b"", bytes(ABOVE_THE_LIMIT)], [b"last"])
    async with running(KafkaLifecycleConsumer(kafka.settings, [topic], new_group())) as consumer:
        assert values(await take_events(consumer, 3)) == [b"first", "unreadable-batch", b"last"]


def test_the_memory_for_large_batches_does_not_grow_with_their_number(kafka: Kafka) -> None:
    """gzip has no limit in the client's library, so a batch counts with its full size, but only one at a time."""
    topic = kafka.topic()
    size_mib = 64
    send(kafka, topic, "gzip", *[[bytes(size_mib * 1024 * 1024)]] * 6, [b"last"])
    command = [sys.executable, "-c", READ_ALL, kafka.bootstrap, topic]
    read = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    records, growth_mib = map(int, read.stdout.split())
    assert records == 7
    assert growth_mib < 4.5 * size_mib
