"""The rights that `driftloop topics acls` lists are enough for every service, and no more than its declarations."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from driftloop.bus.admin import apply_topics, compare_with_brokers
from driftloop.bus.kafka_batch import KafkaBatchConsumer, KafkaBatchProducer
from driftloop.bus.kafka_lifecycle import KafkaLifecycleConsumer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.offsets import Offsets
from driftloop.bus.ports import Outgoing, TopicPartition
from driftloop.contracts.monitoring_pb2 import WindowDecided
from driftloop.loop.load import load_loop
from driftloop.loop.topics import DETECTOR_STATES, plan_topics
from driftloop.ops.topics.acls import COMMANDS, Acl, list_acls
from driftloop.process.errors import UndeclaredTopic
from driftloop.process.settings import ROOT
from tests.helpers.bus import running, take_events
from tests.helpers.eventually import assert_eventually
from tests.helpers.kafka_cluster import KafkaCluster
from tests.integration.monitoring.process import Process
from tests.integration.monitoring.records import Events
from tests.integration.monitoring.test_detectors_on_faust import window

pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.proof]

PREFIX = "rights."
ORDERS = load_loop(ROOT / "tests" / "loops" / "orders").definition
PLANS = plan_topics([ORDERS])
ACLS = list_acls([ORDERS])
SERVICES = sorted({acl.service for acl in ACLS})
LIFECYCLE_SERVICES = ["evaluation", "registry", "serving", "training"]


def topics_of(service: str, operation: str) -> list[str]:
    """Return the topics with which a service may do this, except the detectors' table, whose records Faust reads."""
    topics = [acl for acl in ACLS if acl.service == service and acl.resource == "topic" and acl.name != DETECTOR_STATES]
    return [acl.name for acl in topics if operation in acl.operations]


def binding(acl: Acl) -> Iterator[AclBinding]:
    kind = ResourceType.TOPIC if acl.resource == "topic" else ResourceType.GROUP
    pattern = ResourcePatternType.LITERAL if acl.pattern == "literal" else ResourcePatternType.PREFIXED
    names = {"AlterConfigs": "ALTER_CONFIGS"}
    for operation in acl.operations:
        allowed = AclOperation[names.get(operation, operation.upper())]
        yield AclBinding(kind, acl.name, pattern, f"User:{acl.service}", "*", allowed, AclPermissionType.ALLOW)


@pytest.fixture(scope="module")
def cluster(kafka_cluster: KafkaCluster) -> KafkaCluster:
    """Three nodes with a user for each service, who has the listed rights. The commands have created the topics."""
    admin = AdminClient(kafka_cluster.settings().admin())
    bindings = [each for acl in list_acls([ORDERS], PREFIX) for each in binding(acl)]
    for future in admin.create_acls(bindings).values():
        future.result()
    apply_topics(settings_of(kafka_cluster, COMMANDS), PLANS)
    return kafka_cluster


def settings_of(cluster: KafkaCluster, service: str) -> KafkaSettings:
    return replace(cluster.settings(service), prefix=PREFIX)


def test_commands_see_all_topics_as_planned(cluster: KafkaCluster) -> None:
    assert compare_with_brokers(settings_of(cluster, COMMANDS), PLANS).is_empty


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_writes_and_reads_its_topics(cluster: KafkaCluster, service: str) -> None:
    kafka = settings_of(cluster, service)
    with closing(KafkaBatchProducer(kafka)) as producer:
        producer.send([Outgoing(topic, b"x", b"k", partition=0) for topic in topics_of(service, "Write")])
        producer.flush()
    group = "history" if service == COMMANDS else f"{service}-more"
    topics = topics_of(service, "Read")
    with closing(KafkaBatchProducer(replace(cluster.settings(), prefix=PREFIX))) as producer:
        producer.send([Outgoing(topic, b"x", b"k", partition=0) for topic in topics])
        producer.flush()
    with closing(KafkaBatchConsumer(kafka, topics, group)) as consumer:
        unread = set(topics)

        def read_all() -> bool:
            unread.difference_update(record.topic for record in consumer.poll(100, 0.1))
            return not unread

        assert_eventually(read_all, 60.0, "a record of each topic")
        consumer.commit({TopicPartition(topics[0], 0): 1})
    assert Offsets(settings_of(cluster, COMMANDS)).committed(group)


@pytest.mark.parametrize("service", LIFECYCLE_SERVICES)
async def test_a_service_joins_its_group(cluster: KafkaCluster, service: str) -> None:
    topic = topics_of(service, "Read")[0]
    with closing(KafkaBatchProducer(replace(cluster.settings(), prefix=PREFIX))) as producer:
        producer.send([Outgoing(topic, b"x", b"k", partition=0)])
        producer.flush()
    async with running(KafkaLifecycleConsumer(settings_of(cluster, service), [topic], service)) as consumer:
        [record, *_] = await take_events(consumer, 1)
        await consumer.commit({TopicPartition(topic, 0): record.offset + 1})


@pytest.mark.timeout(280)
def test_the_detectors_decide_with_their_rights(cluster: KafkaCluster, tmp_path: Path) -> None:
    """Faust has the credentials, the prefix and a table with three copies."""
    shutil.copytree(ROOT / "tests" / "loops" / "orders", tmp_path / "loops" / "orders")
    process = Process("services.monitoring.detectors", tmp_path, tmp_path / "loops", cluster.settings("monitoring"))
    process.environment = cluster.environment("monitoring", PREFIX)
    kafka = replace(cluster.settings(), prefix=PREFIX)
    with closing(KafkaBatchProducer(kafka)) as producer, closing(Events(kafka, WindowDecided)) as decided:
        producer.send([window(1, 0.0)])
        producer.flush()
        process.start()
        try:
            assert_eventually(lambda: process.supervised() and decided.read(), 120.0, process.log.read_text()[-2000:])
            assert {event.data.window_id for event in decided.read()} == {"w-1"}
            assert process.end(signal.SIGTERM) == 0
        finally:
            process.end(signal.SIGKILL)


def test_a_service_does_not_see_topics_of_others(cluster: KafkaCluster) -> None:
    forged = Outgoing("registry.champion-promoted.v1", b"x", b"k")
    with (
        closing(KafkaBatchProducer(settings_of(cluster, "ingestion"))) as producer,
        pytest.raises(UndeclaredTopic, match=r"registry\.champion-promoted"),
    ):
        producer.send([forged])
