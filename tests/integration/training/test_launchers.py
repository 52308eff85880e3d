"""Behaviour that all launchers share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from driftloop.process.clock import SystemClock
from driftloop.runner import outbox
from driftloop.runner.tables import open_database
from services.training.adapters import sql
from services.training.domain.state import Chain, RetrainState
from services.training.ports import Launcher
from services.training.spec import RunSpec, Trained
from services.training.worker import Worker
from tests.helpers.eventually import assert_eventually
from tests.helpers.processes import gone
from tests.helpers.ray_cluster import ray_cluster as ray_cluster
from tests.integration.training.launchers import Harness
from tests.integration.training.launchers import harness as harness
from tests.unit.training.policies import policy

pytestmark = pytest.mark.integration

START = """
(folder / "pid-of-run").write_text(str(os.getpid()))
"""
SLEEP = f"""
{START}
with (folder / "starts").open("a") as starts: starts.write("x")
time.sleep(120)
"""
RESULT = """
result = {"kind": "trained", "mlflow_run_id": os.environ["WORD"], "bundle_uri": "b", "bundle_digest": "d",
          "holdout_uri": "h", "training_rows": 3, "duration_s": 1.5, "metrics": {"loss": 0.25}}
(folder / "result.json").write_text(json.dumps(result))
"""


def test_a_run_returns_its_result_and_gets_the_environment(harness: Harness) -> None:
    launcher = harness.make(RESULT)
    launcher.launch(harness.spec)
    assert harness.ended(launcher).result == Trained("given", "b", "d", "h", 3, 1.5, {"loss": 0.25})


def test_two_launches_are_one_run(harness: Harness) -> None:
    launcher, other = harness.make(SLEEP), harness.make(SLEEP)
    launcher.launch(harness.spec)
    pid = harness.read("pid-of-run")
    other.launch(harness.spec)
    launcher.launch(harness.spec)
    assert_eventually(lambda: other.observe(harness.spec).phase == "running")
    assert (harness.read("pid-of-run"), harness.read("starts")) == (pid, "x")
    launcher.stop(harness.spec)


def test_a_run_that_nobody_launched_is_absent(harness: Harness) -> None:
    launcher = harness.make(SLEEP)
    assert launcher.observe(harness.spec).phase == "absent"
    launcher.stop(harness.spec)


def test_a_stop_ends_the_run_with_all_its_processes(harness: Harness) -> None:
    child = "import subprocess; child = subprocess.Popen(['sleep', '120'])\n"
    launcher = harness.make(child + "(folder / 'child').write_text(str(child.pid))\n" + SLEEP)
    launcher.launch(harness.spec)
    pids = [int(harness.read("pid-of-run")), int(harness.read("child"))]
    launcher.stop(harness.spec)
    assert_eventually(lambda: all(gone(pid) for pid in pids))
    assert_eventually(lambda: launcher.observe(harness.spec).phase == "absent")


def test_a_live_run_is_found_after_a_restart(harness: Harness) -> None:
    launcher = harness.make(SLEEP)
    launcher.launch(harness.spec)
    pid = harness.read("pid-of-run")
    if launcher.outlives_service:
        launcher.close()
    restarted = harness.make(RESULT)
    assert_eventually(lambda: restarted.observe(harness.spec).phase == "running")
    assert not gone(int(pid))
    restarted.stop(harness.spec)
    assert_eventually(lambda: gone(int(pid)))


def test_a_result_is_found_after_a_restart(harness: Harness) -> None:
    launcher = harness.make(RESULT)
    launcher.launch(harness.spec)
    harness.ended(launcher)
    assert isinstance(harness.ended(harness.make(SLEEP)).result, Trained)


def test_a_run_that_fails_is_reported_with_its_exit_code_and_error(harness: Harness) -> None:
    failure = failure_of(harness, harness.make("raise RuntimeError('out of luck')"))
    assert failure.reason == "error"
    assert failure.detail.startswith("exit code 1\n")
    assert failure.detail.endswith("RuntimeError: out of luck")


def test_a_killed_run_is_reported(harness: Harness) -> None:
    failure = failure_of(harness, harness.make("os.kill(os.getpid(), 9)"))
    assert (failure.reason, failure.detail) == ("error", "exit code -9")


def test_a_run_over_its_time_limit_is_killed(harness: Harness) -> None:
    failure = failure_of(harness, harness.make(SLEEP), time_limit_s=2.0)
    assert failure.reason == "timeout"
    assert "the limit is 0:00:02" in failure.detail
    assert_eventually(lambda: not harness.works())


def test_a_run_over_its_memory_limit_is_killed(harness: Harness) -> None:
    failure = failure_of(harness, harness.make(START + "x = b'1' * (400 << 20)\n" + SLEEP), memory_limit_mib=256)
    assert failure.reason == "memory"
    assert "the limit is 256 MiB" in failure.detail
    assert_eventually(lambda: not harness.works())


REQUEST = training.RetrainRequested(loop="orders", request_id="request-1", window_end_ms=5000)
EVENT = Envelope("requested", "", "", "orders", 5000, 0, "chain", None, None, REQUEST)


def failure_of(
    harness: Harness, launcher: Launcher, time_limit_s: float = 60.0, memory_limit_mib: int = 4096
) -> training.RunFailed:
    """Let a worker launch a run with limits; return the failure that it publishes."""
    spec = replace(harness.spec, time_limit_s=time_limit_s, memory_limit_mib=memory_limit_mib)
    return published_failure(harness.home, launcher, spec)


def published_failure(home: Path, launcher: Launcher, spec: RunSpec) -> training.RunFailed:
    engine = open_database(f"sqlite:///{home}/training.db", sql.metadata)
    with engine.begin() as connection:
        sql.save_state(connection, RetrainState("orders", chain=Chain("request-1", "run-1", "r-1")))
        sql.add_run(connection, "run-1", EVENT)
        parts: tuple[sql.Part, ...] = ("lake", "offline")
        for part in parts:
            sql.extend_coverage(connection, "orders", part, sql.Coverage(5000, {}))
    worker = Worker("training", engine, launcher, {"orders": policy()}, lambda _: spec, SystemClock())

    def ended() -> bool:
        worker.tick()
        return len(outbox.unsent(engine, 10)) == 2

    try:
        assert_eventually(ended)
    finally:
        launcher.close()
    return training.RunFailed.FromString(outbox.unsent(engine, 10)[1].record.value or b"")
