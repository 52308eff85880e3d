"""Creates, compares and awaits topics. Nothing else creates topics: the broker's auto-creation is off."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    TopicMetadata,
)
from confluent_kafka.cimpl import NewTopic

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.topic_plan import ExistingTopic, TopicChanges, TopicPlan, compare_topics
from driftloop.process.errors import DriftloopError, Retriable, UndeclaredTopic


def compare_with_brokers(kafka: KafkaSettings, plans: Iterable[TopicPlan], timeout_s: float = 60.0) -> TopicChanges:
    """Return what `apply_topics` would do, with the topics' names at the brokers.

    Waits for a broker that is still starting.

    Raises:
        Retriable: no broker answered within ``timeout_s``.
    """
    return _compare(AdminClient(kafka.admin()), kafka, plans, timeout_s)


def apply_topics(kafka: KafkaSettings, plans: Iterable[TopicPlan], *, timeout_s: float = 60.0) -> TopicChanges:
    """Create the missing topics, alter what is safe to alter, and return these changes with the conflicts.

    Waits for a broker that is still starting. Changes nothing where a topic conflicts with its plan.

    Raises:
        Retriable: no broker answered within ``timeout_s``.
        UndeclaredTopic: the broker does not report a topic that it created.
        KafkaException: the broker refused a topic or a setting.
    """
    client = AdminClient(kafka.admin())
    changes = _compare(client, kafka, plans, timeout_s)
    _wait_for_coordinator(kafka, timeout_s)
    _alter(client, changes.altered, timeout_s)
    if changes.missing:
        new = [
            NewTopic(plan.name, plan.partitions, kafka.replication, config=plan.config(kafka.min_in_sync))
            for plan in changes.missing
        ]
        for future in client.create_topics(new, operation_timeout=timeout_s).values():
            _unless_exists(future.exception())
        created = [kafka.declared_name(plan.name) for plan in changes.missing]
        wait_for_topics(kafka, created, timeout_s)  # the controller knows them; a broker reports them a moment later
    return changes


def create_topics(kafka: KafkaSettings, topics: Iterable[TopicPlan], *, timeout_s: float = 60.0) -> list[str]:
    """Apply a plan as `apply_topics` does, and return the names of the topics that were missing."""
    return sorted(kafka.declared_name(plan.name) for plan in apply_topics(kafka, topics, timeout_s=timeout_s).missing)


def _compare(client: AdminClient, kafka: KafkaSettings, plans: Iterable[TopicPlan], timeout_s: float) -> TopicChanges:
    plans = [replace(plan, name=kafka.full_name(plan.name)) for plan in plans]
    present = _wait_for_broker(client, kafka, timeout_s)
    topics = {
        name: ExistingTopic(len(topic.partitions), _replicas(topic), {})
        for name, topic in present.items()
        if name in {plan.name for plan in plans}
    }
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics]
    answers = client.describe_configs(resources, request_timeout=timeout_s) if resources else {}
    for resource, future in answers.items():
        config = {name: entry.value for name, entry in future.result().items()}
        topics[resource.name] = replace(topics[resource.name], config=config)
    return compare_topics(plans, topics, replication=kafka.replication, min_in_sync=kafka.min_in_sync)


def _replicas(topic: TopicMetadata) -> int:
    """Return the number of copies of the partition that has the fewest."""
    return min((len(partition.replicas) for partition in topic.partitions.values()), default=0)


def _wait_for_coordinator(kafka: KafkaSettings, timeout_s: float) -> None:
    """Return once the broker can serve consumer groups.

    On a new broker the first such request creates the offsets topic, which takes seconds. This waits for it before
    other topics are created, so a consumer's first join does not fall into those seconds.
    """
    consumer = Consumer({**kafka.admin(), "group.id": kafka.full_name("driftloop-up")})
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


def _alter(client: AdminClient, altered: Mapping[str, Mapping[str, str]], timeout_s: float) -> None:
    if not altered:
        return
    resources = [
        ConfigResource(
            ConfigResource.Type.TOPIC,
            topic,
            incremental_configs=[
                ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET) for name, value in config.items()
            ],
        )
        for topic, config in altered.items()
    ]
    for future in client.incremental_alter_configs(resources, request_timeout=timeout_s).values():
        future.result()


def _unless_exists(error: BaseException | None) -> None:
    if error is None:
        return
    if isinstance(error, KafkaException) and error.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS:
        return
    raise error


def _wait_for_broker(client: AdminClient, kafka: KafkaSettings, timeout_s: float) -> dict[str, TopicMetadata]:
    """Return all topics of the brokers."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return dict(client.list_topics(timeout=2.0).topics)
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
    present = _wait_for_broker(AdminClient(kafka.admin()), kafka, timeout_s)
    return sorted(name for name in set(names) if kafka.full_name(name) not in present)


def wait_for_topics(kafka: KafkaSettings, names: Iterable[str], timeout_s: float = 60.0) -> None:
    """Return once the broker has all these topics.

    Raises:
        UndeclaredTopic: the broker still lacked one of them after ``timeout_s``.
        Retriable: the broker did not answer.
    """
    client = AdminClient(kafka.admin())
    deadline = time.monotonic() + timeout_s
    wanted = {kafka.full_name(name) for name in names}
    while missing := wanted - _wait_for_broker(client, kafka, timeout_s).keys():
        if time.monotonic() > deadline:
            raise UndeclaredTopic(f"the broker has no topic {', '.join(sorted(missing))}; `driftloop up` creates them")
        time.sleep(0.1)
