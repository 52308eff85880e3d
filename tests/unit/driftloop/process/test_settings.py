from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from driftloop.process import tcp_ports
from driftloop.process.errors import ConfigError
from driftloop.process.settings import ROOT, Settings


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DRIFTLOOP_HOME", str(tmp_path))
    monkeypatch.setenv("DRIFTLOOP_LOOPS", '["orders"]')
    settings = Settings()
    assert settings.home == tmp_path
    assert settings.loops == ("orders",)
    assert {settings.lake, settings.bundles, settings.spool, settings.triton} == {
        tmp_path / name for name in ("lake", "bundles", "spool", "triton")
    }


def test_each_triton_has_its_own_folders_and_the_first_keeps_its_own(tmp_path: Path) -> None:
    first, second = Settings(home=tmp_path), Settings(home=tmp_path, triton_name="two")
    assert (first.spool, first.triton) == (tmp_path / "spool", tmp_path / "triton")
    assert (second.spool, second.triton) == (tmp_path / "spool-two", tmp_path / "triton-two")
    assert (first.with_triton("serving"), second.with_triton("serving")) == ("serving", "serving-two")
    with pytest.raises(ValidationError):
        Settings(triton_name="Two/..")


def test_default_paths_are_in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "LOOPS_DIR", "FEATURE_REPO"):
        monkeypatch.delenv(f"DRIFTLOOP_{name}", raising=False)
    settings = Settings()
    assert (settings.home, settings.loops_dir) == (ROOT / "var", ROOT / "loops")


def test_unknown_and_invalid_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="kafka_botstrap"):
        Settings(kafka_botstrap="x")  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="health_port"):
        Settings(health_port=70_000)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().home = Path("/elsewhere")  # type: ignore[misc]


def test_each_service_has_its_own_database(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.database_url("registry") == f"sqlite:///{tmp_path}/state/registry.db"
    assert (tmp_path / "state").is_dir()
    shared = Settings(home=tmp_path, state_url="postgresql://db/driftloop_{service}")
    assert shared.database_url("registry") == "postgresql://db/driftloop_registry"


def test_a_variable_overrides_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    written = tcp_ports.port("KAFKA_PORT")
    monkeypatch.setenv("KAFKA_PORT", "4711")
    assert tcp_ports.port("KAFKA_PORT") == 4711
    assert tcp_ports.local("KAFKA_PORT") == Settings().kafka_bootstrap == "127.0.0.1:4711"
    monkeypatch.delenv("KAFKA_PORT")
    assert tcp_ports.port("KAFKA_PORT") == written


@pytest.mark.parametrize("value", ["0", "65536", "-1", "kafka", "90 92", "9092.5"])
def test_an_invalid_port_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("KAFKA_PORT", value)
    with pytest.raises(ConfigError, match=f"KAFKA_PORT is '{value}'"):
        tcp_ports.port("KAFKA_PORT")


def test_an_unknown_port_name_is_refused() -> None:
    with pytest.raises(ConfigError, match="CHEESE_PORT is None; set a port from 1 to 65535"):
        tcp_ports.port("CHEESE_PORT")


def test_a_base_moves_all_ports_without_an_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT_BASE", "29000")
    assert {name: tcp_ports.port(name) - 29_000 for name in tcp_ports.names()} == tcp_ports.OFFSETS
    assert Settings().mlflow_uri == f"http://127.0.0.1:{29_000 + tcp_ports.OFFSETS['MLFLOW_PORT']}"
    monkeypatch.setenv("KAFKA_PORT", "4711")
    assert (Settings().kafka_bootstrap, Settings().port("REDIS_PORT")) == ("127.0.0.1:4711", 29_041)


def test_a_base_may_be_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PORT_BASE", raising=False)
    monkeypatch.setattr(tcp_ports, "env_file", lambda: {"PORT_BASE": "31000", "KAFKA_PORT": "19092"})
    assert Settings().kafka_bootstrap == "127.0.0.1:31000"
    monkeypatch.setenv("PORT_BASE", "32000")
    assert Settings().kafka_bootstrap == "127.0.0.1:32000"


@pytest.mark.parametrize("value", ["29050", "1000", "65500", "-100", "many"])
def test_an_invalid_base_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("PORT_BASE", value)
    with pytest.raises(ConfigError, match=f"PORT_BASE is '?{value}'?; use a multiple of 100 from 1100 to 65400"):
        Settings()


def test_a_base_in_the_settings_is_enough(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, port_base=31_000, loops=("orders",))
    assert (settings.triton_grpc, settings.port("DETECTORS_PORT")) == ("127.0.0.1:31010", 31_057)
    with pytest.raises(ConfigError, match="PORT_BASE is 31050"):
        Settings(port_base=31_050)
    for name, value in settings.variables().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings  # what a process is that is started under them


def test_each_home_has_its_own_control_token_which_stays_the_same(tmp_path: Path) -> None:
    tokens = [Settings(home=tmp_path / name).control_token() for name in ("one", "other", "one")]
    assert tokens[0] == tokens[2]
    assert tokens[0] != tokens[1]
    assert len(tokens[0]) >= 40


def test_a_control_token_that_is_set_is_used_and_no_file_is_written(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", triton_control_token="given")
    assert settings.control_token() == "given"
    assert not settings.home.exists()


def test_a_secret_is_in_no_text_of_the_settings(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, triton_control_token="hush", state_url="postgresql://me:hush@db/{service}")
    assert "hush" not in f"{settings!r} {settings}"


def test_the_state_url_may_be_in_a_file_which_other_processes_get(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "url").write_text("postgresql://me:hush@db/{service}\n")
    settings = Settings(home=tmp_path, state_url_file=str(tmp_path / "url"))
    assert settings.database_url("registry") == "postgresql://me:hush@db/registry"
    assert "hush" not in str(settings.variables())
    for name, value in settings.variables().items():
        monkeypatch.setenv(name, value)
    assert Settings() == settings
    monkeypatch.setenv("DRIFTLOOP_STATE_URL", "postgresql://other/{service}")
    with pytest.raises(ConfigError, match="are both set; unset one"):
        Settings()
    with pytest.raises(ConfigError, match=r"DRIFTLOOP_STATE_URL_FILE is '/no/such', which cannot be read"):
        Settings(state_url_file="/no/such")


@pytest.mark.parametrize("url", ["postgresql://db/driftloop", "postgresql://me:{x}@db/{service}", "postgresql://{"])
def test_a_state_url_without_a_place_for_the_service_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"write \{service\} where the service's name belongs") as refused:
        Settings(state_url=url)
    assert url not in str(refused.value)


def test_every_setting_has_a_docstring() -> None:
    """Pydantic keeps no attribute docstrings: the file has one after each field."""
    lines = (ROOT / "driftloop" / "process" / "settings.py").read_text().splitlines()
    for name in Settings.model_fields:
        at = next(number for number, line in enumerate(lines) if line.startswith(f"    {name}:"))
        assert lines[at + 1].strip().startswith('"""'), name
