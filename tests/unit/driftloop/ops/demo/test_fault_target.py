"""Tests with real processes of this machine."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import psutil
import pytest

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.ops.demo.fault_target import FaultTarget
from driftloop.ops.system.part import Part
from driftloop.process.errors import DriftloopError
from driftloop.process.health import HealthServer
from tests.helpers.eventually import assert_eventually

NO_KAFKA = KafkaSettings("")

_WAITS = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    """Return running processes; a test adds to them."""
    processes = [_start()]
    yield processes
    for process in processes:
        process.kill()
        process.communicate(timeout=60.0)


def _start() -> subprocess.Popen[bytes]:
    return subprocess.Popen(_WAITS, stdin=subprocess.PIPE)


def test_a_target_is_suspended_and_resumed(started: list[subprocess.Popen[bytes]]) -> None:
    pid = started[0].pid
    target = FaultTarget(Part("waits", ()), lambda: [pid])
    with target.suspended():
        assert psutil.Process(pid).status() == psutil.STATUS_STOPPED
    assert_eventually(lambda: psutil.Process(pid).status() != psutil.STATUS_STOPPED)


def test_a_target_is_resumed_after_an_error(started: list[subprocess.Popen[bytes]]) -> None:
    pid = started[0].pid
    target = FaultTarget(Part("waits", ()), lambda: [pid])
    with pytest.raises(AssertionError), target.suspended():
        assert psutil.Process(pid).status() != psutil.STATUS_STOPPED
    assert_eventually(lambda: psutil.Process(pid).status() != psutil.STATUS_STOPPED)


def test_a_target_can_be_killed_while_suspended(started: list[subprocess.Popen[bytes]]) -> None:
    pid = started[0].pid
    target = FaultTarget(Part("waits", ()), lambda: [pid])
    with target.suspended():
        target.kill()
    assert started[0].wait(60.0) == -9
    assert target.process is None


def test_a_restarted_process_is_used_when_it_is_ready(started: list[subprocess.Popen[bytes]]) -> None:
    pids, ready = [started[0].pid], threading.Event()
    with HealthServer("127.0.0.1", 0, ready.is_set) as server:
        target = FaultTarget(Part("waits", (), health_url=f"http://127.0.0.1:{server.port}/ready"), lambda: pids)
        target.kill()
        started.append(_start())
        pids[:] = [started[1].pid]
        with pytest.raises(DriftloopError, match="waits was killed and was not ready again"):
            target.wait_for_restart(NO_KAFKA, 0.2, threading.Event())
        ready.set()
        assert target.wait_for_restart(NO_KAFKA, 60.0, threading.Event())
    assert target.process is not None
    assert target.process.pid == started[1].pid


def test_a_dead_process_is_not_used(started: list[subprocess.Popen[bytes]]) -> None:
    with HealthServer("127.0.0.1", 0, lambda: True) as server:
        part = Part("waits", (), health_url=f"http://127.0.0.1:{server.port}/ready")
        target = FaultTarget(part, lambda: [started[0].pid])
        target.kill()
        with pytest.raises(DriftloopError):
            target.wait_for_restart(NO_KAFKA, 0.3, threading.Event())


def test_the_wait_ends_when_stopped(started: list[subprocess.Popen[bytes]]) -> None:
    stop = threading.Event()
    stop.set()
    target = FaultTarget(Part("waits", ()), lambda: [started[0].pid])
    target.kill()
    assert not target.wait_for_restart(NO_KAFKA, 60.0, stop)


def test_a_part_that_does_not_run_is_refused() -> None:
    with pytest.raises(DriftloopError, match="does not run"):
        FaultTarget(Part("gone", ()), lambda: [])
