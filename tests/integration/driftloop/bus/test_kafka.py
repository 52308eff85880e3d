from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka import TopicPartition as Position
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]

from driftloop.bus.admin import apply_topics, compare_with_brokers, create_topics, wait_for_topics
from driftloop.bus.kafka_batch import KafkaBatchConsumer, KafkaBatchProducer
from driftloop.bus.kafka_lifecycle import KafkaLifecycleConsumer, KafkaLifecycleProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import Outgoing, RecordsRefused, TopicPartition
from driftloop.bus.topic_plan import RETENTION, TIMESTAMP_TYPE, TopicPlan
from driftloop.bus.unreadable import NAME_NOT_UTF8, unreadable
from driftloop.loop.load import load_loop
from driftloop.loop.topics import plan_topics
from driftloop.process.errors import Retriable, UndeclaredTopic
from driftloop.process.settings import ROOT
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
from tests.helpers.header_names import ODD_HEADER, send
from tests.helpers.kafka import Kafka
from tests.helpers.kafka_bus import KafkaBus
from tests.helpers.ports import free_ports

ORDERS = load_loop(ROOT / "tests" / "loops" / "orders").definition
DIFFERENCES = ["partitions is 2", "DRIFTLOOP_KAFKA_REPLICATION is 3", "max.message.bytes=1000", "retention.ms=60000"]

pytestmark = [pytest.mark.integration, pytest.mark.kafka]


def _thread_states(pid: int) -> set[str]:
    """State letters of all threads of a process, from Linux's /proc."""
    stats = Path(f"/proc/{pid}/task").glob("*/stat")
    return {stat.read_text().rpartition(")")[2].split()[0] for stat in stats}


@contextmanager
def paused(kafka: Kafka) -> Iterator[None]:
    """The broker takes no processor time; it is not dead, it does not answer."""
    os.kill(kafka.pid, signal.SIGSTOP)
    try:
        assert_eventually(lambda: _thread_states(kafka.pid) == {"T"}, 60.0, "every thread of the broker stops")
        yield
    finally:
        os.kill(kafka.pid, signal.SIGCONT)


class TestBatches(BatchBusSuite):
    @pytest.fixture
    def bus(self, kafka: Kafka) -> Bus:
        return KafkaBus(kafka.settings, kafka.topic)

    @pytest.mark.parametrize("size", [100_000, 9_000_000])
    def test_a_record_that_is_too_large_is_named_by_the_flush_once(self, kafka: Kafka, size: int) -> None:
        """The broker refuses the smaller one, and the client itself the larger one."""
        topic = kafka.topic(max_bytes=1_000)
        large = Outgoing(topic, b"x" * size)
        with closing(KafkaBatchProducer(kafka.settings)) as producer:
            producer.send([large])
            with pytest.raises(RecordsRefused, match="too large") as error:
                producer.flush()
            assert [record for record, _ in error.value.refused] == [large]
            producer.send([Outgoing(topic, b"small")])
            producer.flush()
        with closing(KafkaBatchConsumer(kafka.settings, [topic], new_group())) as consumer:
            assert [record.value for record in take(consumer, 1)] == [b"small"]

    def test_a_flush_without_a_broker_raises_and_loses_nothing(self, kafka: Kafka) -> None:
        topic = kafka.topic()
        with closing(KafkaBatchProducer(kafka.settings)) as producer:
            producer.partitions(topic)
            with paused(kafka):
                producer.send(numbered(topic, 5))
                with pytest.raises(Retriable, match="5 records not acknowledged"):
                    producer.flush(0.3)
            producer.flush()
        with closing(KafkaBatchConsumer(kafka.settings, [topic], new_group())) as consumer:
            assert numbers(take(consumer, 5)) == [0, 1, 2, 3, 4]
            assert consumer.end_offsets() == {TopicPartition(topic, 0): 5}

    def test_a_new_reader_can_start_at_the_end(self, kafka: Kafka) -> None:
        topic = kafka.topic()
        with closing(KafkaBatchProducer(kafka.settings)) as producer:
            producer.send(numbered(topic, 3))
            producer.flush()
            with closing(KafkaBatchConsumer(kafka.settings, [topic], new_group(), newest=True)) as consumer:
                producer.send(numbered(topic, 2, start=3))
                producer.flush()
                assert numbers(take(consumer, 2)) == [3, 4]


