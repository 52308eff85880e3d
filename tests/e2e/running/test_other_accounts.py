"""What another account of the machine can learn from the running system, and do to it."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys

import psutil
import pytest

from driftloop.ops.system.control_socket import socket_folder
from driftloop.ops.system.supervisor import Supervisor
from driftloop.process.tcp_ports import OFFSETS
from tests.e2e.running.system import RunningSystem

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

_CONNECT = """
import os, socket, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
except OSError as error:
    print(type(error).__name__)
"""


def test_no_file_of_the_home_is_open_to_others(running: RunningSystem) -> None:
    home = running.settings.home
    paths = [home, *(path for path in home.rglob("*") if not path.is_symlink())]
    assert len(paths) > 100
    assert [path for path in paths if path.exists() and path.stat().st_mode & 0o077] == []


def test_no_command_line_has_a_secret(running: RunningSystem) -> None:
    secrets = [path.read_text() for path in (running.settings.home / "secrets").iterdir()]
    processes = Supervisor(running.settings).processes()
    lines = [argument for process in processes for argument in process.cmdline()]
    assert len(processes) > 12
    assert secrets
    assert [argument for argument in lines for secret in secrets if secret in argument] == []


def test_the_system_listens_on_its_declared_ports_of_this_machine_only(running: RunningSystem) -> None:
    processes = Supervisor(running.settings).processes()
    listening = [
        connection.laddr
        for process in processes
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {address.ip for address in listening} <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert {address.port for address in listening} <= {running.settings.port(name) for name in OFFSETS}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another account")
def test_another_account_cannot_reach_the_supervisor(running: RunningSystem) -> None:
    [path] = socket_folder(running.settings.home).iterdir()
    assert stat.S_ISSOCK(path.stat().st_mode)
    command = [sys.executable, "-I", "-c", _CONNECT, str(path)]
    tried = subprocess.run(command, capture_output=True, text=True, check=True)
    assert tried.stdout == "PermissionError\n"


def test_no_port_of_triton_takes_a_request_in_small_chunks(running: RunningSystem) -> None:
    [pid] = running.pids()["triton"]
    head = b"POST /v2/models/flights/infer HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    for name in ("TRITON_GRPC_PORT", "TRITON_METRICS_PORT"):
        with socket.create_connection(("127.0.0.1", running.settings.port(name)), timeout=30.0) as client:
            try:
                client.sendall(head + b"1\r\n0\r\n" * 1_000_000 + b"0\r\n\r\n")
                answer = client.recv(1024)
            except OSError:
                answer = b""
        assert b" 200 " not in answer
    assert running.pids()["triton"] == [pid]
