"""On a real supervisor: what it starts is gone when it is told to stop, whenever that is."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from driftloop.ops.system.control_socket import socket_folder
from driftloop.ops.system.part import Part
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


def daemon(supervisor: Supervisor) -> psutil.Process:
    process = supervisor.daemon()
    assert process is not None
    return process


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
    daemon(supervisor).kill()
    assert_eventually(lambda: not supervisor.alive(), 30.0)
    assert [pid for pid in (child, *parts) if psutil.pid_exists(pid)]
    assert supervisor.stop()
    assert not [pid for pid in (child, *parts) if psutil.pid_exists(pid)]


@pytest.mark.proof
def test_a_daemon_that_does_not_answer_is_stopped_too(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.start([_part(tmp_path / "pids")], timeout_s=60.0)
    process = daemon(supervisor)
    process.suspend()
    try:
        assert supervisor.stop(timeout_s=3.0)
        assert not process.is_running()
    finally:
        with suppress(psutil.NoSuchProcess):
            process.resume()


def test_a_daemon_of_the_same_home_with_other_ports_is_stopped_but_not_used(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    supervisor.start([_part(tmp_path / "pids")], timeout_s=60.0)
    process = daemon(supervisor)
    elsewhere = Supervisor(Settings(home=tmp_path / "home", port_base=free_port_base()))
    assert not elsewhere.alive()
    assert elsewhere.stop()
    assert not process.is_running()


def test_a_daemon_of_another_home_with_the_same_ports_is_used(supervisor: Supervisor, tmp_path: Path) -> None:
    base = free_port_base()
    system = Supervisor(Settings(home=tmp_path / "demo", port_base=base))
    system.start([_quiet("part")], timeout_s=60.0)
    elsewhere = Supervisor(Settings(home=tmp_path / "home", port_base=base))
    assert elsewhere.alive()
    assert elsewhere.stop()
    assert not system.alive()


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


_LEAVES_CHILDREN = "for n in 1 2 3; do (trap '' TERM; exec setsid sleep 600) & done; exec sleep 600"
"""A part whose children outlive it and keep its standard output and error open."""


def _quiet(name: str) -> Part:
    return Part(name, ("/bin/bash", "-c", "exec sleep 600"))


def test_every_part_restarts_after_one_died_whose_children_still_hold_its_pipes(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    parts = [Part("server", ("/bin/bash", "-c", _LEAVES_CHILDREN)), *map(_quiet, ("first", "second", "third"))]
    supervisor.start(parts, timeout_s=60.0)
    names = [part.name for part in parts]
    assert_eventually(lambda: all(map(supervisor.pids, names)), 30.0)
    for _ in range(2):
        for name in names:
            [killed] = supervisor.pids(name)
            psutil.Process(killed).kill()
            [restarted] = assert_eventually(partial(_restarted, supervisor, name, killed), 30.0, f"{name} again")
            assert psutil.pid_exists(restarted)
    log = (tmp_path / "home" / "logs" / "supervisor.log").read_text()
    assert "added twice" not in log
    assert len(daemon(supervisor).children()) == len(parts)


def _restarted(supervisor: Supervisor, name: str, killed: int) -> tuple[int, ...]:
    pids = supervisor.pids(name)
    return () if killed in pids else pids


def test_the_log_of_a_start_and_a_stop_has_no_errors(supervisor: Supervisor, tmp_path: Path) -> None:
    deaf = Part("deaf", ("/bin/bash", "-c", "trap '' TERM; while :; do sleep 600; done"), stop_timeout_s=2.0)
    supervisor.start([deaf, *(_quiet(f"part-{number}") for number in range(12))], timeout_s=60.0)
    assert supervisor.stop()
    log = (tmp_path / "home" / "logs" / "supervisor.log").read_text()
    assert "[ERROR]" not in log
    assert "Conflict" not in log


_CONNECT = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for folder, _, names in os.walk(sys.argv[1]):
    print("saw", folder, names)
client = socket.socket(socket.AF_UNIX)
try:
    client.connect(sys.argv[2])
except OSError as error:
    print(type(error).__name__)
else:
    print("connected")
"""


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A home in a folder that every account can enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder) / "home"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
@pytest.mark.parametrize("former_mode", [None, 0o777])
def test_another_account_cannot_reach_the_socket(open_home: Path, former_mode: int | None) -> None:
    if former_mode is not None:  # left by an earlier version, or by somebody who prepared it
        socket_folder(open_home).mkdir(parents=True)
        for folder in (open_home, open_home / "run", socket_folder(open_home)):
            folder.chmod(former_mode)
    supervisor = Supervisor(Settings(home=open_home, port_base=free_port_base()))
    try:
        supervisor.start([_quiet("part")], timeout_s=60.0)
        [path] = socket_folder(open_home).iterdir()
        tried = subprocess.run(
            [sys.executable, "-I", "-c", _CONNECT, str(open_home), str(path)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert tried.stdout.splitlines()[-1] == "PermissionError"
        assert path.name not in tried.stdout
        assert supervisor.alive()
    finally:
        supervisor.stop()


def test_the_daemon_listens_on_no_network(supervisor: Supervisor) -> None:
    supervisor.start([_quiet("part")], timeout_s=60.0)
    assert daemon(supervisor).net_connections("inet") == []


@pytest.mark.parametrize("length", [1, 200])
def test_the_path_of_a_home_may_be_long(tmp_path: Path, length: int) -> None:
    supervisor = Supervisor(Settings(home=tmp_path / ("h" * length) / "home", port_base=free_port_base()))
    for _ in range(2):  # the second daemon finds the socket of the first
        supervisor.start([_quiet("part")], timeout_s=60.0)
        try:
            assert supervisor.alive()
        finally:
            assert supervisor.stop()


def test_a_socket_folder_that_leads_elsewhere_is_refused(supervisor: Supervisor, tmp_path: Path) -> None:
    folder = socket_folder(tmp_path / "home")
    folder.parent.mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    folder.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="is a link or belongs to another user"):
        supervisor.start([_quiet("part")])
