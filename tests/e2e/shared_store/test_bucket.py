"""A system whose lake, bundles and holdouts are in a bucket trains, serves and checks as one with local folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts.training_pb2 import CandidateTrained
from driftloop.events.event_log import read_events
from driftloop.featurestore.lake import LakeTable
from driftloop.loop import load_loops
from driftloop.ops.checks.run import run as run_checks
from tests.e2e.command_line import CommandLine, system
from tests.e2e.two_loops.harness import ORDERS, STEP_MS, definitions, replay, settings_of, up
from tests.helpers.s3 import BUCKET, S3, s3_server

__all__ = ["s3_server"]

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(900)]

URL = f"s3://{BUCKET}/system"
SPAN = ("2020-09-13", "2020-09-26")
"""The first champion comes after ten days."""


@pytest.fixture(scope="module")
def line(s3_server: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """A system of orders in a bucket, after a replay up to the first champion."""
    folder = tmp_path_factory.mktemp("bucket")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "UTC")
        for name, value in s3_server.environment.items():
            patch.setenv(name, value)
        settings = {**definitions(folder, [ORDERS]), "DRIFTLOOP_STORE_URL": URL}
        with system(folder, settings) as line:
            up(line)
            replay(line, {ORDERS: SPAN})
            yield line


def test_a_champion_trained_from_the_bucket_answers(line: CommandLine) -> None:
    settings = settings_of(line)
    events = read_events(KafkaSettings.of(settings))
    [trained] = [event.data for event in events if isinstance(event.data, CandidateTrained)]
    assert trained.bundle.uri.startswith(f"{URL}/bundles/")
    assert trained.holdout_uri.startswith(f"{URL}/holdouts/")
    assert "ChampionPromoted" in {event.data.DESCRIPTOR.name for event in events}


def test_the_lake_is_in_the_bucket_only(line: CommandLine) -> None:
    settings = settings_of(line)
    assert not Path(settings.home / "lake").exists()
    assert LakeTable(settings.lake / ORDERS / "events" / "orders.placed").read().num_rows > 1_000


def test_all_checks_are_equal(line: CommandLine) -> None:
    settings = settings_of(line)
    [loop] = load_loops(settings.loops_dir)
    findings = run_checks(settings, loop, STEP_MS, say=print)
    assert [check for check in findings.checks if check.unequal] == []
    assert sum(check.compared for check in findings.checks) > 1_000
