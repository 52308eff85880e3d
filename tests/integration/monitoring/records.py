"""Reads topics from their beginning."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message

from driftloop.bus.kafka_batch import KafkaBatchConsumer
from driftloop.contracts.topics import topic_of
from driftloop.envelope import Envelope, from_record


class Events:
    """Events of one message on its topic, as they come."""

    def __init__(self, bootstrap: str, message: type[Message], since: dict[Any, int] | None = None) -> None:
        self._message = message
        self._consumer = KafkaBatchConsumer(bootstrap, [topic_of(message).name], f"test-{id(self)}", newest=True)
        self.all: list[Envelope[Any]] = []

    def read(self) -> list[Envelope[Any]]:
        """All since this was made."""
        records = self._consumer.poll(1000, 0.1)
        self.all += [from_record(record, [self._message]) for record in records]
        return self.all

    def ids(self) -> list[str]:
        """Their ids, in order."""
        return [event.id for event in self.read()]

    def close(self) -> None:
        self._consumer.close()
