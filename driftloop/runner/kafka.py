"""Builds lifecycle services on Kafka."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from confluent_kafka.admin import AdminClient
from sqlalchemy import Engine

from driftloop.bus.kafka_lifecycle import KafkaLifecycleConsumer, KafkaLifecycleProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.topic_watch import describe_topics
from driftloop.process.clock import Clock
from driftloop.process.settings import Settings
from driftloop.runner.handler import HandlerTable
from driftloop.runner.service import LifecycleService, topics_of


def kafka_service(
    name: str,
    settings: Settings,
    handlers: HandlerTable,
    engine: Engine,
    stop: threading.Event,
    clock: Clock,
    *,
    group: str = "",
) -> LifecycleService:
    """Return a service that consumes the topics of its handlers as a consumer group, by default ``name``."""
    kafka = KafkaSettings.of(settings, name)
    return LifecycleService(
        name=name,
        handlers=handlers,
        engine=engine,
        consumer=KafkaLifecycleConsumer(kafka, topics_of(handlers), group or name),
        producer=KafkaLifecycleProducer(kafka),
        stop=stop,
        clock=clock,
        seed=settings.seed,
        topic_ids=topic_ids_of(kafka, handlers),
    )


def topic_ids_of(kafka: KafkaSettings, handlers: HandlerTable) -> Callable[[], Mapping[str, str]]:
    """Return a function that asks the broker for the ids of the topics of handlers."""

    def topic_ids() -> Mapping[str, str]:
        client = AdminClient(kafka.admin())
        return {name: state.id for name, state in describe_topics(kafka, client, topics_of(handlers)).items()}

    return topic_ids
