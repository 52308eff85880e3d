"""``driftloop kpis`` and ``driftloop report`` on a real broker, as a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from driftloop.bus.admin import create_topics
from driftloop.bus.kafka_batch import KafkaBatchProducer
from driftloop.events.envelope import to_record
from driftloop.events.event_log import read_events
from driftloop.loop.topics import plan_topics
from driftloop.process.settings import ROOT
from tests.helpers.kafka import Kafka
from tests.helpers.lifecycle import drifting

pytestmark = [pytest.mark.integration, pytest.mark.kafka, pytest.mark.surface]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Commands on a broker of our own, whose log is the life of one loop."""
    with Kafka(tmp_path_factory.mktemp("reports")).running() as server:
        create_topics(server.settings, plan_topics([]))
        producer = KafkaBatchProducer(server.settings)
        events = drifting().events
        producer.send([to_record(event) for event in events])
        producer.close()
        assert {event.id for event in read_events(server.settings)} == {event.id for event in events}, (
            "acknowledged, on a broker that was not yet the leader of all its topics"
        )
        environment = {
            **os.environ,
            "DRIFTLOOP_KAFKA_BOOTSTRAP": server.bootstrap,
            "DRIFTLOOP_LOOPS_DIR": str(ROOT / "tests" / "loops"),
        }

        def call(*arguments: str) -> subprocess.CompletedProcess[str]:
            command = [sys.executable, "-m", "driftloop.ops.cli", *arguments]
            return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)

        yield call


def test_the_numbers_are_those_of_the_log(run: Run) -> None:
    found = run("kpis", "orders", "--json")
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)["loops"]["orders"]
    assert told["time_to_repair"]["event_s"]["p50"] == 8 * 86_400
    assert told["defects"] == {"part": 1, "whole": 3, "value": 1 / 3, "rollbacks": 0, "failed_runs": 0}


def test_a_page_is_written_where_it_is_asked_for(run: Run, tmp_path: Path) -> None:
    found = run("report", "orders", "-o", str(tmp_path / "page.html"))
    assert found.returncode == 0, found.stderr
    page = (tmp_path / "page.html").read_text()
    assert "When a parcel leaves a shop" in page  # the loop's own definition is read
    assert "returns: block_residual, trigger" in page


@pytest.mark.parametrize("command", ["kpis", "report"])
def test_an_unknown_name_is_one_line_and_exit_code_2(run: Run, command: str) -> None:
    found = run(command, "nothing")
    assert found.returncode == 2
    assert found.stdout == ""
    assert found.stderr.count("\n") == 1
    assert "There are loops: orders" in found.stderr
