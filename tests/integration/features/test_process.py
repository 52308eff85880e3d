"""The service as it is wired for real, on a real Kafka: read to the end, stopped, started again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from driftloop.bus.admin import create_topics
from driftloop.bus.kafka_batch import KafkaBatchConsumer, KafkaBatchProducer
from driftloop.contracts.features_pb2 import OfflineFlushed, WatermarkAdvanced
from driftloop.loop.topics import plan_topics
from driftloop.runner.alone import alone
from services.features.bootstrap import NAME, build
from services.features.config import FeaturesSettings
from tests.helpers.kafka import Kafka
from tests.integration.features.conftest import Home, settings_in
from tests.integration.features.orders_stream import PARTITIONS, WATERMARKS, records
from tests.integration.features.test_restart import assert_same
from tests.unit.features.fakes import watermark

pytestmark = [pytest.mark.integration, pytest.mark.kafka]
TOPICS = ["features.watermark-advanced.v1", "features.offline-flushed.v1"]


@contextmanager
def running(settings: FeaturesSettings) -> Iterator[None]:
    stop = threading.Event()
    service = alone(NAME, build)(settings, stop)
    thread = threading.Thread(target=service.run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(60)
    assert not thread.is_alive()


def read_until_flushed(consumer: KafkaBatchConsumer, watermark_ms: int) -> list[int]:
    """Watermarks told as right online, up to the flush of this one."""
    watermarks: list[int] = []
    for _ in range(2_000):
        for record in consumer.poll(100, 0.1):
            if record.topic == TOPICS[0]:
                watermarks.append(WatermarkAdvanced.FromString(record.value or b"").watermark_ms)
            elif OfflineFlushed.FromString(record.value or b"").watermark_ms == watermark_ms:
                return watermarks
    raise AssertionError(f"no flush at {watermark_ms}; watermarks {watermarks[-3:]}")


def test_the_service_reads_kafka_to_the_end_and_continues_after_a_restart(
    home: Home, tmp_path: Path, kafka: Kafka
) -> None:
    settings = settings_in(tmp_path).model_copy(update={"kafka_bootstrap": kafka.bootstrap})
    create_topics(kafka.settings, plan_topics([home.loop.definition]))
    producer = KafkaBatchProducer(kafka.settings)
    consumer = KafkaBatchConsumer(kafka.settings, TOPICS, "test-features")
    sent = list(records(home.loop, home.rows))
    middle = int(WATERMARKS[len(WATERMARKS) // 2])
    mark = watermark(middle, PARTITIONS - 1, "orders").value
    half = next(at for at, record in enumerate(sent) if record.value == mark) + PARTITIONS
    with running(settings):
        producer.send(sent[:half])
        watermarks = read_until_flushed(consumer, middle)
    producer.send(sent[half:])
    with running(settings):
        watermarks += read_until_flushed(consumer, int(WATERMARKS[-1]))
    assert sorted(set(watermarks)) == WATERMARKS.tolist()
    assert_same(home, tmp_path)
    producer.close()
    consumer.close()
