"""A cluster on one machine trains, serves and checks as the embedded system does, and survives the death of leaders."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tritonclient.grpc import InferenceServerClient

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts.features_pb2 import WatermarkAdvanced
from driftloop.contracts.topics import topic_of
from driftloop.events.event_log import read_events, read_topics
from driftloop.loop import load_loops
from driftloop.ops.checks.predictions import read_predictions
from driftloop.ops.checks.run import PREDICTIONS
from driftloop.ops.checks.run import run as run_checks
from driftloop.ops.system.cluster.layout import Layout, create_secrets
from driftloop.ops.system.part import SERVICES
from driftloop.ops.system.parts import settings_of_tritons
from driftloop.process.settings import Settings
from tests.e2e.command_line import CommandLine, system
from tests.e2e.two_loops.harness import ORDERS, STEP_MS, collect, definitions, replay, start_replay, up
from tests.helpers import postgresql, redis_server
from tests.helpers.eventually import assert_eventually
from tests.helpers.s3 import PROGRAM

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(1800)]

BEFORE, AFTER = ("2020-09-13", "2020-09-26"), ("2020-09-26", "2020-09-29")
"""The first champion comes after ten days; three more days follow the deaths."""
LEADERS = ("registry", "training", "evaluation", "monitoring", "detectors", "ingestion", "features")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A running cluster with orders, after a replay up to the first champion."""
    if not (postgresql.installed() and redis_server.installed() and shutil.which("haproxy") and PROGRAM.exists()):
        pytest.skip("no cluster is installed: make setup CLUSTER=1")
    folder = tmp_path_factory.mktemp("cluster")
    with (
        pytest.MonkeyPatch.context() as patch,
        system(folder, {**definitions(folder, [ORDERS]), "DRIFTLOOP_CLUSTER_DIR": str(folder / "stores")}) as line,
    ):
        for name, value in line.environment.items():
            patch.setenv(name, value)
        layout = Layout.of(Settings())
        create_secrets(layout)
        for name, value in layout.environment().items():
            patch.setenv(name, value)
            line.environment[name] = value
        try:
            up(line)
            replay(line, {ORDERS: BEFORE})
            yield line
        finally:
            line.run("down", timeout_s=120.0)
            shutil.rmtree(layout.postgres, ignore_errors=True)


def parts_of(line: CommandLine) -> dict[str, dict[str, object]]:
    answer = line.run("status", "--json", timeout_s=120.0)
    return {part["name"]: part for part in json.loads(answer.stdout)["parts"]}


def test_one_instance_of_each_service_works_and_one_waits_and_both_tritons_serve(line: CommandLine) -> None:
    parts = parts_of(line)
    standbys = {name.removesuffix("-2") for name, part in parts.items() if part["state"] == "standby"}
    assert standbys == SERVICES.keys() - {"serving"}
    assert all(part["ready"] for name, part in parts.items() if not name.startswith("control"))


def test_a_champion_was_promoted(line: CommandLine) -> None:
    events = read_events(KafkaSettings.of(Settings()))
    assert "ChampionPromoted" in {event.data.DESCRIPTOR.name for event in events if event.loop == ORDERS}


def test_both_tritons_answered_and_each_prediction_is_in_the_log_once(line: CommandLine) -> None:
    settings = Settings()
    counted = [_answered(own.triton_grpc) for own in settings_of_tritons(settings)]
    assert all(counted)
    log = read_predictions(read_topics(KafkaSettings.of(settings), [PREDICTIONS]), ORDERS)
    assert len(log) <= sum(counted)


def _answered(address: str) -> int:
    with InferenceServerClient(address) as client:
        statistics = client.get_inference_statistics(ORDERS, as_json=True)
    return sum(int(each.get("inference_count", 0)) for each in statistics["model_stats"])


def test_nothing_of_the_lake_and_no_database_is_in_the_home(line: CommandLine) -> None:
    home = Path(line.environment["DRIFTLOOP_HOME"])
    assert not (home / "lake").exists()
    assert not list((home / "state").glob("*.db"))
    assert not (home / "online" / "online.db").exists()


def reached_ms() -> int:
    """Return the event time up to which features are complete."""
    events = read_events(KafkaSettings.of(Settings()), [topic_of(WatermarkAdvanced).name])
    return max((event.data.watermark_ms for event in events if event.loop == ORDERS), default=0)


def to_ms(day: str) -> int:
    return int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp() * 1000)


def test_all_checks_are_equal_after_leaders_and_stores_died(line: CommandLine) -> None:
    parts = parts_of(line)
    leaders = {name: part for name, part in parts.items() if name.removesuffix("-2") in LEADERS}
    leaders = {name: part for name, part in leaders.items() if part["state"] != "standby"}
    assert len(leaders) == len(LEADERS)
    clients = start_replay(line, {ORDERS: AFTER})
    assert_eventually(lambda: reached_ms() > to_ms(AFTER[0]), 120, "the first step")
    for name in [*leaders, "kafka-1", "redis-1", "postgresql"]:
        for pid in parts[name]["pids"]:  # type: ignore[attr-defined]  # a list of numbers
            os.kill(pid, signal.SIGKILL)
    collect(clients)
    assert_eventually(lambda: all(part["ready"] for name, part in parts_of(line).items() if "control" not in name), 300)
    settings = Settings()
    [loop] = load_loops(settings.loops_dir)
    findings = run_checks(settings, loop, STEP_MS, say=print)
    assert [check for check in findings.checks if check.unequal] == []
    assert sum(check.compared for check in findings.checks) > 1_000
