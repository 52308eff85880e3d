"""Wires the registry."""

from __future__ import annotations

import threading

from driftloop.bus.kafka_lifecycle import KafkaLifecycleConsumer, KafkaLifecycleProducer
from driftloop.loop import load_loops
from driftloop.process.clock import SystemClock
from driftloop.runner.service import LifecycleService, topics_of
from driftloop.runner.tables import open_database
from services.registry.adapters.mirror_queue import SqlMirrorQueue
from services.registry.adapters.mlflow_mirror import MlflowRegistry
from services.registry.adapters.sql import SqlLedger, metadata
from services.registry.config import RegistrySettings
from services.registry.handlers import Registry, rollout_policy, set_gauges, table
from services.registry.mirror import Mirror, MirrorDelays
from services.registry.service import RegistryService

NAME = "registry"


def build(settings: RegistrySettings, stop: threading.Event) -> RegistryService:
    """Build the service on Kafka and its own database, mirrored to MLflow.

    Raises:
        ConfigError: MLflow's address is not valid, or a loop's files are wrong.
    """
    clock = SystemClock()
    loops = load_loops(settings.loops_dir, settings.loops)
    handlers = table(Registry({loop.name: rollout_policy(loop.definition) for loop in loops}, SqlLedger))
    engine = open_database(settings.database_url(NAME), metadata)
    with engine.begin() as connection:
        set_gauges([SqlLedger(connection).load(loop.name) for loop in loops])
    lifecycle = LifecycleService(
        name=NAME,
        handlers=handlers,
        engine=engine,
        consumer=KafkaLifecycleConsumer(settings.kafka_bootstrap, topics_of(handlers), NAME),
        producer=KafkaLifecycleProducer(settings.kafka_bootstrap),
        stop=stop,
        clock=clock,
        seed=settings.seed,
    )
    delays = MirrorDelays(settings.mirror_poll_s, settings.mirror_retry_first_s, settings.mirror_retry_longest_s)
    target = MlflowRegistry(settings.mlflow_uri, settings.mirror_timeout_s)
    return RegistryService(lifecycle, Mirror(SqlMirrorQueue(engine), target, clock, stop, delays, settings.seed), stop)
