"""The fixture `kafka`: a real Kafka for a test session."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from driftloop.bus.admin import create_topics
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.bus.topic_plan import TopicPlan
from tests.helpers.ports import free_ports
from tests.helpers.server import Server

_WEEK_MS = 7 * 86_400_000


class Kafka(Server):
    """One node on free ports, with its data in ``folder``."""

    def __init__(self, folder: Path) -> None:
        port, controller = free_ports(2)
        self.bootstrap = f"127.0.0.1:{port}"
        self.settings = KafkaSettings(self.bootstrap)
        self._numbers = itertools.count()
        environment = {
            "KAFKA_PORT": str(port),
            "KAFKA_CONTROLLER_PORT": str(controller),
            "KAFKA_DIR": str(folder / "kafka"),
        }
        super().__init__("kafka/run.sh", environment, folder / "kafka.log", self._alive)

    def topic(self, partitions: int = 1, name: str = "", max_bytes: int = 8_000_000) -> str:
        """Create a topic and return its name; without a name, generate a unique one."""
        name = name or f"test-{next(self._numbers)}"
        create_topics(self.settings, [TopicPlan(name, partitions, _WEEK_MS, max_bytes)])
        return name

    def _alive(self) -> bool:
        try:
            return bool(AdminClient(self.settings.admin()).list_topics(timeout=1).brokers)
        except KafkaException:
            return False


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """Start a Kafka that all tests of a session share. Tests must use their own topics and groups."""
    with Kafka(tmp_path_factory.mktemp("kafka")).running() as server:
        yield server
