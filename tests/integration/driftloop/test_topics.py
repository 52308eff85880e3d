"""``driftloop topics`` on a real broker."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest
from click.testing import CliRunner, Result

from driftloop.bus.admin import create_topics
from driftloop.bus.topic_plan import TopicPlan
from driftloop.loop import load_loop
from driftloop.loop.topics import RAW_BATCH_BYTES, plan_topics
from driftloop.ops import cli
from driftloop.process.settings import ROOT
from tests.helpers.kafka import Kafka

pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.surface]

FOLDER = ROOT / "tests" / "loops"
WANTED = {plan.name for plan in plan_topics([load_loop(FOLDER / "orders").definition])}

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A broker without topics."""
    with Kafka(tmp_path_factory.mktemp("topics")).running() as server:
        yield server


@pytest.fixture
def run(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("DRIFTLOOP_LOOPS_DIR", str(FOLDER))
    monkeypatch.setenv("DRIFTLOOP_LOOPS", '["orders"]')
    monkeypatch.setenv("DRIFTLOOP_KAFKA_BOOTSTRAP", kafka.bootstrap)
    return lambda *arguments: CliRunner().invoke(cli.cli, ["topics", *arguments])


def test_topics_are_planned_then_created_then_compared(run: Run, kafka: Kafka) -> None:
    create_topics(kafka.settings, [TopicPlan("shops.shelved", 5, -1, alterable=frozenset())])
    planned = run("plan", "--json")
    assert planned.exit_code == 1
    changes = json.loads(planned.stdout)
    assert {topic["name"] for topic in changes["create"]} == WANTED - {"shops.shelved"}
    assert changes["alter"] == {
        "shops.shelved": {"max.message.bytes": str(RAW_BATCH_BYTES), "message.timestamp.type": "LogAppendTime"}
    }
    assert ["write 5" in sentence for sentence in changes["conflicts"]] == [True, False]

    applied = run("apply")
    assert applied.exit_code == 1
    assert "created orders.placed: 2 partitions, 1 copies" in applied.stdout
    altered = f"altered shops.shelved: max.message.bytes={RAW_BATCH_BYTES}, message.timestamp.type=LogAppendTime"
    assert altered in applied.stdout
    assert "conflict: loops/orders/loop.yaml: events.shops.shelved: partitions is 2, and it has 5" in applied.stderr
    rest = json.loads(run("apply", "--json").stdout)
    assert (rest["created"], rest["altered"], len(rest["conflicts"])) == ([], {}, 2)


def test_rights_are_arguments_of_the_tool_of_kafka(run: Run) -> None:
    lines = run("acls", "--principal", "User:CN={service}").stdout.splitlines()
    right = "--operation Read --topic orders.placed --resource-pattern-type literal"
    assert f"--add --allow-principal User:CN=ingestion {right}" in lines
    assert run("acls", "--principal", "User:me").exit_code == 2
