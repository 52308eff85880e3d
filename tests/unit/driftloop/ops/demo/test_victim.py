"""On processes of this machine: what a signal does is what the machine says it does."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest

from driftloop.ops.demo.fault_target import FaultTarget
from driftloop.ops.system.parts import Part
from driftloop.process.errors import DriftloopError
from driftloop.process.health import HealthServer
from tests.helpers.eventually import assert_eventually

_WAITS = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that wait; a test adds to them."""
    processes = [_start()]
    yield processes
    for process in processes:
        process.kill()
        process.communicate(timeout=60.0)


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(_WAITS, stdin=subprocess.PIPE)


def test_a_victim_stands_still_while_held_and_goes_on_after(started: list[subprocess.Popen[bytes]]) -> None:
    pid = started[0].pid
    target = FaultTarget(Part("waits", ()), lambda: [pid])
    with target.suspended():
        assert psutil.Process(pid).status() == psutil.STATUS_STOPPED
    assert_eventually(lambda: psutil.Process(pid).status() != psutil.STATUS_STOPPED)


def test_a_victim_goes_on_when_looking_at_it_fails(started: list[subprocess.Popen[bytes]]) -> None:
    pid = started[0].pid
    target = FaultTarget(Part("waits", ()), lambda: [pid])
    with pytest.raises(AssertionError), target.suspended():
        assert psutil.Process(pid).status() != psutil.STATUS_STOPPED
    assert_eventually(lambda: psutil.Process(pid).status() != psutil.STATUS_STOPPED)


def test_a_victim_killed_while_it_is_held_is_dead(started: list[subprocess.Popen[bytes]]) -> None:
    pid = started[0].pid
    target = FaultTarget(Part("waits", ()), lambda: [pid])
    with target.suspended():
        target.kill()
    assert started[0].wait(60.0) == -9
    assert target.process is None


def test_another_process_takes_its_place_when_it_is_ready(started: list[subprocess.Popen[bytes]]) -> None:
    pids, ready = [started[0].pid], threading.Event()
    with HealthServer("127.0.0.1", 0, ready.is_set) as server:
        target = FaultTarget(Part("waits", (), health_url=f"http://127.0.0.1:{server.port}/ready"), lambda: pids)
        target.kill()
        started.append(_start())
        pids[:] = [started[1].pid]
        with pytest.raises(DriftloopError, match="waits was killed and was not ready again"):
            target.wait_for_restart("", 0.2, threading.Event())
        ready.set()
        assert target.wait_for_restart("", 60.0, threading.Event())
    assert target.process is not None
    assert target.process.pid == started[1].pid


def test_a_dead_process_that_nobody_has_noticed_takes_no_place(started: list[subprocess.Popen[bytes]]) -> None:
    with HealthServer("127.0.0.1", 0, lambda: True) as server:
        part = Part("waits", (), health_url=f"http://127.0.0.1:{server.port}/ready")
        target = FaultTarget(part, lambda: [started[0].pid])
        target.kill()
        with pytest.raises(DriftloopError):
            target.wait_for_restart("", 0.3, threading.Event())


def test_waiting_ends_when_it_is_told_to(started: list[subprocess.Popen[bytes]]) -> None:
    stop = threading.Event()
    stop.set()
    target = FaultTarget(Part("waits", ()), lambda: [started[0].pid])
    target.kill()
    assert not target.wait_for_restart("", 60.0, stop)


def test_what_does_not_run_cannot_be_killed() -> None:
    with pytest.raises(DriftloopError, match="does not run"):
        FaultTarget(Part("gone", ()), lambda: [])
