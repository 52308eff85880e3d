"""A raw topic that changes while the service reads it. The service ends with a sentence; its next start goes on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions  # type: ignore[attr-defined]

from driftloop.bus.admin import create_topics
from driftloop.featurestore.lake import LakeTable
from driftloop.loop import Loop
from driftloop.loop.topics import plan_topics
from driftloop.process.startup_errors import read_refused_loops
from tests.helpers.eventually import assert_eventually
from tests.helpers.kafka import Kafka
from tests.integration.ingestion.process import Service
from tests.unit.ingestion.fixtures import PLACED, placed, write_loop

pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.timeout(300), pytest.mark.extended]


@pytest.fixture
def loop(tmp_path: Path, request: pytest.FixtureRequest) -> Loop:
    """Return a loop with topics of its own for each test."""
    name = next(name for name in ("created", "added", "gone") if name in request.node.name)
    return write_loop(tmp_path / "loops", name, f"{name}.")


def send(kafka: Kafka, topic: str, names: Iterable[str], partition: int = -1) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    for number, name in enumerate(names):
        producer.produce(topic, json.dumps(placed(name, number / 10)), name, partition=partition)
    assert producer.flush(60.0) == 0


def assert_stored(service: Service, topic: str, names: Iterable[str]) -> None:
    table = LakeTable(service.home / "lake" / topic.split(".")[0] / "events" / topic)
    expected = sorted(names)

    def stored() -> bool:
        return table.exists() and sorted(table.read().column("uid").to_pylist()) == expected

    assert_eventually(stored, 90.0, f"{len(expected)} events in the lake")


def assert_ends(service: Service, sentence: str) -> None:
    """Wait until the service ends by itself and says why; a supervisor would start it again."""
    assert service.process is not None
    assert service.process.wait(60) == 1
    assert sentence in (service.home / "ingestion.log").read_text()


def test_no_event_of_a_topic_that_is_created_again_is_lost(service: Service, kafka: Kafka, loop: Loop) -> None:
    topic = f"{loop.name}.{PLACED}"
    service.start()
    old = [f"old-{number}" for number in range(20)]
    send(kafka, topic, old)
    assert_stored(service, topic, old)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    [deleted] = admin.delete_topics([topic]).values()
    deleted.result()
    assert_eventually(lambda: create_topics(kafka.settings, plan_topics([loop.definition])) == [topic], 60.0)
    new = [f"new-{number}" for number in range(80)]
    send(kafka, topic, new)
    assert_ends(service, topic)
    service.start()
    assert_stored(service, topic, [*old, *new])


def test_a_topic_that_is_gone_leaves_only_its_loop_out_until_it_exists_again(
    service: Service, kafka: Kafka, loop: Loop, tmp_path: Path
) -> None:
    other = write_loop(tmp_path / "loops", "stays", "stays.")
    create_topics(kafka.settings, plan_topics([other.definition]))
    topic, stays = f"{loop.name}.{PLACED}", f"stays.{PLACED}"
    service.start()
    for name in (topic, stays):
        send(kafka, name, ["before"])
        assert_stored(service, name, ["before"])
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    [deleted] = admin.delete_topics([topic]).values()
    deleted.result()
    assert_ends(service, topic)
    service.start()
    [problem] = read_refused_loops(service.home)[loop.name]
    assert f"the broker has no topic {topic}" in problem
    send(kafka, stays, ["meanwhile"])
    assert_stored(service, stays, ["before", "meanwhile"])

    assert_eventually(lambda: create_topics(kafka.settings, plan_topics([loop.definition])) == [topic], 60.0)
    send(kafka, topic, ["after"])
    assert_ends(service, f"the broker has the topic {topic} now")
    service.start()
    assert read_refused_loops(service.home) == {}
    assert_stored(service, topic, ["before", "after"])


def test_partitions_that_are_added_are_read(service: Service, kafka: Kafka, loop: Loop) -> None:
    topic = f"{loop.name}.{PLACED}"
    service.start()
    send(kafka, topic, ["before"])
    assert_stored(service, topic, ["before"])
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    [added] = admin.create_partitions([NewPartitions(topic, 3)]).values()
    added.result()
    assert_ends(service, f"the topic {topic} has 3 partitions now, and 2 are read")
    send(kafka, topic, ["after"], partition=2)
    service.start()
    assert_stored(service, topic, ["before", "after"])
