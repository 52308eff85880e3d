"""Ingestion over a broker in memory, with real Delta tables and a real SQL database."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from driftloop.bus.dedup import SourceOffsets
from driftloop.bus.ports import Record
from driftloop.contracts.ingestion_pb2 import (
    LakeFlushed,
    OutcomesAccepted,
    OutcomeWatermark,
    ProbeJudged,
    RowsAccepted,
    TopicPaused,
    TopicResumed,
    WatermarkAdvanced,
)
from driftloop.events.envelope import Envelope, from_record
from driftloop.featurestore.lake import LakeTable
from driftloop.loop import Loop
from driftloop.runner.batch_loop import BatchLoop
from driftloop.runner.tables import open_database
from services.ingestion.adapters.delta import DeltaLake
from services.ingestion.adapters.sql import SqlJournal, metadata
from services.ingestion.bootstrap import World, assemble, compile_loops, topics
from services.ingestion.config import IngestionSettings
from tests.helpers.clock import FakeClock
from tests.helpers.memory_broker import MemoryBroker

ROWS = "ingestion.rows-accepted.v1"
OUTCOMES = "ingestion.outcomes-accepted.v1"
FLUSHED = "ingestion.lake-flushed.v1"
PROBE_ANSWERS = "ingestion.probe-judged.v1"
PAUSES = "ingestion.topic-paused.v1"
PROBE_SECRET = "of this system"  # of the tests


@dataclass
class FakeResumes:
    """`services.ingestion.ports.Resumes` for tests."""

    resumed_ms: dict[str, int]

    def newest_ms(self) -> dict[str, int]:
        return self.resumed_ms

    def close(self) -> None: ...


@dataclass
class IngestionHarness:
    """A world that survives the service: broker, database, lake, clock."""

    home: Path
    loops: Sequence[Loop]
    broker: MemoryBroker = field(default_factory=MemoryBroker)
    clock: FakeClock = field(default_factory=FakeClock)
    settings: dict[str, Any] = field(default_factory=dict)
    resumed_ms: dict[str, int] = field(default_factory=dict)
    """Wall time of the newest command that resumes a loop."""

    def __post_init__(self) -> None:
        for name in topics(self.loops):
            self.broker.create_topic(name, 2)
            self.broker.create_topic(f"{name}.dlq", 1)
        for name, partitions in ((ROWS, 2), (OUTCOMES, 2), (FLUSHED, 1), (PROBE_ANSWERS, 1), (PAUSES, 1)):
            self.broker.create_topic(name, partitions)

    def journal(self) -> SqlJournal:
        return SqlJournal(open_database(f"sqlite:///{self.home / 'ingestion.db'}", metadata))

    def service(self, wrap: Callable[[World], World] = lambda world: world) -> BatchLoop:
        """A process that starts, or starts again."""
        settings = IngestionSettings(home=self.home, **{"poll_timeout_s": 0.001, **self.settings})
        world = World(
            consumer=self.broker.batch_consumer(topics(self.loops), "ingestion"),
            producer=self.broker.batch_producer(),
            journal=self.journal(),
            lake=DeltaLake(self.home / "lake"),
            resumes=FakeResumes(self.resumed_ms),
            clock=self.clock,
            probe_secret=PROBE_SECRET,
        )
        return assemble(compile_loops(self.loops), wrap(world), settings, threading.Event(), background_flush=False)

    def ingest(self) -> None:
        """Start, take all that is there, bring the lake up to date, stop."""
        service = self.service()
        service.start()
        read_all(service)
        service.finish()

    def table(self, *names: str) -> pa.Table:
        """Return a table of the lake, sorted by source position if it has one; empty if the table does not exist."""
        table = LakeTable(self.home.joinpath("lake", *names))
        if not table.exists():
            return pa.table({})
        rows = table.read()
        order = [(name, "ascending") for name in ("source_topic", "source_partition", "source_offset", "sequence")]
        return rows.sort_by([key for key in order if key[0] in rows.column_names])

    def events(self, loop: str, event_type: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.table(loop, "events", event_type).to_pylist()
        return rows

    def rejected(self, loop: str = "orders") -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.table(loop, "rejected").to_pylist()
        return rows

    def dead_letters(self, topic: str) -> list[Record]:
        """Return dead letters, each once by its source record."""
        unique = {record.header("dlq-source"): record for record in self.broker.records(f"{topic}.dlq")}
        return list(unique.values())


def read_all(service: BatchLoop) -> None:
    """Step until no raw record is left to read."""
    while service.step():
        pass


def envelopes(broker: MemoryBroker, topic: str) -> list[tuple[Record, Envelope[Any]]]:
    """All events of a topic with their records, partition by partition."""
    messages = [
        RowsAccepted, WatermarkAdvanced, OutcomesAccepted, OutcomeWatermark, LakeFlushed, ProbeJudged,
        TopicPaused, TopicResumed,
    ]  # fmt: skip
    return [(record, from_record(record, messages)) for record in broker.records(topic)]


def batch(data: RowsAccepted | OutcomesAccepted) -> pa.RecordBatch:
    """The rows of an event."""
    with pa.ipc.open_stream(data.rows) as reader:
        return reader.read_next_batch()


def rows_by_entity(data: RowsAccepted | OutcomesAccepted) -> Iterator[tuple[tuple[str, ...], list[dict[str, Any]]]]:
    """The rows of an event that each entity takes, with its join keys; outcomes have none."""
    rows = batch(data).to_pylist()
    if isinstance(data, OutcomesAccepted):
        yield (), rows
        return
    for entity in data.entities:
        yield tuple(entity.join_keys), [rows[at] for at in entity.positions]


@dataclass
class Seen:
    """What a consumer keeps of one partition: rows once by source position, and each growth of the watermark."""

    items: list[tuple[Any, ...]] = field(default_factory=list)

    def rows(self) -> list[tuple[Any, ...]]:
        return [item for item in self.items if item[0] != "watermark"]

    def watermarks(self) -> list[int]:
        return [item[1] for item in self.items if item[0] == "watermark"]


def consume(broker: MemoryBroker, topic: str) -> dict[int, Seen]:
    """Read a topic as the services behind it do: drop rows seen before, and watermarks that do not grow."""
    offsets = SourceOffsets()
    newest: dict[tuple[str, int], int] = defaultdict(lambda: -1)
    seen: dict[int, Seen] = defaultdict(Seen)
    for record, event in envelopes(broker, topic):
        data, partition = event.data, record.partition
        if isinstance(data, WatermarkAdvanced | OutcomeWatermark):
            if data.watermark_ms > newest[data.loop, partition]:
                newest[data.loop, partition] = data.watermark_ms
                seen[partition].items.append(("watermark", data.watermark_ms))
            continue
        for join_keys, rows in rows_by_entity(data):
            stream = (data.loop, data.event_type, *join_keys, partition)
            for row in rows:
                name = "/".join(map(str, (*stream, row["source_partition"])))
                if offsets.fresh(name, pa.array([row["source_offset"]]).to_numpy())[0]:
                    seen[partition].items.append(("row", stream, tuple(row.items())))
    return dict(seen)


def newest_watermark(harness: IngestionHarness) -> int | None:
    """The newest published watermark, or None."""
    watermarks = [mark for partition in consume(harness.broker, ROWS).values() for mark in partition.watermarks()]
    return max(watermarks, default=None)
