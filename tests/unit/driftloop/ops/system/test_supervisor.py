from __future__ import annotations

import subprocess
import sys

import psutil

from driftloop.ops.system.supervisor import is_running
from tests.helpers.eventually import assert_eventually


def test_a_process_that_has_ended_and_waits_for_its_parent_does_not_run() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert is_running(psutil.Process(process.pid))
    seen = psutil.Process(process.pid)
    process.kill()
    assert_eventually(lambda: seen.status() == psutil.STATUS_ZOMBIE)
    assert not is_running(seen)
    process.communicate()
    assert not is_running(seen)
