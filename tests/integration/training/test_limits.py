"""Tests of limits with real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from driftloop.process.clock import SystemClock
from driftloop.runner import outbox
from driftloop.runner.tables import open_database
from services.training.adapters import sql
from services.training.adapters.subprocess_launcher import SubprocessLauncher
from services.training.domain.state import Chain, RetrainState
from services.training.worker import Worker
from tests.helpers.eventually import assert_eventually
from tests.integration.training.runs import program, spec_for
from tests.unit.training.policies import policy

pytestmark = pytest.mark.integration

REQUEST = training.RetrainRequested(loop="orders", request_id="request-1", window_end_ms=5000)
EVENT = Envelope("requested", "", "", "orders", 5000, 0, "chain", None, None, REQUEST)


def failure_of(home: Path, text: str, **limits: object) -> training.RunFailed:
    """Return the failure of a run with a small program under some limits."""
    engine = open_database(f"sqlite:///{home}/training.db", sql.metadata)
    with engine.begin() as connection:
        sql.save_state(connection, RetrainState("orders", chain=Chain("request-1", "run-1", "r-1")))
        sql.add_run(connection, "run-1", EVENT)
        parts: tuple[sql.Part, ...] = ("lake", "offline")
        for part in parts:
            sql.extend_coverage(connection, "orders", part, sql.Coverage(5000, {}))
    launcher = SubprocessLauncher({}, program(text))
    policies = {"orders": policy(**limits)}
    worker = Worker("training", engine, launcher, policies, lambda _: spec_for(home / "run"), SystemClock())

    def ended() -> bool:
        worker.tick()
        return len(outbox.unsent(engine, 10)) == 2

    try:
        assert_eventually(ended)
    finally:
        launcher.close()
    return training.RunFailed.FromString(outbox.unsent(engine, 10)[1].record.value or b"")


def test_a_run_over_its_time_limit_is_killed(tmp_path: Path) -> None:
    failure = failure_of(tmp_path, "time.sleep(60)", time_limit="500ms")
    assert failure.reason == "timeout"


def test_a_run_over_its_memory_limit_is_killed(tmp_path: Path) -> None:
    failure = failure_of(tmp_path, "x = b'1' * (400 << 20)\ntime.sleep(60)", memory_limit_mib=256)
    assert failure.reason == "memory"
    assert "the limit is 256 MiB" in failure.detail


def test_a_run_that_dies_is_reported_with_its_error(tmp_path: Path) -> None:
    failure = failure_of(tmp_path, "raise RuntimeError('out of luck')")
    assert failure.reason == "error"
    assert "out of luck" in failure.detail
