"""The control service's parts on an in-memory broker and a database per test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from driftloop.bus.ports import Record, TopicPartition
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.contracts.topics import declared
from driftloop.events.envelope import Envelope, to_record
from driftloop.events.event_log import LIFECYCLE
from driftloop.runner.tables import open_database
from services.control.adapters.predictions import TOPIC, PredictionIndex
from services.control.adapters.reader import NAME, Noticed, Reader
from services.control.adapters.store import EventStore
from services.control.adapters.tables import metadata
from services.control.views import Views
from tests.helpers.memory_broker import MemoryBroker

LOOPS = {"orders": "Will the order come back?", "idle": "Nobody asks."}


@dataclass
class Harness:
    """All parts except the API."""

    folder: Path
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    stop: threading.Event = field(default_factory=threading.Event)
    noticed: list[Envelope[Any]] = field(default_factory=list)
    listener: Noticed | None = None

    def __post_init__(self) -> None:
        for name, topic in declared().items():
            self.broker.create_topic(name, topic.partitions)
            self.broker.create_topic(f"{name}.dlq")
        self.engine: Engine = open_database(f"sqlite:///{self.folder / 'control.db'}", metadata)
        self.store = EventStore(self.engine)
        self.index = PredictionIndex(
            self.engine,
            self.broker.batch_consumer([TOPIC], NAME),
            self.record,
            dict.fromkeys(self.broker.batch_consumer([TOPIC], NAME).assignment(), 0),
            self.stop,
        )
        self.views = Views(self.store, self.index, LOOPS)

    def reader(self, batch: int = 500, wake: Callable[[], None] = lambda: None) -> Reader:
        consumer, producer = self.broker.batch_consumer(LIFECYCLE, NAME), self.broker.batch_producer()
        return Reader(self.engine, consumer, producer, self.stop, batch, self._notice, wake)

    def publish(self, events: Iterable[Envelope[Any]]) -> None:
        """Publish events on their topics."""
        self.broker.append([to_record(event) for event in events])

    def serve(self, found: Sequence[predictions.PredictionServed]) -> None:
        """Publish predictions on their topic."""
        for each in found:
            event: Envelope[Any] = Envelope(
                each.prediction_id, "/driftloop/serving", each.DESCRIPTOR.full_name, each.loop, each.decision_time_ms,
                each.decision_time_ms, each.prediction_id, None, None, each,
            )  # fmt: skip
            self.broker.append([to_record(event, each.key)])

    def read(self, events: Iterable[Envelope[Any]] = (), *, batch: int = 500) -> Reader:
        """Run a reader until it has read everything."""
        self.publish(events)
        reader = self.reader(batch)
        self.run_until(reader, reader.caught_up)
        return reader

    def run_until(self, reader: Reader, done: Any) -> None:
        self.stop.clear()
        thread = threading.Thread(target=reader.run)
        thread.start()
        try:
            while not done() and thread.is_alive():
                thread.join(0.005)
        finally:
            self.stop.set()
            thread.join(10)

    def record(self, place: TopicPartition, offset: int) -> Record | None:
        found = [each for each in self.broker.records(place.topic) if each.partition == place.partition]
        return next((each for each in found if each.offset == offset), None)

    def _notice(self, connection: Connection, new: Sequence[Envelope[Any]]) -> None:
        self.noticed += new
        if self.listener is not None:
            self.listener(connection, new)
