"""Fetches single records by partition and offset."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Position

from driftloop.bus.kafka_batch import record_of
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import Record, TopicPartition
from driftloop.bus.transient import is_transient


class RecordFetcher:
    """Fetches the record at an offset. Thread-safe; the owner closes it."""

    def __init__(self, kafka: KafkaSettings, group: str, timeout_s: float = 5.0) -> None:
        self._kafka = kafka
        options = replace(kafka, fetch_wait_s=0.01).batch_consumer(group)
        self._consumer = Consumer({**options, "auto.offset.reset": "error"})
        self._timeout_s = timeout_s
        self._one_at_a_time = threading.Lock()

    def __call__(self, partition: TopicPartition, offset: int) -> Record | None:
        """Return the record, or None if the broker does not have it, for example because it was deleted."""
        topic = self._kafka.full_name(partition.topic)
        with self._one_at_a_time:
            self._consumer.assign([Position(topic, partition.partition, offset)])
            deadline = time.monotonic() + self._timeout_s
            try:
                while (left_s := deadline - time.monotonic()) > 0:
                    message = self._consumer.poll(left_s)
                    error = None if message is None else message.error()
                    if message is not None and error is None:
                        return record_of(message, self._kafka.prefix) if message.offset() == offset else None
                    if error is not None and not is_transient(error):
                        return None
                return None
            finally:
                self._consumer.unassign()

    def close(self) -> None:
        self._consumer.close()
