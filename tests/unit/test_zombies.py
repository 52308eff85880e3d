"""An instance that was paused, and wakes up after another one took over, changes nothing in its service's database."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, MetaData, select

from driftloop.bus.ports import TopicPartition
from driftloop.contracts import monitoring_pb2
from driftloop.events.envelope import Draft
from driftloop.process.errors import LeaseLost
from driftloop.runner import outbox
from driftloop.runner.inbox import forget_positions
from driftloop.runner.lease import Lease
from driftloop.runner.tables import connect, open_database, reading
from services.control.adapters import tables as control
from services.control.notify.queue import SqlNoticeQueue
from services.features import ports as features
from services.features.adapters.checkpoint_file import CheckpointFile
from services.features.adapters.fenced_checkpoints import FencedCheckpoints
from services.ingestion.adapters import sql as ingestion
from services.ingestion.ports import BatchRecord, Checkpoint
from services.monitoring.detectors import state as detectors
from services.registry.adapters import sql as registry
from services.registry.adapters.mirror_queue import SqlMirrorQueue
from services.registry.ports import MirrorTask
from services.serving.adapters import sql as serving
from services.training.adapters import sql as training
from tests.helpers.clock import FakeClock

PARTITION = TopicPartition("orders.placed", 0)
BATCH = BatchRecord(1, {PARTITION: (0, 3)}, frozenset(), 0)
DRAFT = Draft("id", "orders", 0, monitoring_pb2.WindowDecided(loop="orders", window_id="w"))


def _put(engine: Engine) -> None:
    with engine.begin() as connection:
        outbox.put(connection, [DRAFT], source="tested", wall_time_ms=0, cause=None)


def _save_detector_state(engine: Engine) -> None:
    with engine.begin() as connection:
        detectors.save(connection, {"orders/psi": "{}"})


WRITERS: dict[str, tuple[MetaData, Callable[[Engine], object]]] = {
    "a batch": (ingestion.metadata, lambda engine: ingestion.SqlJournal(engine).append(BATCH)),
    "ingestion's checkpoint": (
        ingestion.metadata,
        lambda engine: ingestion.SqlJournal(engine).checkpoint(Checkpoint()),
    ),
    "an event to send": (training.metadata, _put),
    "a sent event": (training.metadata, lambda engine: outbox.mark_sent(engine, [1], 0)),
    "positions": (training.metadata, lambda engine: forget_positions(engine, "topic")),
    "a window without its predecessor": (
        detectors.metadata,
        lambda engine: detectors.is_new_gap(engine, "orders", "w"),
    ),
    "a detector's state": (detectors.metadata, _save_detector_state),
    "a copied release": (
        registry.metadata,
        lambda engine: SqlMirrorQueue(engine, "a").done(MirrorTask("orders", "r-1", 1, 0)),
    ),
    "spool positions": (serving.metadata, lambda engine: serving.SqlSpoolPositions(engine).save("orders", {1: 2})),
    "a sent notice": (control.metadata, lambda engine: SqlNoticeQueue(engine, "a").sent("n-1", 0)),
}


@pytest.mark.parametrize("what", WRITERS)
def test_an_instance_without_the_lease_writes_nothing(what: str, tmp_path: Path) -> None:
    metadata, write = WRITERS[what]
    url, clock = f"sqlite:///{tmp_path / 'state.db'}", FakeClock()
    zombie, owner = (Lease(connect(url), "service", name, clock, 15.0) for name in ("a", "b"))
    assert zombie.acquire()
    engine = open_database(url, metadata, fence=zombie.check)
    owner.acquire()
    clock.move(15)
    assert owner.acquire()
    before = _content(engine, metadata)
    with pytest.raises(LeaseLost):
        write(engine)
    assert _content(engine, metadata) == before
    for each in (zombie, owner):
        each.close()
    engine.dispose()


def _content(engine: Engine, metadata: MetaData) -> dict[str, list[object]]:
    with reading(engine) as connection:
        return {table.name: list(connection.execute(select(table))) for table in metadata.sorted_tables}


def test_a_zombie_does_not_put_an_older_checkpoint_back(tmp_path: Path) -> None:
    url, clock = f"sqlite:///{tmp_path / 'state.db'}", FakeClock()
    paused, owner = (Lease(connect(url), "ingestion", name, clock, 15.0) for name in ("a", "b"))
    paused.acquire()
    of_paused = ingestion.SqlJournal(open_database(url, ingestion.metadata, fence=paused.check))
    of_paused.append(BATCH)
    owner.acquire()
    clock.move(15)
    owner.acquire()
    of_owner = ingestion.SqlJournal(open_database(url, ingestion.metadata, fence=owner.check))
    newer = Checkpoint(5, {PARTITION: 50})
    of_owner.checkpoint(newer)
    with pytest.raises(LeaseLost):
        of_paused.checkpoint(Checkpoint(1, {PARTITION: 3}))
    assert of_owner.load() == (newer, [])


def test_a_zombie_does_not_replace_the_checkpoint_of_the_features(tmp_path: Path) -> None:
    url, clock = f"sqlite:///{tmp_path / 'features.db'}", FakeClock()
    paused, owner = (Lease(connect(url), "features", name, clock, 15.0) for name in ("a", "b"))
    file = CheckpointFile(tmp_path / "features.checkpoint")
    paused.acquire()
    owner.acquire()
    clock.move(15)
    owner.acquire()
    newer = features.Checkpoint({PARTITION: 50})
    FencedCheckpoints(file, owner).save(newer)
    with pytest.raises(LeaseLost):
        FencedCheckpoints(file, paused).save(features.Checkpoint({PARTITION: 3}))
    assert file.load() == replace(newer, sequence=1)
