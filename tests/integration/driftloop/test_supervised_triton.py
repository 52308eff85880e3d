"""A real Triton under the supervisor, killed alone while its stubs live on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import psutil
import pytest
import tritonclient.grpc as grpc

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.ops.system.health import ready
from driftloop.ops.system.inference_probe import MODEL, SOURCE
from driftloop.ops.system.part import Part
from driftloop.ops.system.parts import parts
from driftloop.ops.system.supervisor import Supervisor
from driftloop.process.settings import Settings
from driftloop.process.triton_control import CONTROL_HEADER
from tests.helpers.eventually import assert_eventually
from tests.helpers.ports import free_port_base

pytestmark = [pytest.mark.integration, pytest.mark.triton, pytest.mark.extended]

OTHERS = ("kafka", "ingestion", "control")


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    settings = Settings(home=tmp_path / "home", port_base=free_port_base())
    settings.control_token()
    yield settings
    Supervisor(settings).stop()


def _triton(settings: Settings) -> Part:
    [part] = [part for part in parts(settings) if part.name == "triton"]
    return part


def _load(settings: Settings, names: list[str]) -> None:
    with closing(grpc.InferenceServerClient(settings.triton_grpc)) as client:
        for name in names:
            client.load_model(name, headers={CONTROL_HEADER: settings.control_token()})


def _restarted(supervisor: Supervisor, name: str, killed: int) -> tuple[int, ...]:
    pids = supervisor.pids(name)
    return () if killed in pids else pids


def test_every_part_restarts_after_tritonserver_was_killed_alone(settings: Settings) -> None:
    triton, supervisor = _triton(settings), Supervisor(settings)
    loops = ["one", "two"]
    for name in loops:
        shutil.copytree(SOURCE, settings.triton / "models" / name)
        config = settings.triton / "models" / name / "config.pbtxt"
        config.write_text(config.read_text().replace(MODEL, name))
    waits = [Part(name, ("/bin/bash", "-c", "exec sleep 600")) for name in OTHERS]
    supervisor.start([triton, *waits], timeout_s=60.0)
    assert_eventually(lambda: ready(triton, KafkaSettings("")), 60.0, "Triton")
    _load(settings, loops)
    [server] = supervisor.pids("triton")
    stubs = psutil.Process(server).children(recursive=True)
    assert len(stubs) == len(loops)
    for stub in stubs:
        stub.suspend()  # they end by themselves when they notice, which takes a while
    psutil.Process(server).kill()
    try:
        for name in ("triton", *OTHERS, *OTHERS):
            if name == "triton":
                assert_eventually(partial(_restarted, supervisor, name, server), 30.0, name)
                continue
            [killed] = supervisor.pids(name)
            psutil.Process(killed).kill()
            assert_eventually(partial(_restarted, supervisor, name, killed), 30.0, name)
        assert all(stub.is_running() for stub in stubs)
        assert_eventually(lambda: ready(triton, KafkaSettings("")), 60.0, "Triton again")
        _load(settings, loops)
        daemon = supervisor.daemon()
        assert daemon is not None
        assert len(daemon.children()) == 1 + len(OTHERS)
    finally:
        for stub in stubs:
            stub.kill()