class TestLifecycle(LifecycleBusSuite):
    @pytest.fixture
    def bus(self, kafka: Kafka) -> Bus:
        return KafkaBus(kafka.settings, kafka.topic)

    async def test_two_consumers_of_a_group_share_the_partitions_without_loss(self, kafka: Kafka) -> None:
        topic, group = kafka.topic(partitions=4), new_group()
        async with running(KafkaLifecycleProducer(kafka.settings)) as producer:
            await producer.send([r for p in range(4) for r in numbered(topic, 5, partition=p)])
        async with running(KafkaLifecycleConsumer(kafka.settings, [topic], group)) as first:
            seen = await take_events(first, 20)
            await first.commit({TopicPartition(topic, p): 3 for p in range(4)})
            async with running(KafkaLifecycleConsumer(kafka.settings, [topic], group)) as second:
                await take_events(second, 4)  # two partitions, two uncommitted records in each
                await first.commit({TopicPartition(topic, p): 5 for p in range(4)})
        async with running(KafkaLifecycleConsumer(kafka.settings, [topic], group)) as third:
            again = await take_events(third, 4)
        assert len({record.partition for record in again}) == 2
        assert set(again) <= set(seen)

    async def test_a_record_that_is_too_large_is_a_defect_and_does_not_block_others(self, kafka: Kafka) -> None:
        topic = kafka.topic()
        async with running(KafkaLifecycleProducer(kafka.settings)) as producer:
            with pytest.raises(RuntimeError, match="MessageSizeTooLarge"):
                await producer.send([Outgoing(topic, b"before", b"k"), Outgoing(topic, b"x" * 9_000_000, b"k")])
            await producer.send([Outgoing(topic, b"after", b"k")])
        async with running(KafkaLifecycleConsumer(kafka.settings, [topic], new_group())) as consumer:
            assert [record.value for record in await take_events(consumer, 2)] == [b"before", b"after"]

    async def test_a_producer_without_a_broker_is_retriable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        address = f"127.0.0.1:{free_ports(1)[0]}"
        monkeypatch.setattr("driftloop.bus.kafka_lifecycle.wait_for_topics", lambda *_: None)
        with pytest.raises(Retriable, match=address):
            await KafkaLifecycleProducer(KafkaSettings(address)).start()


