"""Tests of what only local processes have: process groups, priorities, locks and process ids."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from services.training.adapters.subprocess_launcher import SubprocessLauncher
from services.training.spec import Failed, read_pid
from tests.helpers.eventually import assert_eventually
from tests.helpers.processes import gone
from tests.integration.training.runs import program, spec_for

pytestmark = pytest.mark.integration

SLEEP = "time.sleep(60)"
RESULT = """
(folder / "result.json").write_text(json.dumps({"kind": "failed", "reason": "data", "detail": os.environ["WORD"]}))
"""


def launched(folder: Path, text: str) -> SubprocessLauncher:
    launcher = SubprocessLauncher({"WORD": "none"}, program(text))
    launcher.launch(spec_for(folder))
    return launcher


def pid_of(folder: Path) -> int:
    pid = read_pid(folder)
    assert pid is not None
    return pid


def test_a_process_that_has_written_its_result_is_reaped(tmp_path: Path) -> None:
    launcher = launched(tmp_path, RESULT)
    assert_eventually(lambda: launcher.observe(spec_for(tmp_path)).phase == "ended")
    assert gone(pid_of(tmp_path))


def test_memory_includes_all_processes_of_a_run(tmp_path: Path) -> None:
    hog = "x = b'1' * (150 << 20); import time; time.sleep(60)"
    child = f"import subprocess; subprocess.Popen([sys.executable, '-c', {hog!r}])\n"
    launcher = launched(tmp_path, child + "y = b'2' * (100 << 20)\n" + SLEEP)
    try:
        assert_eventually(lambda: launcher.observe(spec_for(tmp_path)).memory_mib > 250)
    finally:
        launcher.close()


def test_a_run_has_its_own_session_and_low_priority(tmp_path: Path) -> None:
    launcher = launched(tmp_path, "(folder / 'nice').write_text(str(os.nice(0)))\n" + SLEEP)
    try:
        assert_eventually(lambda: (tmp_path / "nice").exists() and (tmp_path / "nice").read_text() != "")
        assert int((tmp_path / "nice").read_text()) == os.nice(0) + 5
        assert os.getpgid(pid_of(tmp_path)) == pid_of(tmp_path)
    finally:
        launcher.close()


LAUNCH_AND_DIE = """
import os, signal, sys
from pathlib import Path
from services.training.adapters.subprocess_launcher import SubprocessLauncher
from tests.integration.training.runs import program, spec_for
SubprocessLauncher({"WORD": "orphan"}, program(sys.argv[2])).launch(spec_for(Path(sys.argv[1])))
os.kill(os.getpid(), signal.SIGKILL)
"""


def orphan(folder: Path, text: str) -> None:
    """Launch a run from a process that then kills itself."""
    died = subprocess.run([sys.executable, "-c", LAUNCH_AND_DIE, str(folder), text], check=False)
    assert died.returncode == -signal.SIGKILL


def test_a_live_run_of_a_killed_launcher_is_not_started_twice(tmp_path: Path) -> None:
    orphan(tmp_path, SLEEP)
    launcher = SubprocessLauncher({}, program(RESULT))
    try:
        pid = pid_of(tmp_path)
        assert launcher.observe(spec_for(tmp_path)).phase == "running"
        assert_eventually(
            lambda: launcher.observe(spec_for(tmp_path)).memory_mib > 1
        )  # almost 0 before the interpreter has started
        launcher.launch(spec_for(tmp_path))
        assert pid_of(tmp_path) == pid
    finally:
        launcher.stop(spec_for(tmp_path))
    assert_eventually(lambda: launcher.observe(spec_for(tmp_path)).phase == "absent")
    assert gone(pid)


def test_the_result_of_a_killed_launchers_run_is_observed(tmp_path: Path) -> None:
    orphan(tmp_path, RESULT)
    launcher = SubprocessLauncher({}, program(SLEEP))
    assert_eventually(lambda: launcher.observe(spec_for(tmp_path)).result == Failed("data", "orphan"))


def test_a_run_that_died_with_its_launcher_can_be_relaunched(tmp_path: Path) -> None:
    orphan(tmp_path, "os.kill(os.getpid(), 9)")
    launcher = SubprocessLauncher({"WORD": "second"}, program(RESULT))
    assert_eventually(lambda: launcher.observe(spec_for(tmp_path)).phase == "absent")
    launcher.launch(spec_for(tmp_path))
    assert_eventually(lambda: launcher.observe(spec_for(tmp_path)).result == Failed("data", "second"))


def test_a_run_of_another_machine_is_seen_but_not_killed(tmp_path: Path) -> None:
    """Its lock is visible on a shared disk. Its process id is another process on this machine."""
    bystander = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    owner = launched(tmp_path, SLEEP)
    try:
        (tmp_path / "pid").write_text(f"{bystander.pid} another-boot/pid:[1]")
        other = SubprocessLauncher({}, program(RESULT))
        assert other.observe(spec_for(tmp_path)).phase == "running"
        other.stop(spec_for(tmp_path))
        other.close()
        assert bystander.poll() is None
        assert owner.observe(spec_for(tmp_path)).phase == "running"
    finally:
        owner.close()
        bystander.kill()
        bystander.wait()
