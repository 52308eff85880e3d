"""On a real supervisor: what it starts is gone when it is told to stop, whenever that is."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from driftloop.ops.system.parts import Part
from driftloop.ops.system.supervisor import Supervisor
from driftloop.process import tcp_ports
from driftloop.process.errors import ConfigError
from driftloop.process.settings import ROOT, Settings
from tests.helpers.eventually import assert_eventually
from tests.helpers.ports import free_port_base

_STUBBORN = "(trap '' TERM; exec sleep 600) & echo $! >>{pids}; exec sleep 600"
"""A part with a child that no SIGTERM ends."""


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[Supervisor]:
    supervisor = Supervisor(Settings(home=tmp_path / "home", port_base=free_port_base()))
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


def test_nor_one_that_has_left_its_parent_and_its_session(supervisor: Supervisor, tmp_path: Path) -> None:
    stray = "trap '' TERM; echo $$ >>{pids}; while :; do sleep 600; done".format(pids=tmp_path / "pids")
    part = Part("parent", ("/bin/bash", "-c", f"(setsid /bin/bash -c {shlex.quote(stray)} &); exec sleep 600"))
    supervisor.start([part], timeout_s=60.0)
    [pid] = assert_eventually(lambda: _written(tmp_path / "pids"), 30.0)
    assert psutil.Process(pid).ppid() not in supervisor.pids("parent")
    assert supervisor.stop()
    assert not psutil.pid_exists(pid)


@pytest.mark.proof
def test_what_a_killed_daemon_left_is_stopped(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start([_part(tmp_path / "pids")], timeout_s=60.0)
    [child] = assert_eventually(lambda: _written(tmp_path / "pids"), 30.0)
    parts = supervisor.pids("stubborn")
    psutil.Process(int((tmp_path / "home" / "run" / "circus.pid").read_text())).kill()
    assert_eventually(lambda: not supervisor.alive(), 30.0)
    assert [pid for pid in (child, *parts) if psutil.pid_exists(pid)]
    assert supervisor.stop()
    assert not [pid for pid in (child, *parts) if psutil.pid_exists(pid)]


@pytest.mark.proof
def test_a_daemon_that_does_not_answer_is_stopped_too(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start([_part(tmp_path / "pids")], timeout_s=60.0)
    daemon = int((tmp_path / "home" / "run" / "circus.pid").read_text())
    assert Supervisor(Settings(home=tmp_path / "home", port_base=free_port_base())).stop()  # where nobody answers
    assert not psutil.pid_exists(daemon)


def test_a_pid_file_of_somebody_else_stops_nobody(supervisor: Supervisor, tmp_path: Path) -> None:
    (tmp_path / "home" / "run").mkdir(parents=True)
    (tmp_path / "home" / "run" / "circus.pid").write_text(str(os.getpid()))
    assert not supervisor.stop()


def test_two_systems_side_by_side_get_the_ports_of_their_bases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With parts that only write down what the start scripts would make of their environment."""
    monkeypatch.delenv("PORT_BASE", raising=False)
    systems = [Settings(home=tmp_path / name, port_base=free_port_base()) for name in ("one", "other")]
    supervisors = [Supervisor(settings) for settings in systems]
    try:
        for settings, supervisor in zip(systems, supervisors, strict=True):
            supervisor.start([_noting(settings.home / "ports")], timeout_s=60.0)
        for settings in systems:
            noted = assert_eventually(partial(_read, settings.home / "ports"))
            assert dict(line.split("=") for line in noted.split()) == tcp_ports.variables(settings.port_base)
        assert supervisors[0].stop()
        assert (supervisors[0].alive(), supervisors[1].alive()) == (False, True)
    finally:
        for supervisor in supervisors:
            supervisor.stop()


def test_the_system_of_another_checkout_is_not_taken_for_ones_own(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor.start([_part(tmp_path / "pids")], timeout_s=60.0)
    supervisor.refuse_other_checkout()
    monkeypatch.setattr("driftloop.ops.system.supervisor.ROOT", tmp_path)
    assert supervisor.other_checkout() == ROOT
    with pytest.raises(
        ConfigError, match=f"the system of {ROOT} uses these ports; .* choose other ports with PORT_BASE"
    ):
        supervisor.refuse_other_checkout()


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _noting(path: Path) -> Part:
    told = f"source {ROOT}/infra/env.sh; env | grep -E '^[A-Z_]+_PORT=' >{path}.partial; mv {path}.partial {path}"
    return Part("noting", ("/bin/bash", "-c", f"{told}; exec sleep 600"))


@pytest.mark.parametrize("base", ["", "29000"])
def test_a_start_script_by_itself_finds_its_ports(base: str) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if name not in tcp_ports.OFFSETS},
        "PORT_BASE": base,
    }
    script = f"set -euo pipefail; source {ROOT}/infra/env.sh; env"
    said = subprocess.run(
        ["/bin/bash", "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout
    found = dict(line.split("=", 1) for line in said.splitlines() if line.partition("=")[0] in tcp_ports.OFFSETS)
    assert found == tcp_ports.variables(int(base or 0))
