from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from driftloop import ports
from driftloop.config import ROOT, Settings
from driftloop.errors import ConfigError


def test_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DRIFTLOOP_HOME", str(tmp_path))
    monkeypatch.setenv("DRIFTLOOP_LOOPS", '["orders"]')
    settings = Settings()
    assert settings.home == tmp_path
    assert settings.loops == ("orders",)
    assert {settings.lake, settings.bundles, settings.spool, settings.triton} == {
        tmp_path / name for name in ("lake", "bundles", "spool", "triton")
    }


def test_defaults_stand_in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "LOOPS_DIR", "FEATURE_REPO"):
        monkeypatch.delenv(f"DRIFTLOOP_{name}", raising=False)
    settings = Settings()
    assert (settings.home, settings.loops_dir) == (ROOT / "var", ROOT / "loops")


def test_unknown_and_impossible_settings_are_refused() -> None:
    with pytest.raises(ValidationError, match="kafka_botstrap"):
        Settings(kafka_botstrap="x")  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="health_port"):
        Settings(health_port=70_000)


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().home = Path("/elsewhere")  # type: ignore[misc]


def test_a_service_has_a_database_of_its_own(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    assert settings.database_url("registry") == f"sqlite:///{tmp_path}/state/registry.db"
    assert (tmp_path / "state").is_dir()
    shared = Settings(home=tmp_path, state_url="postgresql://db/driftloop_{service}")
    assert shared.database_url("registry") == "postgresql://db/driftloop_registry"


def test_a_variable_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    written = ports.port("KAFKA_PORT")
    monkeypatch.setenv("KAFKA_PORT", "4711")
    assert ports.port("KAFKA_PORT") == 4711
    assert ports.local("KAFKA_PORT") == Settings().kafka_bootstrap == "127.0.0.1:4711"
    monkeypatch.delenv("KAFKA_PORT")
    assert ports.port("KAFKA_PORT") == written


@pytest.mark.parametrize("value", ["0", "65536", "-1", "kafka", "90 92", "9092.5"])
def test_what_is_no_port_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("KAFKA_PORT", value)
    with pytest.raises(ConfigError, match=f"KAFKA_PORT is '{value}'"):
        ports.port("KAFKA_PORT")


def test_a_port_that_nobody_named_is_refused() -> None:
    with pytest.raises(ConfigError, match="CHEESE_PORT is None; give a port from 1 to 65535"):
        ports.port("CHEESE_PORT")


def test_every_setting_has_a_sentence() -> None:
    """Pydantic keeps no attribute docstrings: the file has one after each field."""
    lines = (ROOT / "driftloop" / "config.py").read_text().splitlines()
    for name in Settings.model_fields:
        at = next(number for number, line in enumerate(lines) if line.startswith(f"    {name}:"))
        assert lines[at + 1].strip().startswith('"""'), name
