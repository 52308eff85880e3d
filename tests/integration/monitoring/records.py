"""Reads the records that are added to a topic after the reader was created."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from driftloop.bus.kafka_batch import KafkaBatchConsumer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import Record
from driftloop.contracts.topics import topic_of
from driftloop.events.envelope import Envelope, from_record


class Events:
    """Records of the topic of a message, or of the topic with that suffix."""

    def __init__(self, brokers: KafkaSettings, message: type[Message], suffix: str = "") -> None:
        self._message = message
        topic = topic_of(message).name + suffix
        self._consumer = KafkaBatchConsumer(brokers, [topic], f"test-{id(self)}", newest=True)
        self._all: list[Record] = []

    def records(self) -> list[Record]:
        """All so far."""
        self._all += self._consumer.poll(1000, 0.1)
        return self._all

    def read(self) -> list[Envelope[Any]]:
        """All so far, as events."""
        return [from_record(record, [self._message]) for record in self.records()]

    def ids(self) -> list[str]:
        """Their ids, in order."""
        return [event.id for event in self.read()]

    def close(self) -> None:
        self._consumer.close()
