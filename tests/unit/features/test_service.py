from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from driftloop.bus.ports import Outgoing
from driftloop.contracts.features_pb2 import OfflineFlushed, WatermarkAdvanced
from driftloop.runner.batch_loop import BatchLoop
from services.features.bootstrap import assemble
from services.features.config import FeaturesSettings
from services.features.flush import Flush
from services.features.handlers import TOPIC
from services.features.ports import Checkpoint
from services.features.restore import restored
from services.features.service import Parts
from tests.helpers.clock import FakeClock
from tests.helpers.fuse import Fuse, Killed
from tests.helpers.memory_broker import MemoryBroker
from tests.unit.features.fakes import (
    FakeCheckpoints,
    FakeOffline,
    FakeOnline,
    accepted,
    broker,
    watermark,
)
from tests.unit.features.rows import BY_SHOP, HOUR, PAIRS, SHOPS, SPECS, Sale, batch, expected

STORE_CALLS = 27
"""Calls of a store, before and after each commit, in one undisturbed run."""
SETTINGS = FeaturesSettings(features_poll_timeout_s=0.001, features_poll_records=7)


@dataclass
class World:
    """What survives a kill, and the service over it."""

    bus: MemoryBroker = field(default_factory=broker)
    online: FakeOnline = field(default_factory=FakeOnline)
    offline: FakeOffline = field(default_factory=FakeOffline)
    checkpoints: FakeCheckpoints = field(default_factory=FakeCheckpoints)
    clock: FakeClock = field(default_factory=FakeClock)

    def service(self, settings: FeaturesSettings = SETTINGS, loops: Sequence[str] = ("sales",)) -> BatchLoop:
        checkpoint = self.checkpoints.load() or Checkpoint()
        runs = restored(dict.fromkeys(loops, SPECS), self.bus.partitions(TOPIC), checkpoint)
        producer = self.bus.batch_producer()
        flush = Flush(self.offline, self.checkpoints, producer, self.clock)
        consumer = self.bus.batch_consumer([TOPIC], "features")
        parts = Parts(consumer, producer, self.online, flush, self.clock)
        service = assemble(runs, checkpoint, parts, settings, threading.Event(), background_flush=False)
        service.start()
        return service

    def advanced(self) -> list[WatermarkAdvanced]:
        records = self.bus.records("features.watermark-advanced.v1")
        return [WatermarkAdvanced.FromString(record.value or b"") for record in records]

    def flushed(self) -> list[OfflineFlushed]:
        records = self.bus.records("features.offline-flushed.v1")
        return [OfflineFlushed.FromString(record.value or b"") for record in records]

    def offline_rows(self) -> dict[str, list[Any]]:
        return {view: sorted(map(repr, rows)) for view, rows in self.offline.rows.items()}


def sales(count: int = 60) -> list[Sale]:
    random = np.random.default_rng(3)
    made = []
    for number in range(count):
        arrival = number // 10 * HOUR
        late = number % 7 == 3
        time = arrival - int(random.integers(1, 4 * HOUR)) if late else arrival + int(random.integers(0, HOUR))
        made.append(Sale("abc"[number % 3], number % 2, max(0, time), arrival, float(number), number))
    return made


