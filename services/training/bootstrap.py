"""Wires the training service."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import cast

from driftloop.bus.kafka_lifecycle import KafkaLifecycleConsumer, KafkaLifecycleProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import LifecycleConsumer, LifecycleProducer
from driftloop.contracts import control_pb2 as control
from driftloop.loop import Loop, load_loops
from driftloop.model.path_relocation import path_resolver
from driftloop.process.clock import Clock, SystemClock
from driftloop.process.object_store import locate_shared
from driftloop.process.settings import ROOT, Settings
from driftloop.runner.handler import HandlerTable
from driftloop.runner.kafka import topic_ids_of
from driftloop.runner.lease import Lease
from driftloop.runner.service import LifecycleService, topics_of
from driftloop.runner.tables import Fence, open_database, reading
from driftloop.runner.threads import ServiceWithWorkers
from services.training import metrics
from services.training.adapters import sql
from services.training.config import TrainingSettings
from services.training.domain.matching import ImportPlan, Link
from services.training.handlers import table
from services.training.launchers import make_launcher
from services.training.ports import Launcher
from services.training.spec import RUNS, ImportSpec, RunSpec, TableVersion, remove_stored_passwords
from services.training.worker import Worker

NAME = "training"


def build(settings: TrainingSettings, stop: threading.Event, lease: Lease) -> ServiceWithWorkers:
    """Build the service on Kafka, its own database and the launcher that the settings name.

    Raises:
        LoopDefinitionError: a loop's files are wrong.
        ConfigError: a setting of the launcher is missing or wrong.
    """
    remove_stored_passwords(settings.home)
    loops = {loop.name: loop for loop in load_loops(settings.loops_dir, settings.loops)}
    handlers = table({name: loop.definition.training for name, loop in loops.items()})
    kafka = KafkaSettings.of(settings, NAME)
    return assemble(
        settings,
        stop,
        loops=loops,
        handlers=handlers,
        consumer=KafkaLifecycleConsumer(kafka, topics_of(handlers), NAME),
        producer=KafkaLifecycleProducer(kafka),
        launcher=make_launcher(settings),
        clock=SystemClock(),
        fence=lease.check,
        topic_ids=topic_ids_of(kafka, handlers),
    )


def assemble(
    settings: TrainingSettings,
    stop: threading.Event,
    *,
    loops: Mapping[str, Loop],
    handlers: HandlerTable,
    consumer: LifecycleConsumer,
    producer: LifecycleProducer,
    launcher: Launcher,
    clock: Clock,
    fence: Fence | None = None,
    topic_ids: Callable[[], Mapping[str, str]] = dict,
) -> ServiceWithWorkers:
    """Build the service on a given bus and launcher."""
    engine = open_database(settings.database_url(NAME), sql.metadata, fence=fence)
    with reading(engine) as connection:
        for name, loop in loops.items():
            metrics.set_gauges(sql.load_state(connection, name), loop.definition.training)
    lifecycle = LifecycleService(
        name=NAME,
        handlers=handlers,
        engine=engine,
        consumer=consumer,
        producer=producer,
        stop=stop,
        clock=clock,
        seed=settings.seed,
        topic_ids=topic_ids,
    )
    worker = Worker(
        source=NAME,
        engine=engine,
        launcher=launcher,
        policies={name: loop.definition.training for name, loop in loops.items()},
        spec_of=lambda run: spec_of(settings, loops[run.loop], run),
        clock=clock,
    )
    return ServiceWithWorkers(lifecycle, [partial(worker.run, stop, settings.worker_pause_s)], stop)


def spec_of(settings: TrainingSettings, loop: Loop, run: sql.Run) -> RunSpec:
    """Return the manifest of a run."""
    home = settings.home.resolve()
    request, pinned = run.request, run.pinned or sql.PinnedTables({}, {})
    is_server = settings.mlflow_uri.startswith("http")
    return RunSpec(
        loop=run.loop,
        loop_folder=str(loop.folder.resolve()),
        run_id=run.run_id,
        request_id=request.request_id,
        reasons=tuple(reason.kind for reason in request.reasons),
        window_start_ms=request.window_start_ms,
        window_end_ms=request.window_end_ms,
        seed=request.seed,
        events=_tables(settings.home, pinned.events),
        views=_tables(settings.home, pinned.views),
        home=str(home),
        feature_repo=str(settings.feature_repo.resolve()),
        state_url=settings.state_url,
        mlflow_uri=settings.mlflow_uri,
        mlflow_artifacts="" if is_server else str(home / "mlflow" / "artifacts" / run.loop),
        folder=str(home / RUNS / run.loop / run.run_id),
        bundle_folder=str(settings.bundles.resolve() / run.loop / run.run_id),
        environment_lock=str(ROOT / "requirements.lock"),
        imported=_import_spec(settings, request.model) if request.HasField("model") else None,
        store_url=settings.store_url,
        threads=settings.run_threads,
        time_limit_s=loop.definition.training.time_limit.total_seconds(),
        memory_limit_mib=loop.definition.training.memory_limit_mib,
    )


def _import_spec(settings: Settings, model: control.ImportedModel) -> ImportSpec:
    """Return the part of a run's manifest that describes an imported model."""
    inputs = tuple((tensor.name, tuple(tensor.columns)) for tensor in model.inputs)
    plan = ImportPlan(inputs, model.output, tuple(model.score_columns), cast("Link", model.link))
    path = locate_shared(settings.shared, model.uri, settings.object_cache)
    return ImportSpec(str(path.resolve()), model.sha256, model.source, plan)


def _tables(home: Path, tables: Mapping[str, TableVersion]) -> dict[str, TableVersion]:
    """Make table paths absolute. A stored path may be relative to the home, or absolute below a former home."""
    resolve_path = path_resolver(home)

    def absolute(path: str) -> str:
        return path if "://" in path else str(home.resolve() / resolve_path(path))

    return {name: TableVersion(absolute(table.path), table.version) for name, table in tables.items()}
