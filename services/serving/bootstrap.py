"""Wires the agent."""

from __future__ import annotations

import threading
from contextlib import closing
from functools import partial

from driftloop.bus.kafka_batch import KafkaBatchConsumer, KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts import features_pb2
from driftloop.contracts.topics import topic_of
from driftloop.loop import load_loops
from driftloop.model.path_relocation import path_resolver
from driftloop.process.clock import SystemClock
from driftloop.process.home_secrets import read_secret
from driftloop.runner.batch_loop import BatchLoop
from driftloop.runner.kafka import kafka_service
from driftloop.runner.lease import Lease
from driftloop.runner.service import LifecycleService
from driftloop.runner.tables import open_database
from driftloop.runner.threads import ServiceWithWorkers
from services.serving.adapters import sql
from services.serving.adapters.router_files import FolderRouterFiles
from services.serving.adapters.spool_reader import SpoolReader
from services.serving.adapters.staging import FolderReleases
from services.serving.adapters.triton_grpc import GrpcTriton
from services.serving.adapters.watermarks import newest_watermark_ms
from services.serving.config import ServingSettings
from services.serving.domain.model_config import RouterPaths
from services.serving.handlers import Handlers
from services.serving.log_writers import LogWriters
from services.serving.route_deployer import RouteDeployer
from services.serving.route_reconciler import RouteReconciler
from services.serving.shipper import shipper_loop

NAME = "serving"


def agent_name(settings: ServingSettings) -> str:
    """Return the name of the agent's process, database, lease and consumer group."""
    return settings.with_triton(NAME)


def router_paths(settings: ServingSettings) -> RouterPaths:
    """Return the paths that the router reads and writes."""
    return RouterPaths(
        online_db=settings.online_db,
        releases=settings.triton / "releases",
        routes=settings.triton / "routes",
        spool=settings.spool,
        probe_secret=settings.probe_secret,
        online_url=settings.online_url,
        online_password_file=settings.online_password_file,
        online_ca_file=settings.online_ca_file,
    )


def build(settings: ServingSettings, stop: threading.Event, lease: Lease) -> ServiceWithWorkers:
    """Build the agent on Kafka, Triton and local disk."""
    clock = SystemClock()
    definitions = {loop.name: loop.definition for loop in load_loops(settings.loops_dir, settings.loops)}
    name = agent_name(settings)
    engine = open_database(settings.database_url(name), sql.metadata, fence=lease.check)
    writers = LogWriters(settings.triton_name, definitions, sql.SqlWriterStarts(engine), clock)
    handlers = Handlers(clock, writers.give_up, settings.fleet).table()
    triton = GrpcTriton(
        settings.triton_grpc,
        settings.control_token(),
        settings.triton_call_timeout_s,
        settings.triton_load_timeout_s,
        read_secret(settings.probe_secret),
    )
    paths = router_paths(settings)
    deployer = RouteDeployer(
        definitions=definitions,
        triton=triton,
        releases=FolderReleases(paths.releases, path_resolver(settings.home, settings.store_url)),
        files=FolderRouterFiles(settings.triton / "models", paths, settings.queue_delay_us),
        newest_watermark_ms=partial(newest_watermark_ms, paths.online),
        clock=clock,
        stop=stop,
        status_timeout_s=settings.route_timeout_s,
    )
    reconciler = RouteReconciler(
        loops=sorted(definitions),
        engine=engine,
        deployer=deployer,
        triton=triton,
        clock=clock,
        stop=stop,
        triton_timeout_s=settings.triton_timeout_s,
        may_answer=writers.may_answer,
        fleet=settings.fleet,
    )
    kafka = KafkaSettings.of(settings, NAME)
    shipper = shipper_loop(
        {loop: SpoolReader(settings.spool / loop, loop) for loop in definitions},
        sql.SqlSpoolPositions(engine),
        writers,
        KafkaBatchConsumer(kafka, [topic_of(features_pb2.WatermarkAdvanced).name], f"{name}-shipper"),
        KafkaBatchProducer(kafka),
        clock,
        stop,
    )
    lifecycle = kafka_service(NAME, settings, handlers, engine, stop, clock, group=name)
    return agent(lifecycle, reconciler, shipper, triton, stop)


def agent(
    lifecycle: LifecycleService,
    reconciler: RouteReconciler,
    shipper: BatchLoop,
    triton: GrpcTriton,
    stop: threading.Event,
) -> ServiceWithWorkers:
    """Build the agent from its parts. The reconciler's thread closes the connection to Triton."""

    def reconcile() -> None:
        with closing(triton):
            reconciler.run()

    return ServiceWithWorkers(lifecycle, [reconcile, shipper.run], stop, reconciler.ready)
