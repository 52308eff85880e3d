"""On a real supervisor: what it starts is gone when it is told to stop, whenever that is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from driftloop.config import Settings
from driftloop.system.parts import Part
from driftloop.system.supervisor import Supervisor
from tests.helpers.eventually import assert_eventually
from tests.helpers.ports import free_ports

_STUBBORN = "(trap '' TERM; exec sleep 600) & echo $! >>{pids}; exec sleep 600"
"""A part with a child that no SIGTERM ends."""


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    names = ("SUPERVISOR_PORT", "SUPERVISOR_EVENTS_PORT")
    for name, number in zip(names, free_ports(2), strict=True):
        monkeypatch.setenv(name, str(number))
    supervisor = Supervisor(Settings(home=tmp_path / "home"))
    yield supervisor
    supervisor.stop()


def _part(pids: Path) -> Part:
    return Part("stubborn", ("/bin/bash", "-c", _STUBBORN.format(pids=pids)))


def _written(pids: Path) -> list[int]:
    return [int(line) for line in pids.read_text().split()] if pids.exists() else []


def test_no_process_is_left_not_even_a_child_that_ignores_the_signal(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start([_part(tmp_path / "pids")], timeout_s=60.0)
    [child] = assert_eventually(lambda: _written(tmp_path / "pids"), 30.0)
    parts = assert_eventually(lambda: supervisor.pids("stubborn"), 30.0)
    assert supervisor.stop()
    assert not [pid for pid in (child, *parts) if psutil.pid_exists(pid)]
    assert not supervisor.alive()
    assert not supervisor.stop()


def test_a_stop_right_after_the_start_is_not_lost(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start([_part(tmp_path / "pids")], timeout_s=60.0)
    assert supervisor.stop()
    assert not [pid for pid in _written(tmp_path / "pids") if psutil.pid_exists(pid)]
    assert not supervisor.alive()


def test_a_part_that_is_hurried_gets_no_time(supervisor: Supervisor, tmp_path: Path) -> None:
    deaf = "trap '' TERM; echo $$ >>{pids}; while :; do sleep 600; done".format(pids=tmp_path / "pids")
    supervisor.start([Part("deaf", ("/bin/bash", "-c", deaf), stop_timeout_s=600.0)], timeout_s=60.0)
    [pid] = assert_eventually(lambda: _written(tmp_path / "pids"), 30.0)
    assert supervisor.stop(hurried=["deaf"])
    assert not psutil.pid_exists(pid)


def test_a_daemon_that_does_not_answer_is_stopped_too(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor.start([_part(tmp_path / "pids")], timeout_s=60.0)
    daemon = int((tmp_path / "home" / "run" / "circus.pid").read_text())
    monkeypatch.setenv("SUPERVISOR_PORT", str(free_ports(1)[0]))  # nobody answers there
    assert Supervisor(Settings(home=tmp_path / "home")).stop()
    assert not psutil.pid_exists(daemon)


def test_a_pid_file_of_somebody_else_stops_nobody(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "home" / "run").mkdir(parents=True)
    (tmp_path / "home" / "run" / "circus.pid").write_text(str(os.getpid()))
    assert not supervisor.stop()
