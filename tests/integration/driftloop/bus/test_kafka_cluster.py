"""The bus over three brokers, with TLS, passwords, a prefix and compression; and what happens when a broker dies."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from confluent_kafka.admin import AdminClient

from driftloop.bus.admin import apply_topics, compare_with_brokers
from driftloop.bus.dedup import SourceOffsets
from driftloop.bus.kafka_batch import KafkaBatchConsumer, KafkaBatchProducer
from driftloop.bus.kafka_lifecycle import KafkaLifecycleConsumer, KafkaLifecycleProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.offsets import Offsets
from driftloop.bus.ports import Outgoing, Record, TopicPartition
from driftloop.bus.topic_plan import TopicPlan
from driftloop.loop.topics import plan_topics
from driftloop.process.errors import ConfigError, Retriable
from tests.helpers.bus import (
    BatchBusSuite,
    Bus,
    LifecycleBusSuite,
    new_group,
    numbered,
    numbers,
    running,
    take,
    take_events,
)
from tests.helpers.eventually import assert_eventually
from tests.helpers.kafka_bus import KafkaBus
from tests.helpers.kafka_cluster import KafkaCluster

pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.proof]

PREFIX = "staging."


def secured(cluster: KafkaCluster) -> KafkaSettings:
    return replace(cluster.settings(), prefix=PREFIX, compression="zstd")


def bus_over(cluster: KafkaCluster) -> Bus:
    kafka = secured(cluster)
    return KafkaBus(kafka, partial(cluster.topic, kafka))


class TestBatches(BatchBusSuite):
    @pytest.fixture
    def bus(self, kafka_cluster: KafkaCluster) -> Bus:
        return bus_over(kafka_cluster)


class TestLifecycle(LifecycleBusSuite):
    @pytest.fixture
    def bus(self, kafka_cluster: KafkaCluster) -> Bus:
        return bus_over(kafka_cluster)


class TestAccess:
    def test_names_have_the_prefix_at_the_brokers_only(self, kafka_cluster: KafkaCluster) -> None:
        kafka, group = secured(kafka_cluster), new_group()
        topic = kafka_cluster.topic(kafka)
        with closing(KafkaBatchProducer(kafka)) as producer:
            producer.send(numbered(topic, 3))
            producer.flush()
        with closing(KafkaBatchConsumer(kafka, [topic], group)) as consumer:
            assert {record.topic for record in take(consumer, 3)} == {topic}
            consumer.commit({TopicPartition(topic, 0): 2})
            assert set(consumer.topic_ids()) == {topic}
        assert Offsets(kafka).committed(group) == {TopicPartition(topic, 0): 2}
        assert group in Offsets(kafka).groups()
        plain = kafka_cluster.settings()
        assert PREFIX + topic in AdminClient(plain.admin()).list_topics(timeout=30).topics
        assert Offsets(plain).committed(PREFIX + group) == {TopicPartition(PREFIX + topic, 0): 2}

    def test_a_certificate_is_enough_on_the_listener_for_certificates(self, kafka_cluster: KafkaCluster) -> None:
        kafka = kafka_cluster.certified()
        topic = kafka_cluster.topic(kafka)
        with closing(KafkaBatchProducer(kafka)) as producer:
            producer.send(numbered(topic, 3))
            producer.flush()
        with closing(KafkaBatchConsumer(kafka, [topic], new_group())) as consumer:
            assert numbers(take(consumer, 3)) == [0, 1, 2]

    @pytest.mark.parametrize(
        ("change", "reason"),
        [({"password": "wrong"}, "Authentication failed"), ({"ca_file": ""}, "SSL handshake failed")],
    )
    def test_a_wrong_password_and_an_unknown_authority_do_not_connect(
        self, kafka_cluster: KafkaCluster, change: Mapping[str, Any], reason: str
    ) -> None:
        with pytest.raises(Retriable, match=f"no Kafka broker .* they refuse it: .*{reason}"):
            compare_with_brokers(replace(kafka_cluster.settings(), **change), [], timeout_s=4.0)

    def test_more_copies_than_brokers_are_refused(self, kafka_cluster: KafkaCluster) -> None:
        kafka = replace(kafka_cluster.settings(), replication=4)
        with pytest.raises(ConfigError, match=r"DRIFTLOOP_KAFKA_REPLICATION is 4, and .* has 3 brokers"):
            apply_topics(kafka, [TopicPlan("too-many-copies", 1, -1)], timeout_s=1.0)

    async def test_both_mechanisms_connect_both_clients(self, kafka_cluster: KafkaCluster) -> None:
        kafka = replace(kafka_cluster.settings(), mechanism="SCRAM-SHA-256")
        topic = kafka_cluster.topic(kafka)
        async with running(KafkaLifecycleProducer(kafka)) as producer:
            await producer.send(numbered(topic, 1))
        with closing(KafkaBatchConsumer(kafka, [topic], new_group())) as consumer:
            assert numbers(take(consumer, 1)) == [0]

    def test_a_user_without_rights_can_do_nothing(self, kafka_cluster: KafkaCluster) -> None:
        topic = kafka_cluster.topic(kafka_cluster.settings())
        assert topic not in AdminClient(kafka_cluster.settings("ingestion").admin()).list_topics(timeout=30).topics

    def test_declared_topics_have_three_copies_of_which_two_are_needed(self, kafka_cluster: KafkaCluster) -> None:
        kafka = replace(kafka_cluster.settings(), prefix="declared.")
        wanted = plan_topics([])
        assert len(apply_topics(kafka, wanted).missing) == len(wanted)
        assert compare_with_brokers(kafka, wanted).is_empty
        assert len(compare_with_brokers(replace(kafka, min_in_sync=1), wanted).conflicts) == len(wanted)


class TestStaticMembership:
    async def test_a_restart_of_one_member_delivers_nothing_twice_to_the_other(
        self, kafka_cluster: KafkaCluster
    ) -> None:
        kafka, group = replace(kafka_cluster.settings(), session_timeout_s=60.0), new_group()
        topic = kafka_cluster.topic(kafka, partitions=4)
        first = KafkaLifecycleConsumer(replace(kafka, instance="1"), [topic], group)
        second = KafkaLifecycleConsumer(replace(kafka, instance="2"), [topic], group)
        async with running(KafkaLifecycleProducer(kafka)) as producer, running(first), running(second):
            await asyncio.to_thread(assert_eventually, lambda: assigned(kafka, group) == {"1": 2, "2": 2}, 60.0)
            await send_to_all(producer, topic, b"before")
            mine = await take_events(first, 2)
            theirs = await take_events(second, 2)
            await second.commit({TopicPartition(topic, record.partition): 1 for record in theirs})
            await second.stop()
            restarted = KafkaLifecycleConsumer(replace(kafka, instance="2"), [topic], group)
            async with running(restarted):
                await send_to_all(producer, topic, b"after")
                again = await take_events(restarted, 2)
                more = await take_events(first, 2)
        assert {record.partition for record in more} == {record.partition for record in mine}
        assert {record.partition for record in again} == {record.partition for record in theirs}
        assert {record.value for record in (*again, *more)} == {b"after"}  # nothing was committed for the first


def assigned(kafka: KafkaSettings, group: str) -> dict[str, int]:
    """Return the number of partitions of each member, by its instance."""
    client = AdminClient(kafka.admin())  # without a name it would be closed before it answers
    [future] = client.describe_consumer_groups([group]).values()
    return {each.group_instance_id: len(each.assignment.topic_partitions) for each in future.result().members}


async def send_to_all(producer: KafkaLifecycleProducer, topic: str, value: bytes) -> None:
    await producer.send([Outgoing(topic, value, b"k", partition=partition) for partition in range(4)])


class Source:
    """Sends the numbers from 0 in order as a batch service does, until it is stopped.

    Each record has its number in the source as value. A batch that is not acknowledged is sent again by a new producer.
    """

    def __init__(self, kafka: KafkaSettings, topic: str) -> None:
        self._kafka, self._topic = kafka, topic
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.acknowledged = 0
        self.repeated = 0

    def __enter__(self) -> Source:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        producer = KafkaBatchProducer(self._kafka)
        while not self._stop.is_set():
            producer.send(numbered(self._topic, 100, start=self.acknowledged))
            try:
                producer.flush()
            except Retriable:
                self.repeated += 1
                producer = self._replace(producer)
                continue
            self.acknowledged += 100
            self._stop.wait(0.02)  # leaves some processor time to the nodes
        producer.close()

    def _replace(self, producer: KafkaBatchProducer) -> KafkaBatchProducer:
        with suppress(Retriable):
            producer.close()
        return KafkaBatchProducer(self._kafka)


@pytest.fixture
def healthy(kafka_cluster: KafkaCluster) -> Iterator[KafkaCluster]:
    """A cluster with all nodes; those that a test kills are started again."""
    kafka_cluster.wait_until_in_sync()
    yield kafka_cluster
    for node in kafka_cluster.nodes.values():
        if not node.is_running:
            node.start(300.0)
    kafka_cluster.wait_until_in_sync()


@pytest.mark.timeout(900)
class TestLossOfABroker:
    @pytest.mark.parametrize("kills", [1, 2])
    def test_a_batch_reader_gets_every_record_once_and_in_order(self, healthy: KafkaCluster, kills: int) -> None:
        kafka = healthy.settings("admin")
        topic = healthy.topic(kafka)
        seen, fresh = SourceOffsets(), []
        with closing(KafkaBatchConsumer(kafka, [topic], new_group())) as consumer, Source(kafka, topic) as source:

            def read_until(count: int) -> None:
                def enough() -> bool:
                    fresh.extend(new_records(seen, consumer.poll(1_000, 0.1)))
                    return len(fresh) >= count

                assert_eventually(enough, 120.0, f"{count} records")

            read_until(500)
            for _ in range(kills):
                killed = healthy.leader(topic)
                healthy.nodes[killed].kill()
                read_until(len(fresh) + 1_000)
                healthy.nodes[killed].start(300.0)
                healthy.wait_until_in_sync()
        with closing(KafkaBatchConsumer(kafka, [topic], new_group())) as consumer:
            [end] = consumer.end_offsets().values()
            every = take(consumer, end)
        written = new_records(SourceOffsets(), every)
        assert len(written) >= source.acknowledged
        assert written == list(range(len(written)))
        assert fresh == list(range(len(fresh)))

    def test_offsets_are_answered_after_the_same_node_leads_again(self, healthy: KafkaCluster) -> None:
        """Leadership has another epoch then, and a client that knows the old one is refused for good."""
        kafka = healthy.settings()
        topic = healthy.topic(kafka)
        partition = TopicPartition(topic, 0)
        offsets, first = Offsets(kafka, timeout_s=60.0), healthy.leader(topic)
        assert offsets.ends([partition]) == {partition: 0}
        for other in healthy.nodes.keys() - {first}:
            healthy.nodes[other].kill()
        healthy.nodes[first].kill()
        for node in healthy.nodes.values():
            node.launch()
        for node in healthy.nodes.values():
            node.wait_until_it_answers(180.0)
        healthy.wait_until_in_sync()
        healthy.lead(topic, first)
        assert offsets.ends([partition]) == {partition: 0}

    async def test_a_lifecycle_service_gets_every_event_that_was_sent(self, healthy: KafkaCluster) -> None:
        kafka, group = healthy.settings(), new_group()
        topic = healthy.topic(kafka)
        got: set[int] = set()
        async with (
            running(KafkaLifecycleProducer(kafka)) as producer,
            running(KafkaLifecycleConsumer(kafka, [topic], group)) as consumer,
        ):
            for number in range(60):
                if number == 20:
                    healthy.nodes[healthy.leader(topic)].kill()
                await send_with_retry(producer, numbered(topic, 1, start=number)[0])
                records = await consumer.poll(100, 0.05)
                got |= set(numbers(records))
                await commit_with_retry(consumer, records)
            while len(got) < 60:
                records = await consumer.poll(100, 0.5)
                got |= set(numbers(records))
        assert got == set(range(60))


def new_records(seen: SourceOffsets, records: Sequence[Record]) -> list[int]:
    """Return the numbers of records that were not read before."""
    offsets = np.array(numbers(records), np.int64)
    fresh: list[int] = []
    for offset in offsets:  # one by one: a repeated batch begins with older numbers
        if seen.fresh("source", offset[None])[0]:
            fresh.append(int(offset))
    return fresh


async def send_with_retry(producer: KafkaLifecycleProducer, record: Outgoing) -> None:
    """Send as a relay does: until the broker acknowledges."""
    while True:
        try:
            await producer.send([record])
        except Retriable:
            continue
        return


async def commit_with_retry(consumer: KafkaLifecycleConsumer, records: Sequence[Record]) -> None:
    """Commit as a lifecycle service does: what is not committed is delivered again."""
    if records:
        try:
            await consumer.commit({TopicPartition(records[-1].topic, 0): records[-1].offset + 1})
        except Retriable:
            return
