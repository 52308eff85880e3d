from __future__ import annotations

import importlib.util
import shlex
from pathlib import Path

import pytest

from driftloop.ops.system.part import SERVICES, Part
from driftloop.ops.system.parts import parts
from driftloop.ops.system.supervisor import Supervisor
from driftloop.process import tcp_ports
from driftloop.process.settings import ROOT, Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home")


def test_every_part_starts_an_existing_program(settings: Settings) -> None:
    for part in parts(settings):
        program = Path(part.command[0])
        assert program.is_absolute()
        if part.kind == "service":
            assert importlib.util.find_spec(part.command[2]) is not None
        elif program.name == "bash":
            assert Path(part.command[1]).is_file()


def test_infrastructure_comes_first_and_every_service_once(settings: Settings) -> None:
    all_parts = parts(settings)
    kinds = [part.kind for part in all_parts]
    assert kinds == sorted(kinds)
    assert [part.name for part in all_parts if part.kind == "service"] == list(SERVICES)
    assert len({part.name for part in all_parts}) == len(all_parts)


def test_every_service_has_its_own_health_port(settings: Settings) -> None:
    urls = {part.name: part.health_url for part in parts(settings)}
    for name in SERVICES:
        assert urls[name] == f"http://127.0.0.1:{tcp_ports.port(f'{name.upper()}_PORT')}/ready"
    assert urls.pop("kafka") == ""
    assert len(set(urls.values())) == len(urls)


def test_state_is_below_the_home(settings: Settings) -> None:
    environment = {part.name: part.environment for part in parts(settings)}
    for name, variable in (("kafka", "KAFKA_DIR"), ("triton", "TRITON_MODEL_REPOSITORY")):
        assert Path(environment[name][variable]).is_relative_to(settings.home)
    mlflow = next(part for part in parts(settings) if part.name == "mlflow")
    assert mlflow.environment["MLFLOW_BACKEND_STORE_URI"] == f"sqlite:///{settings.home / 'mlflow' / 'mlflow.db'}"
    assert mlflow.environment["MLFLOW_ALLOW_MODEL_CODE_EXECUTION"] == "false"


def test_the_supervisor_restarts_parts_without_limit_and_keeps_the_case_of_variables(settings: Settings) -> None:
    all_parts = parts(settings)
    config = Supervisor(settings).configuration(all_parts)
    assert config["circus"]["endpoint"] == str(settings.home / "run" / "supervisor")
    assert config["circus"]["pubsub_endpoint"].startswith("inproc://")
    for part in all_parts:
        watcher = config[f"watcher:{part.name}"]
        assert shlex.split(watcher["cmd"]) == list(part.command)
        assert watcher["max_retry"] == "-1"
        assert watcher["working_dir"] == str(ROOT)
        assert float(watcher["graceful_timeout"]) == part.stop_timeout_s
        assert Path(watcher["stdout_stream.filename"]).parent == settings.home / "logs"
        assert dict(config[f"env:{part.name}"]) == part.environment


def test_a_percent_sign_in_a_command_is_kept(settings: Settings) -> None:
    config = Supervisor(settings).configuration([Part("odd", ("/bin/echo", "100%", "a b"))])
    assert shlex.split(config["watcher:odd"]["cmd"]) == ["/bin/echo", "100%", "a b"]


def test_no_daemon_is_alive_on_a_free_port(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.helpers.ports import free_ports

    monkeypatch.setenv("KAFKA_PORT", str(free_ports(1)[0]))
    assert Supervisor(settings).stop() is False
