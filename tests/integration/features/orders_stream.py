"""The orders loop as ingestion hands it on: accepted rows, late ones among them, in records and in the lake."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa

from driftloop.bus.partition import partition_of
from driftloop.bus.ports import Outgoing
from driftloop.featurestore.lake import LakeTable
from driftloop.loop.load import Loop, load_loop
from driftloop.runner.batch_loop import BatchLoop
from services.features.adapters.checkpoint_file import CheckpointFile
from services.features.adapters.delta_offline import DeltaOffline
from services.features.bootstrap import assemble, checkpoint_file, open_online
from services.features.config import FeaturesSettings
from services.features.domain.views import Feed, ViewSpec
from services.features.flush import Flush
from services.features.handlers import TOPIC
from services.features.ports import Checkpoint
from services.features.refill import refill
from services.features.restore import restored
from services.features.service import Parts
from tests.helpers.clock import FakeClock
from tests.helpers.memory_broker import MemoryBroker
from tests.loops.orders.source import HOUR_MS, START_MS, OrderHistory, invent
from tests.unit.features.fakes import accepted, watermark

LOOPS = Path(__file__).resolve().parents[2] / "loops"
ORDER_HISTORY = OrderHistory(days=5, orders_a_day=60)
WATERMARKS = np.arange(START_MS + HOUR_MS, START_MS + 7 * 24 * HOUR_MS, HOUR_MS)
PARTITIONS = 2


def orders() -> Loop:
    return load_loop(LOOPS / "orders")


def rows(loop: Loop, story: OrderHistory = ORDER_HISTORY) -> dict[str, pa.Table]:
    """Accepted rows by event type in order of arrival; one in ten came up to a day late."""
    random = np.random.default_rng(5)
    tables = {}
    for name, raw in invent(story).items():  # noqa: B007  # DuckDB finds it by its name
        definition = loop.definition.events[name]
        derived = "".join(f", {sql} AS {column}" for column, sql in definition.derive.items())
        table = duckdb.sql(f"SELECT *{derived} FROM raw").to_arrow_table()
        time = table[definition.time].to_numpy()
        delay = np.where(random.random(len(time)) < 0.1, random.integers(0, 24 * HOUR_MS, len(time)), 0)
        arrival = (time + delay) // HOUR_MS * HOUR_MS
        table = table.append_column("event_time_ms", pa.array(time))
        table = table.append_column("arrival_watermark_ms", pa.array(arrival))
        table = table.take(pa.array(np.argsort(arrival, kind="stable")))
        table = table.append_column("event_id", table[definition.id])
        table = table.append_column("source_topic", pa.array([name] * len(time)))
        table = table.append_column("source_partition", pa.array(np.zeros(len(time), np.int32)))
        tables[name] = table.append_column("source_offset", pa.array(np.arange(len(time))))
    return tables


def records(loop: Loop, tables: Mapping[str, pa.Table]) -> Iterator[Outgoing]:
    """The rows once for each entity, by partition of their key, with the watermark in every partition."""
    before = 0
    for at in WATERMARKS.tolist():
        for name, table in tables.items():
            arrival = table["arrival_watermark_ms"].to_numpy()
            now = table.filter(pa.array((arrival >= before) & (arrival < at)))
            for keys in loop.definition.events[name].feeds:
                feed = Feed(name, tuple(sorted(keys)))
                yield from _by_partition(feed, now, loop.name)
        yield from (watermark(at, partition, loop.name) for partition in range(PARTITIONS))
        before = at


def _by_partition(feed: Feed, table: pa.Table, loop: str) -> Iterator[Outgoing]:
    if not table.num_rows:
        return
    keys = zip(*(table[name].to_pylist() for name in feed.join_keys), strict=True)
    partitions = np.array([partition_of("/".join(map(str, key)).encode(), PARTITIONS) for key in keys])
    for partition in range(PARTITIONS):
        mine = table.filter(pa.array(partitions == partition)).combine_chunks().to_batches()
        if mine:
            yield accepted(feed, mine[0], partition, loop)


def write_lake(settings: FeaturesSettings, loop: Loop, tables: Mapping[str, pa.Table]) -> None:
    """The same rows and watermarks as ingestion leaves them in the lake."""
    folder = settings.lake / loop.name
    for name, table in tables.items():
        LakeTable(folder / "events" / name).append(table, {})
    sequence = pa.array(np.arange(1, len(WATERMARKS) + 1))
    LakeTable(folder / "watermarks").append(pa.table({"watermark_ms": WATERMARKS, "sequence": sequence}), {})


@dataclass
class Live:
    """The service on real stores, with a bus in memory."""

    settings: FeaturesSettings
    specs: list[ViewSpec]
    bus: MemoryBroker
    clock: FakeClock
    checkpoints: CheckpointFile

    @classmethod
    def over(cls, settings: FeaturesSettings, specs: list[ViewSpec], bus: MemoryBroker) -> Live:
        return cls(settings, specs, bus, FakeClock(), checkpoint_file(settings))

    def start(self) -> BatchLoop:
        """As a new process would, from the checkpoint on disk."""
        checkpoint = self.checkpoints.load() or Checkpoint()
        runs = restored({"orders": self.specs}, self.bus.partitions(TOPIC), checkpoint)
        consumer, producer = self.bus.batch_consumer([TOPIC], "features"), self.bus.batch_producer()
        online, offline = open_online(self.settings, self.clock, threading.Event()), DeltaOffline(self.settings.lake)
        if "orders" in checkpoint.loops:
            refill("orders", checkpoint.loops["orders"], online, offline)
        flush = Flush(offline, self.checkpoints, producer, self.clock)
        parts = Parts(consumer, producer, online, flush, self.clock)
        service = assemble(runs, checkpoint, parts, self.settings, threading.Event(), background_flush=False)
        service.start()
        return service

    def finish(self, service: BatchLoop) -> None:
        """Read to the end and flush as when idle."""
        while service.step():
            pass
        self.clock.move(1)
        service.step()
        service.step()
