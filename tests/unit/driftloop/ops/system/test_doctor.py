from __future__ import annotations

import os
import re
import socket
from pathlib import Path

import pytest

from driftloop.ops import doctor
from driftloop.ops.doctor import Finding, exit_code
from driftloop.process.settings import ROOT, Settings
from driftloop.process.tcp_ports import names
from tests.helpers.ports import free_ports


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", loops_dir=tmp_path / "loops")


def test_missing_parts_of_the_setup_are_named(tmp_path: Path) -> None:
    (tmp_path / "kafka" / "lib").mkdir(parents=True)
    finding = doctor.check_setup(tmp_path)
    assert (finding.state, finding.do) == ("wrong", "run `make setup`")
    assert finding.what.startswith("Python packages, Triton not in")
    (tmp_path / "triton").mkdir()
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").touch()
    assert doctor.check_setup(tmp_path).state == "warning"
    (tmp_path / "prometheus").mkdir()
    assert doctor.check_setup(tmp_path).state == "ok"


@pytest.mark.parametrize(
    ("output", "state"),
    [
        ('openjdk version "17.0.9" 2023-10-17\n', "ok"),
        ('openjdk version "21" 2023-09-19\n', "ok"),
        ('java version "1.8.0_391"\n', "wrong"),
        ("", "wrong"),
    ],
)
def test_java_is_judged_by_its_version(
    output: str, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\nprintf '%s' '{output}' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert doctor.check_java().state == state


def test_a_missing_java_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    finding = doctor.check_java()
    assert finding.state == "wrong"
    assert "make setup" in finding.do


@pytest.mark.parametrize(("free_gib", "state"), [(10.0, "ok"), (2.0, "warning"), (0.1, "wrong")])
def test_a_disk_is_judged_by_its_free_space(settings: Settings, free_gib: float, state: str) -> None:
    finding = doctor.check_home(settings.home, free_bytes=lambda _: int(free_gib * 2**30))
    assert finding.state == state


def test_a_home_that_is_not_writable_is_wrong(settings: Settings) -> None:
    finding = doctor.check_home(settings.home, is_writable=lambda _: False)
    assert (finding.state, "DRIFTLOOP_HOME" in finding.do) == ("wrong", True)


def test_a_port_in_use_is_reported_with_its_owner(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as mine, socket.socket() as other:
        mine.bind(("127.0.0.1", 0))
        mine.listen()
        other.bind(("127.0.0.1", 0))
        free = other.getsockname()[1]
        other.close()
        for name in names():
            monkeypatch.setenv(name, str(free))
        monkeypatch.setenv("KAFKA_PORT", str(mine.getsockname()[1]))
        [finding] = doctor.check_ports(settings, up=False)
    assert finding.state == "wrong"
    assert finding.what.startswith("KAFKA_PORT")
    assert f"(pid {os.getpid()})" in finding.what
    assert re.fullmatch(
        r"stop that process, or move all ports: PORT_BASE=2\d+00 in the environment or in .env", finding.do
    )


def test_wrong_and_missing_loops_are_reported(settings: Settings) -> None:
    loops, finding = doctor.check_loops(settings)
    assert (loops, finding.state) == ([], "wrong")
    assert "driftloop init" in finding.do
    (settings.loops_dir / "barn").mkdir(parents=True)
    (settings.loops_dir / "barn" / "loop.yaml").write_text("loop: [")
    loops, finding = doctor.check_loops(settings)
    assert "loop.yaml:1: not YAML" in finding.what
    loops, finding = doctor.check_loops(settings.model_copy(update={"loops_dir": ROOT / "loops"}))
    assert ([loop.name for loop in loops], finding.state) == (["flights"], "ok")


def test_a_stopped_system_gets_all_checks(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_PORT", str(free_ports(1)[0]))
    settings = settings.model_copy(update={"loops_dir": ROOT / "loops"})
    findings = [finding.name for finding in doctor.find_problems(settings)]
    assert findings[:4] == ["set-up", "Java", "disk", "memory"]
    assert findings[-1] == "loops"


def test_only_wrong_findings_fail() -> None:
    assert exit_code([Finding("a", "ok", ""), Finding("b", "warning", "")]) == 0
    assert exit_code([Finding("a", "ok", ""), Finding("b", "wrong", "")]) == 1
