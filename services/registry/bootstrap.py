"""Wires the registry."""

from __future__ import annotations

import threading

from driftloop.loop import load_loops
from driftloop.process.clock import SystemClock
from driftloop.runner.kafka import kafka_service
from driftloop.runner.lease import Lease
from driftloop.runner.tables import open_database, reading
from driftloop.runner.threads import ServiceWithWorkers
from services.registry.adapters.gone_inputs import GoneInputs
from services.registry.adapters.mirror_queue import SqlMirrorQueue
from services.registry.adapters.mlflow_mirror import MlflowRegistry
from services.registry.adapters.sql import SqlLedger, metadata
from services.registry.config import RegistrySettings
from services.registry.handlers import Registry, rollout_policy, set_gauges, table
from services.registry.mirror import Mirror, MirrorDelays

NAME = "registry"
_CALLS = 30
"""More calls to MLflow than one copy makes."""


def build(settings: RegistrySettings, stop: threading.Event, lease: Lease) -> ServiceWithWorkers:
    """Build the service on Kafka and its own database, mirrored to MLflow.

    Raises:
        ConfigError: MLflow's address is not valid, or a loop's files are wrong.
    """
    clock = SystemClock()
    loops = load_loops(settings.loops_dir, settings.loops)
    policies = {loop.name: rollout_policy(loop.definition) for loop in loops}
    handlers = table(Registry(policies, SqlLedger, GoneInputs(settings, loops)))
    engine = open_database(settings.database_url(NAME), metadata, fence=lease.check)
    with reading(engine) as connection:
        for loop in loops:
            set_gauges(SqlLedger(connection).load(loop.name))
    lifecycle = kafka_service(NAME, settings, handlers, engine, stop, clock)
    delays = MirrorDelays(
        settings.mirror_poll_s, settings.mirror_retry_first_s, settings.mirror_retry_longest_s,
        claim_s=_CALLS * settings.mirror_timeout_s,
    )  # fmt: skip
    target = MlflowRegistry(settings.mlflow_uri, settings.mirror_timeout_s)
    mirror = Mirror(SqlMirrorQueue(engine, lease.owner), target, clock, stop, delays, settings.seed)
    return ServiceWithWorkers(lifecycle, [mirror.run], stop)
