"""When `up` is done, and when it probes the system; with a fake supervisor and fake topics."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from driftloop.bus.topic_plan import TopicChanges
from driftloop.ops.system.probes import Deadline, Probe
from driftloop.ops.system.status import read_ready_s
from driftloop.ops.system.up import Started
from driftloop.process.errors import ConfigError, DriftloopError
from driftloop.process.settings import ROOT, Settings
from driftloop.process.startup_errors import write_startup_errors

UP: Any = importlib.import_module("driftloop.ops.system.up")
PROBES = ["inference", "event probe"]


class Idle:
    """A supervisor without parts."""

    def __init__(self) -> None:
        self.runs = False
        self.restarted: list[str] = []

    def __call__(self, _: Settings) -> Idle:
        return self

    def alive(self) -> bool:
        return self.runs

    def refuse_other_checkout(self) -> None:
        pass

    def start(self, _: object) -> None:
        self.runs = True

    def restart(self, names: list[str]) -> None:
        self.restarted += names

    def stop(self, **_: object) -> None:
        self.runs = False


class World:
    """A system without parts; a test chooses the answers of its probes."""

    def __init__(self, home: Path) -> None:
        loops = home / "loops"
        shutil.copytree(ROOT / "tests" / "loops" / "orders", loops / "orders")
        self.settings = Settings(home=home, loops_dir=loops)
        self.supervisor = Idle()
        self.probed: list[str] = []
        self.progress: list[str] = []
        self.conflicts: tuple[str, ...] = ()
        self.answer: Callable[[str, Deadline], None] = lambda name, _: self.probed.append(name)

    def probes(self, *_: object) -> list[Probe]:
        return [Probe(name, "triton", lambda: True, partial(self._ask, name)) for name in PROBES]

    def _ask(self, name: str, deadline: Deadline) -> None:
        self.answer(name, deadline)

    def up(self, timeout_s: float = 60.0) -> Started:
        started: Started = UP.start_system(self.settings, lambda name, _: self.progress.append(name), timeout_s)
        return started


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    kafka = type("Kafka", (), {"name": "kafka", "kind": "infrastructure"})()
    ingestion = type("Ingestion", (), {"name": "ingestion", "kind": "service"})()
    for name, stand_in in (
        ("Supervisor", world.supervisor),
        ("apply_topics", lambda *_, **__: TopicChanges(conflicts=world.conflicts)),
        ("parts", lambda _: [kafka, ingestion]),
        ("ready", lambda *_: True),
        ("make_probes", world.probes),
    ):
        monkeypatch.setattr(UP, name, stand_in)
    return world


def fail(_name: str, _deadline: Deadline) -> None:
    raise DriftloopError("nobody answered")


def test_a_start_waits_for_the_probes_and_measures_them(world: World) -> None:
    started = world.up()
    assert sorted(world.probed) == sorted(PROBES)
    assert sorted(world.progress) == sorted(started.ready_s) == ["event probe", "inference", "ingestion", "kafka"]
    assert read_ready_s(world.settings) == started.ready_s
    assert not started.already


def test_a_start_names_topics_that_differ_from_their_declaration(world: World) -> None:
    world.conflicts = ("the topic orders.placed has 3 partitions",)
    assert world.up().differences == world.conflicts


def test_a_running_system_is_not_probed_again(world: World) -> None:
    world.up()
    measured = read_ready_s(world.settings)
    assert world.up().already
    assert len(world.probed) == len(PROBES)
    assert read_ready_s(world.settings) == measured


def test_a_restarted_system_is_probed_again(world: World) -> None:
    world.up()
    world.supervisor.stop()
    world.up()
    assert len(world.probed) == 2 * len(PROBES)


def test_a_failed_probe_runs_again_and_the_system_keeps_running(world: World) -> None:
    world.up()
    world.supervisor.stop()
    answer, world.answer = world.answer, fail
    with pytest.raises(DriftloopError, match="nobody answered"):
        world.up()
    assert world.supervisor.runs
    assert read_ready_s(world.settings) == {}
    world.answer = answer
    assert world.up().already
    assert len(world.probed) == 2 * len(PROBES)
    assert read_ready_s(world.settings).keys() == {"kafka", "ingestion", *PROBES}


def test_no_answer_in_time_names_the_probes_and_a_log(world: World) -> None:
    world.answer = lambda _, deadline: _until_cancelled(deadline)
    with pytest.raises(DriftloopError, match=r"not ready after 0 s: inference, event probe; see \S+/logs/triton\.log$"):
        world.up(timeout_s=0.1)


def test_a_refused_configuration_ends_the_wait_for_probes(world: World) -> None:
    def answer(name: str, deadline: Deadline) -> None:
        if name == "inference":
            write_startup_errors(world.settings.home, "ingestion", "loop.yaml:3: wrong")
        _until_cancelled(deadline)

    world.answer = answer
    with pytest.raises(ConfigError, match=r"loop\.yaml:3"):
        world.up()
    assert not world.supervisor.runs


def _until_cancelled(deadline: Deadline) -> None:
    deadline.wait(60.0)


def add_loop(world: World, name: str) -> None:
    folder = world.settings.loops_dir / name
    shutil.copytree(world.settings.loops_dir / "orders", folder)
    path = folder / "loop.yaml"
    path.write_text(path.read_text().replace("loop: orders", f"loop: {name}"))


def test_services_restart_for_a_loop_that_was_added(world: World) -> None:
    world.up()
    assert world.up().added == ()
    world.probed.clear()
    add_loop(world, "returns")
    started = world.up()
    assert (started.already, started.added) == (True, ("returns",))
    assert world.supervisor.restarted == ["ingestion"]
    assert sorted(world.probed) == sorted(PROBES)
    assert world.up().added == ()
    assert world.supervisor.restarted == ["ingestion"]


def test_a_running_system_of_an_older_version_is_left_as_it_is(world: World) -> None:
    world.up()
    (world.settings.home / "run" / "loops.json").unlink()
    add_loop(world, "returns")
    assert world.up().added == ()


def test_a_loop_that_the_services_cannot_find_is_reported(world: World, tmp_path: Path) -> None:
    world.up()
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(world.settings.loops_dir, elsewhere)
    world.settings = world.settings.model_copy(update={"loops_dir": elsewhere})
    assert world.up().added == ()
    add_loop(world, "returns")
    with pytest.raises(
        ConfigError, match=r"not know returns: it was started with DRIFTLOOP_LOOPS_DIR=.*driftloop down"
    ):
        world.up()
