"""Processes of one service on one database, each with a home of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.request import urlopen

import pytest

from driftloop.bus.admin import create_topics
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.loop import load_loop
from driftloop.loop.topics import plan_topics
from driftloop.process.settings import ROOT
from tests.helpers.eventually import assert_eventually
from tests.helpers.kafka import Kafka
from tests.helpers.ports import free_ports
from tests.integration.training.orders_home import FEATURE_REPO, LOOPS

LEASE_S = 5.0


@dataclass
class Instances:
    """Processes of one service with homes of their own and one database."""

    kafka: Kafka
    folder: Path
    module: str
    state_url: str
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, name: str) -> Instance:
        health, grpc, http = free_ports(3)
        home = self.folder / name
        home.mkdir(exist_ok=True)
        settings = {
            "HOME": str(home),
            "LOOPS_DIR": str(LOOPS),
            "LOOPS": '["orders"]',
            "FEATURE_REPO": str(FEATURE_REPO),
            "KAFKA_BOOTSTRAP": self.kafka.bootstrap,
            "STATE_URL": self.state_url,
            "LEASE_S": str(LEASE_S),
            "HEALTH_PORT": str(health),
            "CONTROL_GRPC": f"127.0.0.1:{grpc}",
            "CONTROL_HTTP": f"127.0.0.1:{http}",
        }
        environment = {f"DRIFTLOOP_{name}": value for name, value in settings.items()}
        with (home / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", self.module], cwd=ROOT, stdout=log, stderr=log,
                env={**os.environ, "TZ": "UTC", **environment},
            )  # fmt: skip
        self.processes.append(process)
        return Instance(process, f"http://127.0.0.1:{health}/status", home / "log")

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.wait(60)


@dataclass
class Instance:
    """One process."""

    process: subprocess.Popen[bytes]
    status_url: str
    log: Path

    def role(self) -> str:
        """Return `leader` or `standby`; empty while the process starts."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            with urlopen(self.status_url, timeout=5) as answer:
                return str(json.loads(answer.read()).get("role", ""))
        except OSError:
            return ""

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


@pytest.fixture(scope="module")
def kafka_with_topics(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Start a Kafka of our own: the services' topics and groups have fixed names."""
    with Kafka(tmp_path_factory.mktemp("kafka")).running() as kafka:
        create_topics(KafkaSettings(kafka.bootstrap), plan_topics([load_loop(LOOPS / "orders").definition]))
        yield kafka


def pause_until_another_took_over(instances: Instances) -> None:
    paused = instances.start("a")
    assert_eventually(lambda: paused.role() == "leader", 120)
    standby = instances.start("b")
    assert_eventually(lambda: standby.role() == "standby", 120)
    paused.signal(signal.SIGSTOP)
    assert_eventually(lambda: standby.role() == "leader", 120)
    paused.signal(signal.SIGCONT)
    assert paused.process.wait(120) == 1
    assert "LeaseLost" in paused.log.read_text()
    assert standby.role() == "leader"
