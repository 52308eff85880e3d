"""`tests.helpers.bus.Bus` over Kafka, for the suites of the bus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from driftloop.bus.kafka_batch import KafkaBatchConsumer, KafkaBatchProducer
from driftloop.bus.kafka_lifecycle import KafkaLifecycleConsumer, KafkaLifecycleProducer
from driftloop.bus.kafka_settings import KafkaSettings


@dataclass(frozen=True)
class KafkaBus:
    """Clients with these settings. ``create_topic`` creates a topic with some partitions and returns its name."""

    settings: KafkaSettings
    create_topic: Callable[[int], str]

    def topic(self, partitions: int = 1) -> str:
        return self.create_topic(partitions)

    def batch_consumer(self, topics: Sequence[str], group: str) -> KafkaBatchConsumer:
        return KafkaBatchConsumer(self.settings, topics, group)

    def batch_producer(self) -> KafkaBatchProducer:
        return KafkaBatchProducer(self.settings)

    def lifecycle_consumer(self, topics: Sequence[str], group: str) -> KafkaLifecycleConsumer:
        return KafkaLifecycleConsumer(self.settings, topics, group)

    def lifecycle_producer(self) -> KafkaLifecycleProducer:
        return KafkaLifecycleProducer(self.settings)
