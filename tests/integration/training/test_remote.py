"""Tests of `services.training.run.remote`, which executes a run on another machine."""

from __future__ import annotations

import fcntl
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from driftloop.process.settings import ROOT
from services.training.adapters.subprocess_launcher import LOCK, STDERR
from services.training.run import remote
from services.training.spec import Failed, RunSpec, copy_spec, read_result
from tests.helpers.eventually import assert_eventually
from tests.helpers.processes import gone
from tests.integration.training.runs import remote_program, spec_for
from tests.integration.training.test_launchers import RESULT, SLEEP

pytestmark = pytest.mark.integration


def started(spec: RunSpec, text: str) -> subprocess.Popen[bytes]:
    url = copy_spec(spec, Path(spec.folder))
    return subprocess.Popen([*remote_program(text), "--spec", url], cwd=ROOT, stderr=subprocess.PIPE)


def test_a_stop_on_request_ends_the_run_without_a_result(tmp_path: Path) -> None:
    process = started(spec_for(tmp_path), SLEEP)
    path = tmp_path / "pid-of-run"
    pid = int(assert_eventually(lambda: path.read_text() if path.exists() else ""))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == remote.STOPPED
    assert_eventually(lambda: gone(pid))
    assert read_result(tmp_path) is None


def test_what_a_run_writes_is_repeated_for_the_clusters_log(tmp_path: Path) -> None:
    process = started(spec_for(tmp_path), "print('step 1', file=sys.stderr)\nraise RuntimeError('out of luck')")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert errors.startswith(b"step 1\n")
    assert errors.endswith(b"RuntimeError: out of luck\n")


def test_a_run_without_a_password_is_a_failed_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRIFTLOOP_STATE_URL", raising=False)
    process = started(replace(spec_for(tmp_path), state_url="postgresql://me:hush-hush@db/{service}"), RESULT)
    process.communicate(timeout=60)
    assert process.returncode == 0
    result = read_result(tmp_path)
    assert isinstance(result, Failed)
    assert result.detail.endswith("whose password is not stored: set DRIFTLOOP_STATE_URL to it")


def test_a_folder_that_another_process_leaves_without_a_result_is_a_failed_run(tmp_path: Path) -> None:
    with (tmp_path / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = started(spec_for(tmp_path), RESULT)
        assert_eventually((tmp_path / STDERR).exists)  # it has found the lock held
    process.communicate(timeout=60)
    assert read_result(tmp_path) == Failed("error", "another process had the run's folder, and ended without a result")


def test_a_run_does_not_outlive_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    """In a pod all processes end with the first one. On a machine of a Ray cluster they would not."""
    process = started(spec_for(tmp_path), SLEEP)
    path = tmp_path / "pid-of-run"
    pid = int(assert_eventually(lambda: path.read_text() if path.exists() else ""))
    process.kill()
    process.communicate(timeout=60)
    assert_eventually(lambda: gone(pid))
