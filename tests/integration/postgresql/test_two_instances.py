"""Two processes of a service on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from driftloop.ops.system.part import SERVICES
from tests.helpers.eventually import assert_eventually
from tests.helpers.kafka import Kafka
from tests.helpers.postgresql import Cluster
from tests.integration.driftloop.runner.instances import Instances, kafka_with_topics, pause_until_another_took_over

__all__ = ["kafka_with_topics"]
pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.timeout(600), pytest.mark.extended]


@pytest.fixture
def on_postgresql(kafka_with_topics: Kafka, tmp_path: Path, postgresql: Cluster) -> Iterator[Instances]:
    postgresql.schema("training")
    started = Instances(kafka_with_topics, tmp_path, SERVICES["training"], postgresql.url("{service}"))
    yield started
    started.end()


def test_two_instances_on_postgresql_take_over_from_each_other(on_postgresql: Instances) -> None:
    pause_until_another_took_over(on_postgresql)
    standby = on_postgresql.start("c")
    assert_eventually(lambda: standby.role() == "standby", 120)
    on_postgresql.processes[1].kill()
    assert_eventually(lambda: standby.role() == "leader", 120)


def test_instances_wait_while_postgresql_restarts(on_postgresql: Instances, postgresql: Cluster) -> None:
    leader = on_postgresql.start("a")
    assert_eventually(lambda: leader.role() == "leader", 120)
    standby = on_postgresql.start("b")
    assert_eventually(lambda: standby.role() == "standby", 120)
    postgresql.restart()
    assert_eventually(lambda: "lease-not-read" in standby.log.read_text(), 120)
    on_postgresql.processes[0].kill()
    assert_eventually(lambda: standby.role() == "leader", 120)
