"""A run's spec keeps no password; the run takes it from its environment."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from driftloop.process.errors import ConfigError
from services.training.spec import (
    Failed,
    clear_pid,
    read_pid,
    read_result,
    read_spec,
    remove_stored_passwords,
    write_pid,
    write_result,
    write_spec,
)
from tests.unit.training.fakes import spec_in

STATE = "postgresql://me:hush-hush@db/{service}"
MLFLOW = "https://me:hush-hush@mlflow:5000"


def test_a_spec_is_read_as_it_was_written(tmp_path: Path) -> None:
    spec = spec_in(tmp_path)
    assert read_spec(write_spec(spec)) == spec


def test_a_password_is_not_stored_and_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(spec_in(tmp_path), state_url=STATE, mlflow_uri=MLFLOW)
    path = write_spec(spec)
    assert "hush" not in path.read_text()
    with pytest.raises(ConfigError, match=r"me:\*\*\*@db/.*set DRIFTLOOP_STATE_URL"):
        read_spec(path)
    monkeypatch.setenv("DRIFTLOOP_STATE_URL", STATE)
    monkeypatch.setenv("DRIFTLOOP_MLFLOW_URI", MLFLOW)
    assert read_spec(path) == spec
    monkeypatch.setenv("DRIFTLOOP_STATE_URL", STATE.replace("@db", "@another"))
    with pytest.raises(ConfigError, match="set DRIFTLOOP_STATE_URL"):
        read_spec(path)


def test_a_password_that_an_earlier_version_stored_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "training" / "orders" / "run-1" / "spec.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(asdict(spec_in(tmp_path)) | {"state_url": STATE}))
    remove_stored_passwords(tmp_path)
    assert "hush" not in path.read_text()
    assert json.loads(path.read_text())["run_id"] == "run-1"


def test_the_detail_of_a_failed_run_has_no_password(tmp_path: Path) -> None:
    write_result(tmp_path, Failed("error", f"cannot connect to {STATE}"))
    assert read_result(tmp_path) == Failed("error", "cannot connect to postgresql://me:***@db/{service}")


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff", b"3", b"[]", b"{}", b'{"kind": "trained"}', b'{"kind": "failed", "x": 1}']
)
def test_a_run_whose_result_is_damaged_has_failed(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "result.json").write_bytes(content)
    result = read_result(tmp_path)
    assert isinstance(result, Failed)
    assert "result.json is damaged" in result.detail


def test_a_damaged_spec_does_not_stop_the_service(tmp_path: Path) -> None:
    for number, content in enumerate((b"", b"{", b"3")):
        path = tmp_path / "training" / "orders" / f"run-{number}" / "spec.json"
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    remove_stored_passwords(tmp_path)


def test_a_process_id_is_valid_where_it_was_stored(tmp_path: Path) -> None:
    assert read_pid(tmp_path) is None
    write_pid(tmp_path, 12)
    assert read_pid(tmp_path) == 12
    (tmp_path / "pid").write_text("12 another-boot/pid:[1]")
    assert read_pid(tmp_path) is None
    (tmp_path / "pid").write_text("12")
    assert read_pid(tmp_path) == 12
    clear_pid(tmp_path)
    assert read_pid(tmp_path) is None
