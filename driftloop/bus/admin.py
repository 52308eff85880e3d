"""Creates, compares and awaits topics. Nothing else creates topics: the broker's auto-creation is off."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ClusterMetadata,
    ConfigEntry,
    ConfigResource,
    TopicMetadata,
)
from confluent_kafka.cimpl import NewTopic

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.topic_plan import ExistingTopic, TopicChanges, TopicPlan, compare_topics
from driftloop.bus.transient import call_with_retry
from driftloop.process.errors import ConfigError, DriftloopError, Retriable, UndeclaredTopic


class _Admin:
    """An admin client that remembers why the brokers refuse it."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self.kafka = kafka
        self._refusals: list[str] = []
        options: dict[str, Any] = {**kafka.admin(), "error_cb": partial(_note_refusal, self._refusals)}
        self.client = AdminClient(options)

    @property
    def refusal(self) -> str:
        """Why the brokers refuse the client, in a clause; empty if they do not."""
        return f"they refuse it: {self._refusals[-1]}; check DRIFTLOOP_KAFKA_..." if self._refusals else ""

    def cluster(self, timeout_s: float) -> ClusterMetadata:
        """Return the brokers and all topics. Waits for a broker that is still starting.

        Raises:
            Retriable: no broker answered within ``timeout_s``; has the reason if they refused the client.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self.client.list_topics(timeout=2.0)
            except KafkaException as error:
                self.client.poll(0)  # calls the error callback
                if time.monotonic() > deadline:
                    problem = f"no Kafka broker at {self.kafka.bootstrap} within {timeout_s:.0f} s: {error}"
                    raise Retriable(f"{problem}; {self.refusal}" if self.refusal else problem) from error

    def wait_for_brokers(self, count: int, timeout_s: float) -> None:
        """Return once there are so many brokers: a topic cannot be created with more copies than brokers.

        Raises:
            ConfigError: there were fewer after ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while (present := len(self.cluster(timeout_s).brokers)) < count:
            if time.monotonic() > deadline:
                problem = f"DRIFTLOOP_KAFKA_REPLICATION is {count}, and {self.kafka.bootstrap} has {present} brokers"
                raise ConfigError(f"{problem}; start the others, or lower it")
            time.sleep(0.1)


def _note_refusal(refusals: list[str], error: KafkaError) -> None:
    if error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL):
        refusals.append(error.str())


def compare_with_brokers(kafka: KafkaSettings, plans: Iterable[TopicPlan], timeout_s: float = 60.0) -> TopicChanges:
    """Return what `apply_topics` would do, with the topics' names at the brokers.

    Waits for a broker that is still starting.

    Raises:
        Retriable: no broker answered within ``timeout_s``.
    """
    return _compare(_Admin(kafka), plans, timeout_s)


def apply_topics(kafka: KafkaSettings, plans: Iterable[TopicPlan], *, timeout_s: float = 60.0) -> TopicChanges:
    """Create the missing topics, alter what is safe to alter, and return these changes with the conflicts.

    Waits for a broker that is still starting. Changes nothing where a topic conflicts with its plan.

    Raises:
        Retriable: no broker answered within ``timeout_s``.
        ConfigError: there are fewer brokers than a topic has copies.
        UndeclaredTopic: the broker does not report a topic that it created.
        KafkaException: the broker refused a topic or a setting.
    """
    admin = _Admin(kafka)
    changes = _compare(admin, plans, timeout_s)
    _wait_for_coordinator(kafka, timeout_s)
    _alter(admin.client, changes.altered, timeout_s)
    if changes.missing:
        admin.wait_for_brokers(kafka.replication, timeout_s)
        new = [
            NewTopic(plan.name, plan.partitions, kafka.replication, config=plan.config(kafka.min_in_sync))
            for plan in changes.missing
        ]
        for future in admin.client.create_topics(new, operation_timeout=timeout_s).values():
            _unless_exists(future.exception())
        created = [kafka.declared_name(plan.name) for plan in changes.missing]
        wait_for_topics(kafka, created, timeout_s)  # the controller knows them; a broker reports them a moment later
    return changes


def create_topics(kafka: KafkaSettings, topics: Iterable[TopicPlan], *, timeout_s: float = 60.0) -> list[str]:
    """Apply a plan as `apply_topics` does, and return the names of the topics that were missing."""
    return sorted(kafka.declared_name(plan.name) for plan in apply_topics(kafka, topics, timeout_s=timeout_s).missing)


def _compare(admin: _Admin, plans: Iterable[TopicPlan], timeout_s: float) -> TopicChanges:
    kafka = admin.kafka
    plans = [replace(plan, name=kafka.full_name(plan.name)) for plan in plans]
    present = admin.cluster(timeout_s).topics
    topics = {
        name: ExistingTopic(len(topic.partitions), _replicas(topic), {})
        for name, topic in present.items()
        if name in {plan.name for plan in plans}
    }
    configs = call_with_retry("settings of topics", partial(_configs, admin.client, [*topics], timeout_s), timeout_s)
    topics = {name: replace(topic, config=configs[name]) for name, topic in topics.items()}
    return compare_topics(plans, topics, replication=kafka.replication, min_in_sync=kafka.min_in_sync)


def _configs(client: AdminClient, topics: Sequence[str], timeout_s: float) -> dict[str, dict[str, str]]:
    """Return all settings of topics."""
    if not topics:
        return {}
    resources = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics]
    answers = client.describe_configs(resources, request_timeout=timeout_s)
    return {
        resource.name: {name: entry.value for name, entry in future.result().items()}
        for resource, future in answers.items()
    }


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


def require_broker(kafka: KafkaSettings, timeout_s: float = 5.0) -> None:
    """Return if a broker answers.

    Raises:
        DriftloopError: no broker answered within ``timeout_s``.
    """
    admin = _Admin(kafka)
    try:
        admin.cluster(timeout_s)
    except Retriable as error:
        advice = admin.refusal or "`driftloop up` starts one"
        raise DriftloopError(f"no Kafka broker answers at {kafka.bootstrap}; {advice}") from error


def missing_topics(kafka: KafkaSettings, names: Iterable[str], timeout_s: float = 10.0) -> list[str]:
    """Return the topics among ``names`` that the broker does not have.

    Raises:
        Retriable: the broker did not answer.
    """
    present = _Admin(kafka).cluster(timeout_s).topics
    return sorted(name for name in set(names) if kafka.full_name(name) not in present)


def wait_for_topics(kafka: KafkaSettings, names: Iterable[str], timeout_s: float = 60.0) -> None:
    """Return once the broker has all these topics.

    Raises:
        UndeclaredTopic: the broker still lacked one of them after ``timeout_s``.
        Retriable: the broker did not answer.
    """
    admin = _Admin(kafka)
    deadline = time.monotonic() + timeout_s
    wanted = {kafka.full_name(name) for name in names}
    while missing := wanted - admin.cluster(timeout_s).topics.keys():
        if time.monotonic() > deadline:
            raise UndeclaredTopic(f"the broker has no topic {', '.join(sorted(missing))}; `driftloop up` creates them")
        time.sleep(0.1)
