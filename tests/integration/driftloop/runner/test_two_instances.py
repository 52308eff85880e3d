"""Two processes of each service on one database: one works, the other waits, and takes over when the first is gone."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftloop.ops.system.part import SERVICES
from tests.helpers.eventually import assert_eventually
from tests.helpers.kafka import Kafka
from tests.integration.driftloop.runner.instances import Instances, kafka_with_topics, pause_until_another_took_over

__all__ = ["kafka_with_topics"]
pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.timeout(600), pytest.mark.extended]


@pytest.fixture
def instances(request: pytest.FixtureRequest, kafka_with_topics: Kafka, tmp_path: Path) -> Iterator[Instances]:
    state_url = f"sqlite:///{tmp_path}/{{service}}.db"
    started = Instances(kafka_with_topics, tmp_path, SERVICES[request.param], state_url)
    yield started
    started.end()


@pytest.mark.parametrize("instances", SERVICES, indirect=True)
def test_one_works_and_the_other_waits_until_the_first_is_killed(instances: Instances) -> None:
    first = instances.start("a")
    assert_eventually(lambda: first.role() == "leader", 120)
    second = instances.start("b")
    assert_eventually(lambda: second.role() == "standby", 120)
    first.signal(signal.SIGKILL)
    first.process.wait(60)
    assert_eventually(lambda: second.role() == "leader", 120)


@pytest.mark.parametrize("instances", ["training", "ingestion"], indirect=True)
def test_a_paused_instance_that_wakes_up_after_another_took_over_ends(instances: Instances) -> None:
    pause_until_another_took_over(instances)


@pytest.mark.parametrize("instances", ["evaluation"], indirect=True)
def test_a_killed_instance_that_is_restarted_takes_its_own_lease_at_once(instances: Instances) -> None:
    killed = instances.start("a")
    assert_eventually(lambda: killed.role() == "leader", 120)
    killed.signal(signal.SIGKILL)
    killed.process.wait(60)
    restarted = instances.start("a")
    assert_eventually(lambda: restarted.role() == "leader", 120)
    assert "standby" not in restarted.log.read_text()
