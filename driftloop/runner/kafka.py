"""Builds lifecycle services on Kafka."""

from __future__ import annotations

import threading

from sqlalchemy import Engine

from driftloop.bus.kafka_lifecycle import KafkaLifecycleConsumer, KafkaLifecycleProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.process.clock import Clock
from driftloop.process.settings import Settings
from driftloop.runner.handler import HandlerTable
from driftloop.runner.service import LifecycleService, topics_of


def kafka_service(
    name: str, settings: Settings, handlers: HandlerTable, engine: Engine, stop: threading.Event, clock: Clock
) -> LifecycleService:
    """Return a service that consumes the topics of its handlers as the consumer group ``name``."""
    kafka = KafkaSettings.of(settings, name)
    return LifecycleService(
        name=name,
        handlers=handlers,
        engine=engine,
        consumer=KafkaLifecycleConsumer(kafka, topics_of(handlers), name),
        producer=KafkaLifecycleProducer(kafka),
        stop=stop,
        clock=clock,
        seed=settings.seed,
    )