class TestHeaderNames:
    """Kafka does not check the names of headers."""

    async def test_an_odd_header_name_after_many_records_is_a_refused_record(
        self, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The interpreter calls what it has called often in another way, which must not lose the library's error."""
        topic = kafka.topic()
        usual = [(b"usual", [("ce_id", b"1"), ("ce_type", b"t")])] * 2_000
        odd = (b"odd", [("ce_id", b"2"), ODD_HEADER])
        await send(monkeypatch, kafka.bootstrap, topic, *usual, odd, odd)
        with closing(KafkaBatchConsumer(kafka.settings, [topic], new_group())) as consumer:
            read = take(consumer, len(usual) + 2)
        assert [unreadable(record) is None for record in read] == [True] * len(usual) + [False] * 2

    async def test_consumers_of_both_libraries_read_the_same_of_a_name_that_is_not_utf8(
        self, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        topic = kafka.topic()
        odd = (b"odd", [("ce_id", b"2"), ODD_HEADER])
        await send(monkeypatch, kafka.bootstrap, topic, (b"before", []), odd, (b"after", [("ce_id", b"3")]))
        async with running(KafkaLifecycleConsumer(kafka.settings, [topic], new_group())) as consumer:
            records = await take_events(consumer, 3)
        with closing(KafkaBatchConsumer(kafka.settings, [topic], new_group())) as batches:
            read = take(batches, 3)
        assert list(records) == list(read)
        assert [record.value for record in read] == [b"before", b"odd", b"after"]
        assert [record.headers for record in read] == [(), (NAME_NOT_UTF8,), (("ce_id", b"3"),)]


class TestTopics:
    def test_an_existing_dead_letter_topic_gets_the_retention(self, kafka: Kafka) -> None:
        create_topics(kafka.settings, [TopicPlan("old.v1.dlq", 1, -1)])
        plan = TopicPlan("old.v1.dlq", 1, 86_400_000, retention_bytes=10**9, alterable=RETENTION)
        create_topics(kafka.settings, [plan])
        resource = ConfigResource(ConfigResource.Type.TOPIC, "old.v1.dlq")
        client = AdminClient({"bootstrap.servers": kafka.bootstrap})
        [answer] = client.describe_configs([resource]).values()
        config = answer.result()
        assert (config["retention.ms"].value, config["retention.bytes"].value) == ("86400000", "1000000000")

    def test_a_topic_is_created_once_as_planned(self, kafka: Kafka) -> None:
        wanted = [TopicPlan("created.v1", 3, -1), TopicPlan("created.v1.dlq", 1, -1)]
        assert create_topics(kafka.settings, wanted) == ["created.v1", "created.v1.dlq"]
        assert create_topics(kafka.settings, wanted) == []
        with closing(KafkaBatchProducer(kafka.settings)) as producer:
            assert producer.partitions("created.v1") == 3

    def test_a_raw_topic_gets_the_timestamps_of_the_broker(self, kafka: Kafka) -> None:
        """A topic of an earlier version has those of its producers, by which retention deletes fresh records."""
        [placed] = [plan for plan in plan_topics([ORDERS]) if plan.name == "orders.placed"]
        raw = replace(placed, name="timestamps.placed")
        create_topics(kafka.settings, [replace(raw, timestamps="CreateTime")])
        assert compare_with_brokers(kafka.settings, [raw]).altered == {raw.name: {TIMESTAMP_TYPE: "LogAppendTime"}}
        apply_topics(kafka.settings, [raw])
        assert compare_with_brokers(kafka.settings, [raw]).is_empty
        before_ms = time.time_ns() // 1_000_000
        producer = Producer({"bootstrap.servers": kafka.bootstrap})
        producer.produce(raw.name, b"of the past", timestamp=1_000, partition=0)
        producer.flush(30)
        with closing(Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": new_group()})) as consumer:
            consumer.assign([Position(raw.name, 0, 0)])
            message = consumer.poll(30)
            assert message is not None
            assert message.timestamp()[1] >= before_ms

    def test_conflicting_settings_are_named_and_left(self, kafka: Kafka) -> None:
        create_topics(kafka.settings, [TopicPlan("differs.v1", 3, 60_000, max_bytes=1_000)])
        wanted = [TopicPlan("differs.v1", 2, -1), TopicPlan("missing.v1", 1, -1)]
        changes = apply_topics(replace(kafka.settings, replication=3), wanted[:1])
        assert [name in text for name, text in zip(DIFFERENCES, changes.conflicts, strict=True)] == [True] * 4
        assert apply_topics(kafka.settings, wanted).missing == (wanted[1],)
        assert len(compare_with_brokers(kafka.settings, wanted).conflicts) == 3

    def test_the_broker_accepts_every_declared_topic(self, kafka: Kafka) -> None:
        wanted = plan_topics([])
        create_topics(kafka.settings, wanted)
        wait_for_topics(kafka.settings, [topic.name for topic in wanted], timeout_s=10)
        assert compare_with_brokers(kafka.settings, wanted).is_empty

    def test_the_wait_for_a_missing_topic_ends_with_its_name(self, kafka: Kafka) -> None:
        began = time.monotonic()
        with pytest.raises(UndeclaredTopic, match="nobody-made-me"):
            wait_for_topics(kafka.settings, ["nobody-made-me"], timeout_s=0.3)
        assert time.monotonic() - began < 5

    def test_the_wait_for_a_missing_broker_ends_with_its_address(self) -> None:
        address = f"127.0.0.1:{free_ports(1)[0]}"
        with pytest.raises(Retriable, match=address):
            create_topics(KafkaSettings(address), [], timeout_s=0.1)
