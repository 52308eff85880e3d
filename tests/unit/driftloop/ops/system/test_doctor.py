from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
from collections import namedtuple
from pathlib import Path
from typing import Any

import pytest

from driftloop.ops import doctor
from driftloop.ops.doctor import Finding, exit_code
from driftloop.process.settings import ROOT, Settings
from driftloop.process.tcp_ports import names

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", loops_dir=tmp_path / "loops")


def test_a_check_setup_that_lacks_something_names_it(tmp_path: Path) -> None:
    (tmp_path / "kafka" / "lib").mkdir(parents=True)
    found = doctor._check_setup(tmp_path)
    assert (found.state, found.do) == ("wrong", "run `make setup`")
    assert found.what.startswith("Python packages, Triton not in")
    (tmp_path / "triton").mkdir()
    (tmp_path / "venv" / "bin").mkdir(parents=True)
    (tmp_path / "venv" / "bin" / "python").touch()
    assert doctor._check_setup(tmp_path).state == "warning"
    (tmp_path / "prometheus").mkdir()
    assert doctor._check_setup(tmp_path).state == "ok"


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ('openjdk version "17.0.9" 2023-10-17\n', "ok"),
        ('openjdk version "21" 2023-09-19\n', "ok"),
        ('java version "1.8.0_391"\n', "wrong"),
        ("", "wrong"),
    ],
)
def test_java_is_judged_by_its_version(said: str, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = subprocess.CompletedProcess([], 0, "", said)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    assert doctor._java().state == state


def test_no_java_at_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found = doctor._java()
    assert found.state == "wrong"
    assert "make setup" in found.do


@pytest.mark.parametrize(("free_gib", "state"), [(10.0, "ok"), (2.0, "warning"), (0.1, "wrong")])
def test_a_disk_is_judged_by_what_is_free(
    settings: Settings, free_gib: float, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, free_gib * 2**30))
    [found] = doctor._home(settings.home)
    assert found.state == state


def test_a_home_that_cannot_be_written_is_wrong(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    [found] = doctor._home(settings.home)
    assert (found.state, "DRIFTLOOP_HOME" in found.do) == ("wrong", True)


def test_a_port_in_use_is_told_with_who_uses_it(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as mine, socket.socket() as other:
        mine.bind(("127.0.0.1", 0))
        mine.listen()
        other.bind(("127.0.0.1", 0))
        free = other.getsockname()[1]
        other.close()
        for name in names():
            monkeypatch.setenv(name, str(free))
        monkeypatch.setenv("KAFKA_PORT", str(mine.getsockname()[1]))
        [found] = doctor._ports(settings, up=False)
    assert found.state == "wrong"
    assert found.what.startswith("KAFKA_PORT")
    assert f"(pid {os.getpid()})" in found.what
    assert re.fullmatch(
        r"stop that process, or move all ports: PORT_BASE=2\d+00 in the environment or in .env", found.do
    )


def test_loops_that_are_wrong_or_absent_are_told(settings: Settings) -> None:
    loops, found = doctor._loops(settings)
    assert (loops, found.state) == ([], "wrong")
    assert "driftloop init" in found.do
    (settings.loops_dir / "barn").mkdir(parents=True)
    (settings.loops_dir / "barn" / "loop.yaml").write_text("loop: [")
    loops, found = doctor._loops(settings)
    assert "loop.yaml:1: not YAML" in found.what
    loops, found = doctor._loops(settings.model_copy(update={"loops_dir": ROOT / "loops"}))
    assert ([each.name for each in loops], found.state) == (["flights"], "ok")


def test_a_system_that_is_down_is_looked_at_whole(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "Supervisor", lambda _: Down())
    names_of = [each.name for each in doctor.find_problems(settings.model_copy(update={"loops_dir": ROOT / "loops"}))]
    assert names_of[:4] == ["set-up", "Java", "disk", "memory"]
    assert names_of[-1] == "loops"


class Down:
    def alive(self, *_: Any) -> bool:
        return False

    def other_checkout(self) -> None:
        return None


def test_only_what_is_wrong_fails() -> None:
    assert exit_code([Finding("a", "ok", ""), Finding("b", "warning", "")]) == 0
    assert exit_code([Finding("a", "ok", ""), Finding("b", "wrong", "")]) == 1
