"""The service as a process on a real Kafka: both formats, a bare line of JSON, and kill -9 in the middle."""

from __future__ import annotations

import json
import signal
from contextlib import closing

import orjson
import pytest
from confluent_kafka import Producer as BareProducer

from driftloop.bus.admin import create_topics
from driftloop.bus.kafka_batch import KafkaBatchConsumer, KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import Outgoing, Record
from driftloop.contracts.control_pb2 import Resume
from driftloop.contracts.ingestion_pb2 import RowsAccepted
from driftloop.events.envelope import Draft, from_draft, to_record
from driftloop.events.event_log import read_events, records
from driftloop.featurestore.lake import LakeTable
from driftloop.loop import Loop
from driftloop.loop.topics import plan_topics
from driftloop.process.clock import SystemClock
from tests.helpers.eventually import assert_eventually
from tests.helpers.kafka import Kafka
from tests.integration.ingestion.process import Service, flushed_to
from tests.unit.ingestion.fixtures import HOUR_MS, PAID, PLACED, START_MS, paid, placed, write_loop
from tests.unit.ingestion.harness import PAUSES, ROWS, rows_by_entity

pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.timeout(300)]


def marks(hour: int) -> list[Outgoing]:
    header = (("driftloop-watermark", str(START_MS + hour * HOUR_MS).encode()),)
    return [Outgoing(topic, None, None, header, partition) for topic in (PLACED, PAID) for partition in (0, 1)]


def hour_of_events(loop: Loop, hour: int) -> list[Outgoing]:
    """Twenty orders of both formats, one of them twice, an outcome and noise."""
    outgoing = []
    for number in range(20):
        event = placed(f"{hour}-{number}", hour + number / 25, buyer=f"b{number}")
        binary = loop.messages[PLACED](**event).SerializeToString()
        value = binary if number % 2 else orjson.dumps(event)
        outgoing += [Outgoing(PLACED, value, f"{number}".encode())] * (2 if number == 7 else 1)
    outgoing.append(Outgoing(PAID, orjson.dumps(paid(f"{hour}", hour + 0.9, order_id=f"{hour}")), f"{hour}".encode()))
    return [*outgoing, Outgoing(PLACED, b"noise", b"noise")]


def dead_letters(brokers: KafkaSettings, topic: str = PLACED) -> list[Record]:
    """Return dead letters, each once by its source record."""
    with closing(KafkaBatchConsumer(brokers, [f"{topic}.dlq"], "letters")) as consumer:
        return list({record.header("dlq-source"): record for record in records(consumer)}.values())


def test_after_kills_every_row_is_stored_and_published_once(service: Service, loop: Loop, kafka: Kafka) -> None:
    service.start()
    producer = KafkaBatchProducer(kafka.settings)
    producer.send(marks(0))
    for hour in range(12):
        producer.send(hour_of_events(loop, hour))
        if hour % 4 == 2:
            producer.flush()
            service.end(signal.SIGKILL)
            service.start()
        producer.send(marks(hour + 1))
    line = BareProducer({"bootstrap.servers": kafka.bootstrap})
    line.produce(PLACED, json.dumps(placed("line", 11.99)))
    line.flush(10)
    producer.send(marks(13))
    producer.close()
    assert_eventually(lambda: flushed_to(kafka.settings, "orders", 13), 60)
    lake = service.home / "lake" / "orders"
    accepted = LakeTable(lake / "events" / PLACED).read()
    expected = ["line", *(f"{hour}-{number}" for hour in range(12) for number in range(20))]
    assert sorted(accepted.column("event_id").to_pylist()) == sorted(expected)
    rejected = LakeTable(lake / "rejected").read().to_pylist()
    reasons = [row["reason"] for row in rejected]
    assert (reasons.count("duplicate"), len(reasons)) == (12, 24), rejected
    assert [letter.value for letter in dead_letters(kafka.settings)] == [b"noise"] * 12
    sent = [
        event.data
        for event in read_events(kafka.settings, [ROWS])
        if event.loop == "orders" and isinstance(event.data, RowsAccepted)
    ]
    positions = {
        (row["source_partition"], row["source_offset"])
        for data in sent
        for join_keys, rows in rows_by_entity(data)
        if join_keys == ("everywhere",)
        for row in rows
    }
    assert positions == {(row["source_partition"], row["source_offset"]) for row in accepted.to_pylist()}
    assert "driftloop_ingestion_watermark_ms" in service.get("metrics")
    assert service.end(signal.SIGTERM) == 0


def test_a_paused_topic_stays_paused_after_a_kill_and_a_command_resumes_it(
    service: Service, kafka: Kafka, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRIFTLOOP_DEAD_LETTER_LIMIT", "5")
    monkeypatch.setenv("DRIFTLOOP_POLL_RECORDS", "5")
    halted = write_loop(service.home / "loops", "halted", "halted.")
    create_topics(kafka.settings, plan_topics([halted.definition]))
    placed_topic, paid_topic = f"halted.{PLACED}", f"halted.{PAID}"
    producer = KafkaBatchProducer(kafka.settings)
    producer.send([Outgoing(placed_topic, b"noise", b"noise", partition=0)] * 40)
    producer.send([Outgoing(placed_topic, orjson.dumps(placed("good")), b"good", partition=0)])
    producer.flush()
    service.start()
    assert_eventually(lambda: pauses(kafka.settings) == ["TopicPaused"], 60)
    refused = len(dead_letters(kafka.settings, placed_topic))
    assert 5 < refused <= 10
    service.end(signal.SIGKILL)
    service.start()
    producer.send([Outgoing(paid_topic, orjson.dumps(paid("p")), b"p")])
    producer.flush()
    lake = service.home / "lake" / "halted" / "events"
    assert_eventually(lambda: LakeTable(lake / paid_topic).exists(), 60)
    assert len(dead_letters(kafka.settings, placed_topic)) == refused
    resume = Draft("resume-1", "halted", START_MS, Resume(loop="halted", who="anna", why="fixed"))
    now_ms = SystemClock().now_ms()
    event = from_draft(resume, source="control", wall_time_ms=now_ms, cause=None, traceparent=None)
    producer.send([to_record(event)])
    producer.close()
    assert_eventually(lambda: LakeTable(lake / placed_topic).exists(), 60)
    assert len(dead_letters(kafka.settings, placed_topic)) == 40
    assert pauses(kafka.settings) == ["TopicPaused", "TopicResumed"]
    assert service.end(signal.SIGTERM) == 0


def pauses(brokers: KafkaSettings) -> list[str]:
    return [type(event.data).__name__ for event in read_events(brokers, [PAUSES])]
