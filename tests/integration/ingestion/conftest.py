"""A loop, and the service for it, stopped."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftloop.bus.admin import create_topics
from driftloop.loop import Loop
from driftloop.loop.topics import plan_topics
from tests.helpers.kafka import Kafka
from tests.helpers.ports import free_ports
from tests.integration.ingestion.process import Service
from tests.unit.ingestion.fixtures import write_loop


@pytest.fixture
def loop(tmp_path: Path) -> Loop:
    return write_loop(tmp_path / "loops")


@pytest.fixture
def service(tmp_path: Path, kafka: Kafka, loop: Loop) -> Iterator[Service]:
    create_topics(kafka.settings, plan_topics([loop.definition]))
    service = Service(tmp_path, kafka.settings, free_ports(1)[0])
    try:
        yield service
    finally:
        if service.process is not None and service.process.poll() is None:
            service.end(signal.SIGKILL)
