from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from confluent_kafka import Consumer
from confluent_kafka import TopicPartition as Position
from sqlalchemy import Engine, func, select

from driftloop.bus.kafka_batch import KafkaBatchConsumer, KafkaBatchProducer
from driftloop.bus.ports import Record, TopicPartition
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events.envelope import from_record, to_record
from driftloop.process.settings import ROOT
from driftloop.runner import outbox
from driftloop.runner.tables import open_database
from tests.helpers.bus import new_group
from tests.helpers.eventually import assert_eventually
from tests.helpers.kafka import Kafka
from tests.integration.driftloop.runner import child
from tests.unit.driftloop.runner.harness import CLOSED, DECIDED, closed, decided, effects, metadata

pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.extended]
EVENTS = 300


def test_a_service_killed_twice_in_a_batch_has_every_effect_once(kafka: Kafka, tmp_path: Path) -> None:
    for name in (CLOSED, DECIDED, f"{CLOSED}.dlq"):
        kafka.topic(name=name)
    url = f"sqlite:///{tmp_path / 'killed.db'}"
    engine = open_database(url, metadata)
    events = [closed(number) for number in range(EVENTS)]
    with closing(KafkaBatchProducer(kafka.settings)) as producer:
        producer.send([to_record(event) for event in events])
        producer.flush()

    chance = random.Random(3)
    for low, high in ((20, 90), (110, 250)):
        point = chance.randint(low, high)
        _run_until(kafka, url, lambda point=point: _handled(engine) >= point, kill=True)  # type: ignore[misc]
        assert _handled(engine) < EVENTS, "killed too late to show anything"
    with closing(Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": child.GROUP})) as reader:
        _run_until(kafka, url, lambda: _committed(reader) == EVENTS, kill=False)

    assert _effects(engine) == [event.id for event in events]
    assert outbox.unsent(engine, 1) == []
    answers = [from_record(record, [monitoring.WindowDecided]).id for record in _all(kafka, DECIDED)]
    assert list(dict.fromkeys(answers)) == [decided(event).id for event in events]  # type: ignore[arg-type]
    assert _all(kafka, f"{CLOSED}.dlq") == []


def _run_until(kafka: Kafka, url: str, probe: Callable[[], bool], *, kill: bool) -> None:
    command = [sys.executable, "-m", child.__name__, kafka.bootstrap, url]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL)
    try:
        assert_eventually(lambda: probe() or process.poll() is not None, timeout_s=60)
        assert process.poll() is None, "the service ended by itself"
    finally:
        if kill:
            process.kill()
        else:
            process.terminate()
        process.wait(30)
    assert kill or process.returncode == 0


def _handled(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(effects)).scalar_one())


def _effects(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return [row.event_id for row in connection.execute(select(effects).order_by(effects.c.number))]


def _committed(reader: Consumer) -> int:
    [position] = reader.committed([Position(CLOSED, 0)], timeout=60)
    return int(position.offset)


def _all(kafka: Kafka, topic: str) -> list[Record]:
    with closing(KafkaBatchConsumer(kafka.settings, [topic], new_group())) as consumer:
        end = consumer.end_offsets()[TopicPartition(topic, 0)]
        records: list[Record] = []
        while len(records) < end:
            records += consumer.poll(1000, 1.0)
    return records
