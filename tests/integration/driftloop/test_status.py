"""What `driftloop status` reads from a real broker."""

from __future__ import annotations

from contextlib import closing

import pytest

from driftloop.bus.kafka_batch import KafkaBatchConsumer, KafkaBatchProducer
from driftloop.bus.ports import TopicPartition
from driftloop.ops.system.status import consumer_lags
from tests.helpers.bus import numbered
from tests.helpers.kafka import Kafka

pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.surface]


@pytest.mark.parametrize(("part", "group"), [("detectors", "driftloop-detectors"), ("registry", "registry")])
def test_the_lag_of_a_part_is_that_of_its_group(kafka: Kafka, part: str, group: str) -> None:
    topic = kafka.topic()
    with closing(KafkaBatchProducer(kafka.settings)) as producer:
        producer.send(numbered(topic, 5))
        producer.flush()
    with closing(KafkaBatchConsumer(kafka.settings, [topic], group)) as consumer:
        consumer.commit({TopicPartition(topic, 0): 2})
    assert consumer_lags(kafka.settings)[part] == 3
