"""A lifecycle service over a broker in memory and SQLite, to be run and crashed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from sqlalchemy import Column, Engine, Integer, MetaData, String, Table, func, insert, select

from driftloop.bus.ports import LifecycleConsumer, LifecycleProducer, TopicPartition
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import training_pb2 as training
from driftloop.contracts.topics import declared
from driftloop.events.envelope import Draft, Envelope, from_draft, from_record, to_record
from driftloop.events.ids import event_id
from driftloop.runner.handler import HandlerTable, Transaction
from driftloop.runner.service import LifecycleService, Patience, topics_of
from driftloop.runner.tables import inbox, open_database
from tests.helpers.clock import FakeClock
from tests.helpers.eventually import assert_eventually_async
from tests.helpers.fakes import declared_broker
from tests.helpers.memory_broker import MemoryBroker

metadata = MetaData()
effects = Table("effects", metadata, Column("number", Integer, primary_key=True), Column("event_id", String))
"""State of the service: a row for each time a handler was here."""

NAME = "tested"
CLOSED = "monitoring.window-closed.v1"
DECIDED = "monitoring.window-decided.v1"
QUICK = Patience(
    poll_timeout_s=0.01,
    relay_pause_s=0.001,
    retry_first_s=0.001,
    retry_longest_s=0.002,
    retry_limit=50,
)


def window(number: int, loop: str = "orders") -> monitoring.WindowClosed:
    return monitoring.WindowClosed(
        loop=loop, window_id=f"w{number}", start_ms=number * 1000, end_ms=(number + 1) * 1000
    )


def closed(number: int, loop: str = "orders") -> Envelope[Message]:
    """A window-closed event that opens a chain of its own."""
    draft = Draft(event_id("window", loop, number), loop, number * 1000, window(number, loop))
    return from_draft(draft, source="monitoring", wall_time_ms=5, cause=None, traceparent=None)


def decided(event: Envelope[monitoring.WindowClosed]) -> Draft:
    data = monitoring.WindowDecided(loop=event.loop, window_id=event.data.window_id, end_ms=event.data.end_ms)
    return Draft(event_id("decided", event.loop, event.data.window_id), event.loop, event.time_ms, data)


def note_and_decide(event: Envelope[monitoring.WindowClosed], tx: Transaction) -> Sequence[Draft]:
    """The handler of most tests: one effect, one event."""
    tx.connection.execute(insert(effects).values(event_id=event.id))
    return [decided(event)]


@dataclass
class Harness:
    """What outlives a crash of the service, and how to run it."""

    folder: Path
    handlers: HandlerTable = field(default_factory=lambda: {monitoring.WindowClosed: note_and_decide})
    broker: MemoryBroker = field(default_factory=declared_broker)
    clock: FakeClock = field(default_factory=FakeClock)
    patience: Patience = QUICK
    producer: LifecycleProducer | None = None
    consumer: LifecycleConsumer | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.engine: Engine = open_database(f"sqlite:///{self.folder / 'state.db'}", metadata)

    def send(self, *events: Envelope[Message]) -> None:
        self.broker.append([to_record(event) for event in events])

    def service(self, name: str = NAME) -> LifecycleService:
        self.stop = threading.Event()
        return LifecycleService(
            name=name,
            handlers=self.handlers,
            engine=self.engine,
            consumer=self.consumer or self.broker.lifecycle_consumer(topics_of(self.handlers), name),
            producer=self.producer or self.broker.lifecycle_producer(),
            stop=self.stop,
            clock=self.clock,
            patience=self.patience,
            topic_ids=lambda: self.broker.topic_ids(topics_of(self.handlers)),
        )

    async def run_until(self, probe: Callable[[], Any]) -> None:
        """Run until the probe gives something true, then stop. What ends the service before is raised."""
        running = asyncio.create_task(self.service().run())

        async def met() -> bool:
            return running.done() or bool(probe())

        try:
            await assert_eventually_async(met, say="the service's end or the probe")
        finally:
            self.stop.set()
            await running

    async def run_through(self) -> None:
        """Run until everything that it consumes is committed."""
        await self.run_until(lambda: self.lag() == 0)

    def lag(self) -> int:
        ends = self.broker.batch_consumer(topics_of(self.handlers), NAME).end_offsets()
        committed = self.broker.committed(NAME)
        return sum(end - committed.get(tp, 0) for tp, end in ends.items())

    def forget_commits(self) -> None:
        """The group's offsets are lost: everything comes again."""
        self.broker.batch_consumer([CLOSED], NAME).commit({TopicPartition(CLOSED, 0): 0})

    def effects(self) -> list[str]:
        """Event ids in the order of their effects."""
        with self.engine.connect() as connection:
            return [row.event_id for row in connection.execute(select(effects).order_by(effects.c.number))]

    def inbox_size(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(select(func.count()).select_from(inbox)).scalar_one())

    def published(self, topic: str = DECIDED) -> list[Envelope[Any]]:
        messages: dict[str, list[type[Message]]] = {
            DECIDED: [monitoring.WindowDecided],
            "training.reason-coalesced.v1": [training.ReasonCoalesced],
        }
        assert topic in declared()
        return [from_record(record, messages[topic]) for record in self.broker.records(topic)]
