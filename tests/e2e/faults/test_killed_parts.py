"""Every part restarts when it is killed, also after Triton died alone and its stubs live on."""

from __future__ import annotations

from functools import partial

import psutil
import pytest

from driftloop.ops.system.supervisor import Supervisor
from tests.e2e.faults.system import FaultySystem
from tests.helpers.eventually import assert_eventually

pytestmark = [pytest.mark.e2e, pytest.mark.proof, pytest.mark.timeout(900)]

RESTART_S = 60.0
"""Generous for a busy machine; the supervisor looks twice a second."""


def _successors(supervisor: Supervisor, name: str, killed: int) -> tuple[int, ...]:
    pids = supervisor.pids(name)
    return () if killed in pids else pids


def test_every_part_restarts_after_triton_died_alone(faulty: FaultySystem) -> None:
    supervisor = Supervisor(faulty.settings)
    names = [part.name for part in supervisor.running()]
    [server] = supervisor.pids("triton")
    stubs = psutil.Process(server).children(recursive=True)
    assert stubs
    for stub in stubs:
        stub.suspend()  # a stub that works ends by itself, after a while
    try:
        for name in ("triton", *(name for name in names if name != "triton")):
            [killed] = supervisor.pids(name)
            psutil.Process(killed).kill()
            assert_eventually(partial(_successors, supervisor, name, killed), RESTART_S, f"{name} again")
        assert all(stub.is_running() for stub in stubs)
    finally:
        for stub in stubs:
            stub.kill()
    assert_eventually(lambda: all(part["ready"] for part in faulty.status()["parts"]), 300.0, "all are ready")
    assert len(supervisor.running()) == len(names)
    faulty.assert_goes_on("after-all-were-killed")
    log = (faulty.settings.home / "logs" / "supervisor.log").read_text()
    assert "[ERROR]" not in log
