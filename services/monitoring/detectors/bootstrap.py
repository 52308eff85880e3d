"""Wires the detectors."""

from __future__ import annotations

import threading
from functools import partial

from driftloop.bus.kafka_lifecycle import KafkaLifecycleProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.offsets import Offsets
from driftloop.bus.ports import LifecycleProducer
from driftloop.drift.windows import detector_rules
from driftloop.loop import load_loops
from driftloop.process.clock import SystemClock
from driftloop.runner.lease import Lease
from driftloop.runner.relay import Relay
from driftloop.runner.tables import open_database
from services.monitoring.config import DetectorsSettings
from services.monitoring.detectors.app import DetectorService
from services.monitoring.detectors.decide import Detectors
from services.monitoring.detectors.state import metadata

NAME = "detectors"


def build(settings: DetectorsSettings, stop: threading.Event, lease: Lease) -> DetectorService:
    """Return the detectors on Kafka, with their own database for their state and outgoing events.

    Raises:
        LoopDefinitionError: a loop's files are wrong.
    """
    clock = SystemClock()
    engine = open_database(settings.database_url(NAME), metadata, fence=lease.check)
    loops = load_loops(settings.loops_dir, settings.loops)
    rules_of = {loop.name: detector_rules(loop.definition) for loop in loops}

    def relay(producer: LifecycleProducer) -> Relay:
        return Relay(NAME, engine, producer, clock)

    kafka = KafkaSettings.of(settings, NAME)
    return DetectorService(
        settings,
        kafka,
        Detectors(rules_of, engine, clock, NAME),
        partial(KafkaLifecycleProducer, kafka),
        relay,
        Offsets(kafka),
        clock,
        stop,
    )
