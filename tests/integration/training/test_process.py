"""Tests of the service process on a real Kafka: after a kill and repeated events, each event has one answer."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from google.protobuf.message import Message

from driftloop.bus.admin import create_topics
from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts import control_pb2 as control
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events import ids
from driftloop.events.envelope import Draft, Envelope, from_draft, to_record
from driftloop.events.event_log import read_events
from driftloop.loop.topics import plan_topics
from driftloop.process.settings import ROOT
from tests.helpers.eventually import assert_eventually
from tests.helpers.kafka import Kafka
from tests.helpers.ports import free_ports
from tests.integration.training.orders_home import FEATURE_REPO, LOOPS
from tests.loops.orders.source import HOUR_MS, START_MS

pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.timeout(420)]

WINDOWS = 24


@pytest.fixture
def brokers(tmp_path: Path) -> Iterator[KafkaSettings]:
    with Kafka(tmp_path).running() as kafka:
        create_topics(kafka.settings, plan_topics([]))
        yield kafka.settings


@dataclass
class Service:
    """Starts and stops `python -m services.training`."""

    brokers: KafkaSettings
    home: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        (health,) = free_ports(1)
        environment = {
            "DRIFTLOOP_HOME": str(self.home),
            "DRIFTLOOP_LOOPS_DIR": str(LOOPS),
            "DRIFTLOOP_LOOPS": '["orders"]',
            "DRIFTLOOP_FEATURE_REPO": str(FEATURE_REPO),
            "DRIFTLOOP_KAFKA_BOOTSTRAP": self.brokers.bootstrap,
            "DRIFTLOOP_HEALTH_PORT": str(health),
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services.training"], cwd=ROOT, env={**os.environ, **environment}
        )
        assert_eventually(lambda: answers(f"http://127.0.0.1:{health}/ready"))

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=1) as response:
            return bool(response.status == 200)
    except (URLError, TimeoutError, ConnectionError):
        return False


def event(message: Message, time_ms: int, *parts: str | int) -> Envelope[Message]:
    draft = Draft(ids.event_id(message.DESCRIPTOR.full_name, *parts), "orders", time_ms, message)
    return from_draft(draft, source="test", wall_time_ms=0, cause=None, traceparent=None)


def window(number: int) -> Envelope[Message]:
    end_ms = START_MS + number * 12 * HOUR_MS
    start_ms = end_ms - 12 * HOUR_MS
    closed = monitoring.WindowClosed(loop="orders", window_id=f"w{number}", start_ms=start_ms, end_ms=end_ms)
    return event(closed, end_ms, number)


@pytest.fixture
def service(brokers: KafkaSettings, tmp_path: Path) -> Iterator[Service]:
    service = Service(brokers, tmp_path / "home")
    yield service
    if service.process is not None and service.process.poll() is None:
        service.end(signal.SIGKILL)


def test_a_killed_controller_answers_each_event_once(service: Service) -> None:
    topics = ["monitoring.window-decided.v1", "training.retrain-requested.v1", "training.reason-coalesced.v1"]
    producer = KafkaBatchProducer(service.brokers)

    def publish(*events: Envelope[Any]) -> None:
        producer.send([to_record(event) for event in events])
        producer.flush()

    def event_ids(kind: str) -> set[str]:
        return {event.id for event in read_events(service.brokers, topics) if event.type.endswith(kind)}

    service.start()
    publish(*(window(number) for number in range(1, 21)))
    assert_eventually(lambda: len(event_ids("WindowDecided")) >= 10)
    service.end(signal.SIGKILL)
    publish(*(window(number) for number in range(1, WINDOWS + 1)))
    service.start()
    assert_eventually(lambda: len(event_ids("WindowDecided")) == WINDOWS)
    command = control.Retrain(loop="orders", who="ann", why="try")
    publish(*[event(command, START_MS, "command")] * 2)
    assert_eventually(lambda: len(event_ids("ReasonCoalesced")) == 1)
    assert len(event_ids("RetrainRequested")) == 1
    producer.close()
    assert service.end(signal.SIGTERM) == 0
