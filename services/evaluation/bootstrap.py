"""Wires the evaluation service."""

from __future__ import annotations

import threading

from driftloop.loop import load_loops
from driftloop.model.path_relocation import path_resolver
from driftloop.process.clock import SystemClock
from driftloop.process.settings import Settings
from driftloop.runner.kafka import kafka_service
from driftloop.runner.lease import Lease
from driftloop.runner.service import LifecycleService
from driftloop.runner.tables import open_database
from services.evaluation.adapters.bundles import LocalBundles
from services.evaluation.adapters.holdouts import ParquetHoldouts
from services.evaluation.adapters.sql import SqlState, metadata
from services.evaluation.handlers import Evaluation, table
from services.evaluation.offline_evaluation import Judge

NAME = "evaluation"


def build(settings: Settings, stop: threading.Event, lease: Lease) -> LifecycleService:
    """Build the service on Kafka, its own database and bundles on local disk.

    Raises:
        LoopDefinitionError: a loop's files are wrong.
    """
    clock = SystemClock()
    loops = {loop.name: loop.definition for loop in load_loops(settings.loops_dir, settings.loops)}
    resolve_path = path_resolver(settings.home, settings.store_url)
    judge = Judge(LocalBundles(resolve_path), ParquetHoldouts(resolve_path), clock)
    handlers = table(Evaluation(loops, judge, clock, SqlState))
    engine = open_database(settings.database_url(NAME), metadata, fence=lease.check)
    return kafka_service(NAME, settings, handlers, engine, stop, clock)
