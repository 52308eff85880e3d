from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from driftloop.bus.admin import create_topics
from driftloop.loop.topics import plan_topics
from tests.helpers.kafka import Kafka
from tests.helpers.loop_definition import loop_data
from tests.unit.monitoring.harness import SECTIONS


@pytest.fixture(scope="package")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A Kafka with every declared topic, for processes that use their real names on it."""
    with Kafka(tmp_path_factory.mktemp("kafka")).running() as server:
        create_topics(server.settings, plan_topics([]))
        yield server


@pytest.fixture
def loops_dir(tmp_path: Path) -> Path:
    """A folder with the loop `orders`."""
    folder = tmp_path / "loops" / "orders"
    folder.mkdir(parents=True)
    (folder / "loop.yaml").write_text(yaml.safe_dump(loop_data(**SECTIONS)))
    return folder.parent
