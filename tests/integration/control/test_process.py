"""The service as a process on a real Kafka: killed with a command in hand, it goes on, and the command is one event."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from driftloop.bus.admin import create_topics
from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.ports import Outgoing, TopicPartition
from driftloop.bus.record_fetcher import RecordFetcher
from driftloop.contracts import control_api_pb2 as api
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.events.envelope import Envelope, to_record
from driftloop.events.event_log import read_topics
from driftloop.loop.topics import plan_topics
from driftloop.ops.control_client import ControlClient
from driftloop.process.errors import DriftloopError
from driftloop.process.settings import ROOT
from tests.helpers.event_log import LOOP, two_champions
from tests.helpers.eventually import assert_eventually
from tests.helpers.kafka import Kafka
from tests.helpers.ports import free_ports

pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.timeout(420), pytest.mark.extended]


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaSettings]:
    with Kafka(tmp_path_factory.mktemp("kafka")).running() as server:
        create_topics(server.settings, plan_topics([]))
        yield server.settings


@dataclass
class Control:
    """`python -m services.control`, started and killed at will."""

    brokers: KafkaSettings
    home: Path
    process: subprocess.Popen[bytes] | None = None
    address: str = ""

    def start(self) -> ControlClient:
        health, grpc = free_ports(2)
        self.address = f"127.0.0.1:{grpc}"
        environment = {
            "DRIFTLOOP_HOME": str(self.home),
            "DRIFTLOOP_LOOPS_DIR": str(ROOT / "tests" / "loops"),
            "DRIFTLOOP_LOOPS": '["orders"]',
            "DRIFTLOOP_KAFKA_BOOTSTRAP": self.brokers.bootstrap,
            "DRIFTLOOP_CONTROL_GRPC": self.address,
            "DRIFTLOOP_HEALTH_PORT": str(health),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services.control"], cwd=ROOT, env={**os.environ, **environment}
        )
        client = ControlClient(self.address)
        assert_eventually(lambda: self.answers(client))
        return client

    def answers(self, client: ControlClient) -> bool:
        try:
            client.call("ListLoops", api.ListLoopsRequest(), timeout_s=1.0)
        except DriftloopError:
            return False
        return True

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(30)


@pytest.fixture
def control(brokers: KafkaSettings, tmp_path: Path) -> Iterator[Control]:
    found = Control(brokers, tmp_path)
    yield found
    if found.process is not None:
        found.process.kill()
        found.process.wait(10)


def send(brokers: KafkaSettings, records: list[Outgoing]) -> None:
    producer = KafkaBatchProducer(brokers)
    producer.send(records)
    producer.close()


def test_killed_it_goes_on_and_a_command_is_one_event(control: Control) -> None:
    log = two_champions()
    served = predictions.PredictionServed(
        loop=LOOP, prediction_id="p-1", key="k", release_id="r-1", route_epoch=5, decision_time_ms=9
    )
    logged: Envelope[Any] = Envelope(
        "p-1", "/driftloop/serving", served.DESCRIPTOR.full_name, LOOP, 9, 9, "p-1", None, None, served
    )
    send(control.brokers, [*(to_record(event) for event in log.events[:40]), to_record(logged, "k")])
    with control.start() as client:
        assert client.call("GetLineage", api.GetLineageRequest(id="p-1")).nodes[0].kind == "prediction"
    assert control.end(signal.SIGKILL) == -signal.SIGKILL
    send(control.brokers, [to_record(event) for event in log.events[30:]])
    with control.start() as client:
        asked = api.CommandRequest(loop=LOOP, who="anna", why="stocktaking", request_id="once")
        accepted = [client.call("Pause", asked) for _ in range(2)]
        assert [each.repeated_call for each in accepted] == [False, True]
        assert control.end(signal.SIGKILL) == -signal.SIGKILL
    with control.start() as client:
        assert client.call("Pause", asked).repeated_call
        told_now = list(client.timeline(api.StreamTimelineRequest(loop=LOOP, all=True)))
        assert_eventually(lambda: client.call("ListLoops", api.ListLoopsRequest(loop=LOOP)).loops[0].paused)
        assert len(told_now) >= len(log.events)
        ids = [each.id for each in client.timeline(api.StreamTimelineRequest(loop=LOOP, all=True))]
        assert sorted(ids) == sorted([*(event.id for event in log.events), accepted[0].event_id])
    assert control.end(signal.SIGTERM) == 0
    said = [each.header("ce_id") for each in read_topics(control.brokers, ["control.pause.v1"])]
    assert set(said) == {accepted[0].event_id.encode()}, "one event, though a kill may have it sent again"


def test_one_record_is_read_by_its_place(brokers: KafkaSettings) -> None:
    topic = "control.resume.v1"
    records = [replace(to_record(event), topic=topic, partition=0) for event in two_champions().events[:3]]
    send(brokers, records)
    read = RecordFetcher(brokers, "one")
    try:
        for offset in (2, 0, 1):
            found = read(TopicPartition(topic, 0), offset)
            assert found is not None
            assert (found.offset, found.value) == (offset, records[offset].value)
        assert read(TopicPartition(topic, 0), 0) is not None
    finally:
        read.close()