def stream(made: Sequence[Sale]) -> list[Outgoing]:
    """Rows by partition of their key, a watermark an hour, as ingestion writes them."""
    records = []
    for hour in range(len(made) // 10):
        now = made[10 * hour : 10 * hour + 10]
        for partition in (0, 1):
            for feed in (SHOPS, PAIRS):
                mine = [sale for sale in now if hash_of(sale.key(feed)) == partition]
                if mine:
                    records.append(accepted(feed, batch(mine), partition))
            records.append(watermark((hour + 1) * HOUR, partition))
    return records


def hash_of(key: tuple[str | int, ...]) -> int:
    return (ord(str(key[0])) + (key[1] if len(key) > 1 and isinstance(key[1], int) else 0)) % 2


def run_to_the_end(service: BatchLoop, world: World) -> None:
    while service.step():
        pass
    world.clock.move(1)  # idle for longer than features_flush_idle_s
    service.step()
    service.step()


def test_online_rows_follow_the_definition_and_every_watermark_is_published() -> None:
    world, made = World(), sales()
    world.bus.append(stream(made))
    run_to_the_end(world.service(), world)
    for spec in SPECS:
        want = expected(spec, made, 6 * HOUR)
        assert {key: tuple(row) for key, (_, row) in world.online.rows[spec.view].items()} == want
    assert [advance.watermark_ms for advance in world.advanced()] == [hour * HOUR for hour in range(1, 7)]
    assert world.advanced()[-1].late_events == sum(sale.time < sale.arrival for sale in made) == 8


def test_offline_has_every_row_and_the_flush_publishes_its_watermark() -> None:
    world, made = World(), sales()
    world.bus.append(stream(made))
    run_to_the_end(world.service(), world)
    assert sum(len(rows) for rows in world.offline.rows.values()) == sum(
        advance.rows_written for advance in world.advanced()
    )
    (flushed,) = world.flushed()
    assert flushed.watermark_ms == 6 * HOUR
    assert {(view.view, view.version) for view in flushed.views} == {(spec.view, 0) for spec in SPECS}
    assert sum(world.bus.committed("features").values()) == len(world.bus.records(TOPIC))


def test_many_rows_are_flushed_before_it_is_idle() -> None:
    world = World()
    world.bus.append(stream(sales()))
    run_to_the_end(world.service(SETTINGS.model_copy(update={"features_flush_rows": 20})), world)
    assert len(world.flushed()) > 2
    assert world.flushed()[-1].watermark_ms == 6 * HOUR


def test_a_long_span_of_event_time_is_flushed_before_it_is_idle() -> None:
    world = World()
    world.bus.append(stream(sales()))
    settings = SETTINGS.model_copy(update={"features_flush_span_s": 7200.0, "features_poll_records": 1})
    run_to_the_end(world.service(settings), world)
    assert [flush.watermark_ms // HOUR for flush in world.flushed()] == [3, 6]


@pytest.fixture(scope="module")
def undisturbed() -> World:
    world = World()
    world.bus.append(stream(sales()))
    run_to_the_end(world.service(SETTINGS.model_copy(update={"features_flush_rows": 20})), world)
    return world


@pytest.mark.parametrize("at", range(1, STORE_CALLS + 1))
def test_a_kill_at_any_store_call_does_not_change_the_rows(at: int, undisturbed: World) -> None:
    fuse = Fuse(at)
    world = World(online=FakeOnline(fuse), offline=FakeOffline(fuse), checkpoints=FakeCheckpoints(fuse))
    world.bus.append(stream(sales()))
    settings = SETTINGS.model_copy(update={"features_flush_rows": 20})
    with pytest.raises(Killed):
        run_to_the_end(world.service(settings), world)
    run_to_the_end(world.service(settings), world)
    assert repr(sorted(world.online.rows.items())) == repr(sorted(undisturbed.online.rows.items()))
    assert world.offline_rows() == undisturbed.offline_rows()
    advances = {(advance.watermark_ms, advance.rows_written, advance.late_events) for advance in world.advanced()}
    assert advances == {
        (advance.watermark_ms, advance.rows_written, advance.late_events) for advance in undisturbed.advanced()
    }


def test_the_kills_above_cover_every_store_call(undisturbed: World) -> None:
    sparks = undisturbed.online.fuse.sparks + undisturbed.offline.fuse.sparks + undisturbed.checkpoints.fuse.sparks
    assert sparks == STORE_CALLS


def test_redelivered_rows_change_nothing(undisturbed: World) -> None:
    world = World()
    records = stream(sales())
    world.bus.append([*records[:17], *records[4:]])
    run_to_the_end(world.service(), world)
    assert repr(sorted(world.online.rows.items())) == repr(sorted(undisturbed.online.rows.items()))
    assert world.offline_rows() == undisturbed.offline_rows()


def test_records_of_other_loops_are_skipped() -> None:
    world = World()
    world.bus.append([accepted(SHOPS, batch([Sale("a", 1, 1, 0, 1.0)]), 0, "other"), watermark(9, 0, "other")])
    run_to_the_end(world.service(), world)
    assert world.advanced() == []


def test_a_loop_that_is_left_out_for_one_start_continues_where_it_was() -> None:
    """The other loop has views of its own, which these fakes do not keep apart."""
    uninterrupted, world = World(), World()
    records = stream(sales())
    other = [watermark(at * HOUR, partition, "other") for at in range(1, 9) for partition in (0, 1)]
    cut, unread = len(records) // 3, 2 * len(records) // 3
    uninterrupted.bus.append(records)
    run_to_the_end(uninterrupted.service(), uninterrupted)
    world.bus.append([*records[:cut], *other[:4]])
    run_to_the_end(world.service(loops=("sales", "other")), world)
    world.bus.append([*records[cut:unread], *other[4:8]])
    run_to_the_end(world.service(loops=("other",)), world)
    world.bus.append([*other[8:], *records[:cut], *records[unread:]])
    for _ in range(2):
        run_to_the_end(world.service(loops=("sales", "other")), world)
    marks = [event.watermark_ms for event in world.advanced() if event.loop == "sales"]
    assert marks == [event.watermark_ms for event in uninterrupted.advanced()]
    checkpoint = world.checkpoints.load()
    assert checkpoint is not None
    assert len(checkpoint.loops["sales"].feeds[0].visible) == len(
        (uninterrupted.checkpoints.load() or Checkpoint()).loops["sales"].feeds[0].visible
    )


@pytest.mark.parametrize("repeats", [1, 3])
def test_an_input_topic_that_is_created_again_is_read_from_its_beginning(undisturbed: World, repeats: int) -> None:
    """However long the new topic is, and with rows that were read before."""
    world = World()
    records = stream(sales())
    cut = len(records) // 2
    world.bus.append(records[:cut])
    run_to_the_end(world.service(), world)
    world.bus.create_again(TOPIC)
    world.bus.append([*records[cut - 6 :], *repeats * records[:cut]])
    run_to_the_end(world.service(), world)
    assert repr(sorted(world.online.rows.items())) == repr(sorted(undisturbed.online.rows.items()))


def test_an_unreadable_record_is_a_dead_letter_and_the_next_one_is_handled() -> None:
    world = World()
    rows = batch([Sale("a", 1, 1, 0, 1.0)])
    world.bus.append(
        [
            Outgoing(TOPIC, b"\xff", None, (("ce_id", b"1"),), 0),
            accepted(SHOPS, rows.drop_columns(["amount"]), 0),
            accepted(SHOPS, rows, 0, positions=[0, 1]),
            accepted(SHOPS, batch([Sale("a", 1, 1, 0, 2.0, 1)]), 0),
            watermark(9, 0),
            watermark(9, 1),
        ]
    )
    run_to_the_end(world.service(), world)
    reasons = [record.header("dlq-reason") for record in world.bus.records(f"{TOPIC}.dlq")]
    assert reasons == [b"missing-header", b"malformed-rows", b"malformed-rows"]
    assert world.online.rows[BY_SHOP.view][("a",)][1][1] == 2.0


def test_any_number_of_dead_letters_does_not_stop_other_records() -> None:
    world = World()
    world.bus.append([Outgoing(TOPIC, b"\xff", None, (), 0)] * 60)
    world.bus.append([accepted(SHOPS, batch([Sale("a", 1, 1, 0, 2.0)]), 0), watermark(9, 0), watermark(9, 1)])
    run_to_the_end(world.service(), world)
    assert len(world.bus.records(f"{TOPIC}.dlq")) == 60
    assert world.online.rows[BY_SHOP.view][("a",)][1][1] == 2.0
