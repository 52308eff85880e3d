"""Wires the outcome join."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from sqlalchemy import Engine

from driftloop.bus.kafka_batch import KafkaBatchConsumer
from driftloop.bus.kafka_lifecycle import KafkaLifecycleProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import BatchConsumer, LifecycleProducer, TopicPartition
from driftloop.loop import LoopDefinition, load_loops, to_ms
from driftloop.model.path_relocation import path_resolver
from driftloop.process.clock import Clock, SystemClock
from driftloop.runner.lease import Lease
from driftloop.runner.tables import open_database
from services.monitoring.adapters.bundles import LocalReferences
from services.monitoring.adapters.sql import restore
from services.monitoring.adapters.tables import metadata
from services.monitoring.config import MonitoringSettings
from services.monitoring.domain.monitor import LoopMonitor, WindowRules
from services.monitoring.domain.window import SliceRule
from services.monitoring.handlers import Intake
from services.monitoring.joiner import Joiner
from services.monitoring.ports import References

NAME = "monitoring"
PREDICTIONS = "predictions.served.v1"
OUTCOMES = "ingestion.outcomes-accepted.v1"
TOPICS = (PREDICTIONS, OUTCOMES, "registry.route-changed.v1", "registry.stage-entered.v1")


def build(settings: MonitoringSettings, stop: threading.Event, lease: Lease) -> Joiner:
    """Return the join on Kafka, with its own database and bundles on local disk.

    Raises:
        LoopDefinitionError: a loop's files are wrong.
        UndeclaredTopic: the broker still lacks a topic after the timeout.
    """
    kafka = KafkaSettings.of(settings, NAME)
    return assemble(
        [loop.definition for loop in load_loops(settings.loops_dir, settings.loops)],
        engine=open_database(settings.database_url(NAME), metadata, fence=lease.check),
        consumer=KafkaBatchConsumer(kafka, TOPICS, NAME, linger_s=settings.linger_s),
        producer=KafkaLifecycleProducer(kafka),
        references=LocalReferences(path_resolver(settings.home, settings.store_url)),
        settings=settings,
        stop=stop,
        clock=SystemClock(),
    )


def assemble(
    loops: Iterable[LoopDefinition],
    *,
    engine: Engine,
    consumer: BatchConsumer,
    producer: LifecycleProducer,
    references: References,
    settings: MonitoringSettings,
    stop: threading.Event,
    clock: Clock,
) -> Joiner:
    """Return the join over these parts, with the state that the database holds."""
    monitors = {loop.loop: make_monitor(loop, consumer.assignment()) for loop in loops}
    checkpoint, releases = restore(engine, monitors, consumer)
    return Joiner(
        name=NAME,
        intake=Intake(
            monitors,
            checkpoint.seen,
            {(release.loop, release.release_id): release for release in releases},
            loops=checkpoint.loops,
            known=checkpoint.known,
        ),
        checkpoint=checkpoint,
        engine=engine,
        consumer=consumer,
        producer=producer,
        references=references,
        settings=settings,
        stop=stop,
        clock=clock,
    )


def make_monitor(loop: LoopDefinition, assignment: Iterable[TopicPartition]) -> LoopMonitor:
    """Return the monitor of a loop, which knows how many partitions its topics have."""
    topics = [partition.topic for partition in assignment]
    return LoopMonitor(
        window_rules(loop), outcome_partitions=topics.count(OUTCOMES), prediction_partitions=topics.count(PREDICTIONS)
    )


def window_rules(loop: LoopDefinition) -> WindowRules:
    """Return the window rules of a loop definition."""
    slices = [SliceRule(name, rule.input, rule.max_values) for name, rule in sorted(loop.monitoring.slices.items())]
    block_ms, horizon_ms = to_ms(loop.monitoring.block), to_ms(loop.label.horizon)
    corrections_ms = to_ms(loop.label.correction_span)
    return WindowRules(
        loop.loop, loop.label.kind, block_ms, horizon_ms, tuple(slices), len(loop.label.classes), corrections_ms
    )
