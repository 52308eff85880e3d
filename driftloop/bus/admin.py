"""Creates topics and waits for them. Nothing else creates topics: the broker's auto-creation is off."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)
from confluent_kafka.cimpl import NewTopic

from driftloop.bus.kafka_settings import MAX_MESSAGE_BYTES, KafkaSettings
from driftloop.process.errors import DriftloopError, Retriable, UndeclaredTopic


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic that must exist."""

    name: str
    partitions: int
    retention_ms: int
    max_bytes: int = MAX_MESSAGE_BYTES
    retention_bytes: int = -1
    update: bool = False
    """Whether an existing topic gets this retention too."""


def create_topics(
    kafka: KafkaSettings, topics: Iterable[TopicPlan], *, replication: int = 1, timeout_s: float = 60.0
) -> list[str]:
    """Create the missing topics and return their names. Waits for a broker that is still starting.

    Sets the retention of existing topics whose plan says so.

    Raises:
        Retriable: no broker answered within ``timeout_s``.
        UndeclaredTopic: the broker does not report a topic that it created.
        KafkaException: the broker refused a topic.
    """
    client = AdminClient(kafka.admin())
    existing = _wait_for_broker(client, kafka, timeout_s)
    _wait_for_coordinator(kafka, timeout_s)
    topics = list(topics)
    missing = [topic for topic in topics if topic.name not in existing]
    _set_retention(client, [topic for topic in topics if topic.update and topic.name in existing], timeout_s)
    if not missing:
        return []
    created = client.create_topics([_new_topic(topic, replication) for topic in missing], operation_timeout=timeout_s)
    for future in created.values():
        _unless_exists(future.exception())
    wait_for_topics(kafka, created, timeout_s)  # the controller knows them; a broker reports them a moment later
    return sorted(created)


def _wait_for_coordinator(kafka: KafkaSettings, timeout_s: float) -> None:
    """Return once the broker can serve consumer groups.

    On a new broker the first such request creates the offsets topic, which takes seconds. This waits for it before
    other topics are created, so a consumer's first join does not fall into those seconds.
    """
    consumer = Consumer({**kafka.admin(), "group.id": "driftloop-up"})
    deadline = time.monotonic() + timeout_s
    try:
        while True:
            try:
                consumer.committed([TopicPartition("__consumer_offsets", 0)], timeout=2.0)
                return
            except KafkaException as error:
                if time.monotonic() > deadline:
                    raise Retriable(
                        f"no group coordinator at {kafka.bootstrap} within {timeout_s:.0f} s: {error}"
                    ) from error
    finally:
        consumer.close()


def _new_topic(topic: TopicPlan, replication: int) -> NewTopic:
    config = {**_retention(topic), "max.message.bytes": str(topic.max_bytes)}
    return NewTopic(topic.name, topic.partitions, replication, config=config)


def _retention(topic: TopicPlan) -> dict[str, str]:
    return {"retention.ms": str(topic.retention_ms), "retention.bytes": str(topic.retention_bytes)}


def _set_retention(client: AdminClient, topics: Sequence[TopicPlan], timeout_s: float) -> None:
    if not topics:
        return
    resources = [
        ConfigResource(
            ConfigResource.Type.TOPIC,
            topic.name,
            incremental_configs=[
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
                for name, value in _retention(topic).items()
            ],
        )
        for topic in topics
    ]
    for future in client.incremental_alter_configs(resources, request_timeout=timeout_s).values():
        future.result()


def _unless_exists(error: BaseException | None) -> None:
    if error is None:
        return
    if isinstance(error, KafkaException) and error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
        return
    raise error


def _wait_for_broker(client: AdminClient, kafka: KafkaSettings, timeout_s: float) -> set[str]:
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return set(client.list_topics(timeout=2.0).topics)
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise Retriable(f"no Kafka broker at {kafka.bootstrap} within {timeout_s:.0f} s: {error}") from error


def require_broker(kafka: KafkaSettings, timeout_s: float = 5.0) -> None:
    """Return if a broker answers.

    Raises:
        DriftloopError: no broker answered within ``timeout_s``.
    """
    try:
        _wait_for_broker(AdminClient(kafka.admin()), kafka, timeout_s)
    except Retriable as error:
        raise DriftloopError(f"no Kafka broker answers at {kafka.bootstrap}; `driftloop up` starts one") from error


def missing_topics(kafka: KafkaSettings, names: Iterable[str], timeout_s: float = 10.0) -> list[str]:
    """Return the topics among ``names`` that the broker does not have.

    Raises:
        Retriable: the broker did not answer.
    """
    return sorted(set(names) - _wait_for_broker(AdminClient(kafka.admin()), kafka, timeout_s))


def wait_for_topics(kafka: KafkaSettings, names: Iterable[str], timeout_s: float = 60.0) -> None:
    """Return once the broker has all these topics.

    Raises:
        UndeclaredTopic: the broker still lacked one of them after ``timeout_s``.
        Retriable: the broker did not answer.
    """
    client = AdminClient(kafka.admin())
    deadline = time.monotonic() + timeout_s
    wanted = set(names)
    while missing := wanted - _wait_for_broker(client, kafka, timeout_s):
        if time.monotonic() > deadline:
            raise UndeclaredTopic(f"the broker has no topic {', '.join(sorted(missing))}; `driftloop up` creates them")
        time.sleep(0.1)
