"""Code that only reads a service's database does not wait for the database's writer."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine, MetaData

from driftloop.process.settings import ROOT
from driftloop.runner import outbox
from driftloop.runner.tables import open_database
from services.control.adapters import store
from services.control.adapters import tables as control
from services.control.notify.queue import SqlNoticeQueue
from services.ingestion.adapters import sql as ingestion
from services.monitoring.adapters import tables as monitoring
from services.monitoring.adapters.sql import restore
from services.monitoring.detectors import state as detectors
from services.registry.adapters import sql as registry
from services.registry.adapters.mirror_queue import SqlMirrorQueue
from services.serving.adapters import sql as serving
from services.training.adapters import sql as training
from services.training.worker import Worker
from tests.helpers.clock import FakeClock
from tests.helpers.memory_broker import MemoryBroker
from tests.unit.training.fakes import ManualLauncher

READERS: dict[str, tuple[MetaData, Callable[[Engine], object]]] = {
    "relay": (training.metadata, lambda engine: outbox.unsent(engine, 1)),
    "event of the outbox": (training.metadata, lambda engine: outbox.find(engine, "id")),
    "ingestion's journal": (ingestion.metadata, lambda engine: ingestion.SqlJournal(engine).load()),
    "monitoring's state": (
        monitoring.metadata,
        lambda engine: restore(engine, {}, MemoryBroker({}).batch_consumer([], "monitoring")),
    ),
    "detectors' states": (detectors.metadata, detectors.load),
    "training's worker": (training.metadata, lambda engine: _worker(engine).tick()),
    "mirror's backlog": (registry.metadata, lambda engine: SqlMirrorQueue(engine, "a").backlog()),
    "spool positions": (serving.metadata, lambda engine: serving.SqlSpoolPositions(engine).load("orders")),
    "notices": (control.metadata, lambda engine: SqlNoticeQueue(engine, "a").waiting()),
    "positions of a reader": (control.metadata, lambda engine: store.read_positions(engine, "control")),
}


def _worker(engine: Engine) -> Worker:
    def no_run(_: training.Run) -> None:
        raise AssertionError("there are no runs")

    return Worker("training", engine, ManualLauncher(), {}, no_run, FakeClock())  # type: ignore[arg-type]


@pytest.mark.parametrize("name", READERS)
def test_a_reader_waits_for_no_writer(name: str, tmp_path: Path) -> None:
    metadata, read = READERS[name]
    engine = open_database(f"sqlite:///{tmp_path / 'state.db'}", metadata)
    with engine.begin():
        read(engine)
    engine.dispose()


def test_services_open_a_connection_to_read_or_begin_a_transaction() -> None:
    """A connection that `engine.connect()` opens begins as a writer at its first statement."""
    paths = [path for folder in ("services", "driftloop/runner") for path in (ROOT / folder).rglob("*.py")]
    breaches = [str(path.relative_to(ROOT)) for path in paths if path.name != "tables.py" and _connects(path)]
    assert breaches == []


def _connects(path: Path) -> bool:
    calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
    return any(
        isinstance(called, ast.Attribute) and called.attr == "connect" and "engine" in ast.unparse(called.value)
        for called in calls
    )
