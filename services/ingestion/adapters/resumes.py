"""Reads the commands that resume a loop. Only a service with a paused topic reads them."""

from __future__ import annotations

from collections.abc import Mapping

from driftloop.bus.kafka_batch import KafkaBatchConsumer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import BatchConsumer
from driftloop.contracts.control_pb2 import Resume
from driftloop.contracts.topics import topic_of
from driftloop.events.event_log import readable


class KafkaResumes:
    """`services.ingestion.ports.Resumes` over Kafka."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._consumer: BatchConsumer | None = None
        self._newest_ms: dict[str, int] = {}

    def newest_ms(self) -> Mapping[str, int]:
        if self._consumer is None:
            self._consumer = KafkaBatchConsumer(self._kafka, [topic_of(Resume).name], "ingestion-resumes")
        # the services that own the topic write its dead letters
        for event in readable(self._consumer.poll(100, 0.0)):
            self._newest_ms[event.loop] = max(self._newest_ms.get(event.loop, 0), event.wall_time_ms)
        return self._newest_ms

    def close(self) -> None:
        if self._consumer is not None:
            self._consumer.close()
