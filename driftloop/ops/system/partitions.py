"""Compares the raw topics with `partitions` in the loops' definitions, which applies only when a topic is created."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from confluent_kafka.admin import AdminClient

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.topic_watch import TopicState, describe_topics
from driftloop.loop import Loop


def partition_differences(kafka: KafkaSettings, loops: Iterable[Loop]) -> tuple[str, ...]:
    """Return a sentence for each topic whose number of partitions is not that of its loop."""
    loops = list(loops)
    names = {name for loop in loops for name in loop.definition.events}
    return differences(loops, describe_topics(AdminClient(kafka.admin()), names))


def differences(loops: Iterable[Loop], topics: Mapping[str, TopicState]) -> tuple[str, ...]:
    """Return the sentences for topics in this state."""
    return tuple(
        f"{loop.folder / 'loop.yaml'}: events.{name}.partitions is {event.partitions}, and the topic has "
        f"{topics[name].partitions}; a topic keeps its partitions: write {topics[name].partitions}"
        for loop in loops
        for name, event in loop.definition.events.items()
        if name in topics and topics[name].partitions != event.partitions
    )
