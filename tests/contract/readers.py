"""The code of each service that reads declared topics, over a broker in memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from sqlalchemy import MetaData

from driftloop.bus.ports import LifecycleConsumer, Outgoing, Record, TopicPartition
from driftloop.contracts.features_pb2 import WatermarkAdvanced
from driftloop.contracts.predictions_pb2 import PredictionServed
from driftloop.contracts.topics import topic_of
from driftloop.drift.windows import detector_rules
from driftloop.events.event_log import LIFECYCLE
from driftloop.runner.handler import HandlerTable
from driftloop.runner.service import LifecycleService, topics_of
from driftloop.runner.tables import open_database
from services.evaluation import handlers as evaluation
from services.features import handlers as features
from services.features.bootstrap import assemble
from services.features.config import FeaturesSettings
from services.features.domain.loop_run import LoopRun
from services.features.flush import Flush
from services.features.ports import Checkpoint
from services.features.service import Parts
from services.monitoring import bootstrap as monitoring
from services.monitoring.detectors import app as detectors
from services.monitoring.detectors import state as detector_state
from services.monitoring.detectors.decide import Detectors
from services.registry import handlers as registry
from services.serving import handlers as serving
from services.serving.log_writers import LogWriters
from services.serving.shipper import shipper_loop
from services.training import handlers as training
from tests.helpers.clock import FakeClock
from tests.helpers.damaged_records import TIME
from tests.helpers.fakes import declared_broker
from tests.helpers.memory_broker import MemoryBroker
from tests.unit.control.harness import Harness as ControlHarness
from tests.unit.features.fakes import FakeCheckpoints, FakeOffline, FakeOnline
from tests.unit.features.rows import SPECS
from tests.unit.monitoring.harness import JoinerHarness, definition
from tests.unit.serving.fakes import MemoryPositions, MemoryStarts

LOOP = "orders"
"""The loop of all examples. Every reader has it."""
NOTHING = cast("Any", None)
"""The tables of handlers can be built without the objects that the handlers use."""
TABLES: dict[str, HandlerTable] = {
    "evaluation": evaluation.table(evaluation.Evaluation({}, NOTHING, NOTHING, NOTHING)),
    "registry": registry.table(registry.Registry({}, NOTHING)),
    "serving": serving.Handlers(NOTHING).table(),
    "training": training.table({}),
}


@dataclass(frozen=True)
class Reader:
    """Reads topics for a service, and writes a dead letter for each record that it cannot read."""

    service: str
    topics: frozenset[str]
    read: Callable[[Path, Sequence[Outgoing]], MemoryBroker]
    """Reads records with a folder for its state; returns the broker with its dead letters."""
    name: str = ""
    """Name in its dead letters, if it is not that of the service."""

    @property
    def consumer(self) -> str:
        """Value of the header `dlq-consumer`."""
        return self.name or self.service

    def dead_letters(self, folder: Path, records: Sequence[Outgoing]) -> set[tuple[str, int]]:
        """Read records; return topic and offset of those that became dead letters."""
        broker = self.read(folder, records)
        letters = [letter for topic in self.topics for letter in broker.records(f"{topic}.dlq")]
        assert {letter.header("dlq-consumer") for letter in letters} == {self.consumer.encode()}
        sources = [(letter.header("dlq-source") or b"").decode().split("/") for letter in letters]
        return {(topic, int(offset)) for topic, _partition, offset in sources}


class _StopsAtEnd:
    """A `LifecycleConsumer` that sets the stop event when nothing is left to read."""

    def __init__(self, inner: LifecycleConsumer, stop: threading.Event) -> None:
        self._inner = inner
        self._stop = stop

    async def start(self) -> None:
        await self._inner.start()

    async def poll(self, max_records: int, timeout_s: float) -> Sequence[Record]:
        records = await self._inner.poll(max_records, 0.0)
        if not records:
            self._stop.set()
        return records

    async def commit(self, positions: Mapping[TopicPartition, int]) -> None:
        await self._inner.commit(positions)

    async def stop(self) -> None:
        await self._inner.stop()


def _broker(records: Sequence[Outgoing]) -> MemoryBroker:
    broker = declared_broker()
    broker.append(records)
    return broker


def _lifecycle(name: str) -> Reader:
    """Return a lifecycle service whose handlers do nothing."""
    topics = topics_of(TABLES[name])

    def read(folder: Path, records: Sequence[Outgoing]) -> MemoryBroker:
        broker, stop = _broker(records), threading.Event()
        engine = open_database(f"sqlite:///{folder / 'service.db'}", MetaData())
        service = LifecycleService(
            name=name,
            handlers={message: lambda _event, _transaction: [] for message in TABLES[name]},
            engine=engine,
            consumer=_StopsAtEnd(broker.lifecycle_consumer(topics, name), stop),
            producer=broker.lifecycle_producer(),
            stop=stop,
            clock=FakeClock(),
        )
        asyncio.run(service.run())
        engine.dispose()
        return broker

    return Reader(name, frozenset(topics), read)


def _control(folder: Path, records: Sequence[Outgoing]) -> MemoryBroker:
    harness = ControlHarness(folder)
    harness.broker.append(records)
    harness.read()
    return harness.broker


def _detectors(folder: Path, records: Sequence[Outgoing]) -> MemoryBroker:
    broker = _broker(records)
    engine = open_database(f"sqlite:///{folder / 'detectors.db'}", detector_state.metadata)
    service = Detectors({LOOP: detector_rules(definition(LOOP))}, engine, FakeClock(), "detectors")
    table: dict[str, str] = {}
    for record in broker.records(detectors.SOURCE):
        broker.append(service.handle(record, table))
    engine.dispose()
    return broker


def _features(_folder: Path, records: Sequence[Outgoing]) -> MemoryBroker:
    broker, clock = _broker(records), FakeClock()
    producer, consumer = broker.batch_producer(), broker.batch_consumer([features.TOPIC], "features")
    runs = {LOOP: LoopRun(LOOP, SPECS, broker.partitions(features.TOPIC))}
    flush = Flush(FakeOffline(), FakeCheckpoints(), producer, clock)
    parts = Parts(consumer, producer, FakeOnline(), flush, clock)
    settings = FeaturesSettings(features_poll_timeout_s=0.001)
    service = assemble(runs, Checkpoint(), parts, settings, threading.Event(), background_flush=False)
    service.start()
    while service.step():
        pass
    return broker


def _join(folder: Path, records: Sequence[Outgoing]) -> MemoryBroker:
    harness = JoinerHarness(folder, [definition(LOOP)])
    harness.send(*records)
    harness.run()
    return harness.broker


def _shipper(_folder: Path, records: Sequence[Outgoing]) -> MemoryBroker:
    broker = _broker(records)
    consumer = broker.batch_consumer([WATERMARKS], "serving-shipper")
    clock, producer = FakeClock(), broker.batch_producer()
    writers = LogWriters("", [], MemoryStarts(), clock)
    service = shipper_loop({}, MemoryPositions(), writers, consumer, producer, clock, threading.Event())
    service.start()
    while service.step():
        pass
    return broker


WATERMARKS = topic_of(WatermarkAdvanced).name
READERS: dict[str, Reader] = {
    **{name: _lifecycle(name) for name in TABLES},
    "control": Reader("control", frozenset(LIFECYCLE), _control),
    "detectors": Reader("monitoring", frozenset({detectors.SOURCE}), _detectors, "detectors"),
    "features": Reader("features", frozenset({features.TOPIC}), _features),
    "join": Reader("monitoring", frozenset(monitoring.TOPICS), _join),
    "shipper": Reader("serving", frozenset({WATERMARKS}), _shipper),
}
IN_THE_MESSAGE = {("join", PredictionServed.DESCRIPTOR.full_name, TIME)}
"""Reader, message and damage of records that are used. Of a prediction's headers, the join reads `ce_type` only."""
