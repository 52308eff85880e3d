"""`up` checks and fits a loop that is new to the home or has changed, and no other."""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from driftloop.loop import Loop, load_loops
from driftloop.loop.findings import Findings
from driftloop.process.errors import LoopDefinitionError
from driftloop.process.settings import ROOT, Settings
from tests.helpers.editing import replace_once

NEW_LOOPS: Any = importlib.import_module("driftloop.ops.new_loops")


class World:
    """A home and a folder with one loop; a test chooses what the checks find."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(home=folder / "home", loops_dir=folder / "loops", feature_repo=folder / "feature_repo")
        self.folder = folder / "loops" / "orders"
        shutil.copytree(ROOT / "tests" / "loops" / "orders", self.folder)
        shutil.copytree(ROOT / "tests" / "loops" / "feature_repo", folder / "feature_repo")
        self.tried: list[str] = []
        self.problems: dict[str, list[str]] = {"check": [], "fit": []}

    def check(self, _: Settings, names: Sequence[str]) -> dict[str, Findings]:
        return {name: Findings(tuple(self.problems["check"])) for name in names}

    def fit(self, _: Settings, loop: Loop, _features: object) -> list[str]:
        self.tried.append(loop.name)
        return self.problems["fit"]

    def up(self) -> list[str]:
        """Check new loops, and return those whose trainer was fitted."""
        self.tried = []
        shown: list[str] = []
        try:
            NEW_LOOPS.check_new_loops(self.settings, load_loops(self.settings.loops_dir), shown.append)
        finally:
            assert shown == self.tried
        return self.tried


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World(tmp_path)
    monkeypatch.setattr(NEW_LOOPS, "check_loops", world.check)
    monkeypatch.setattr(NEW_LOOPS, "try_loop", world.fit)
    return world


def test_a_new_loop_is_fitted_once(world: World) -> None:
    assert world.up() == ["orders"]
    assert world.up() == []


@pytest.mark.parametrize("name", ["loop.yaml", "model.py"])
def test_a_changed_loop_is_fitted_again(world: World, name: str) -> None:
    world.up()
    path = world.folder / name
    path.write_text(path.read_text() + "\n# changed\n")
    assert world.up() == ["orders"]
    (world.settings.feature_repo / "orders.py").open("a").write("# changed\n")
    assert world.up() == ["orders"]


def test_a_loop_with_events_that_was_never_checked_starts_as_before(world: World) -> None:
    (world.settings.home / "lake" / "orders").mkdir(parents=True)
    assert world.up() == []


def test_a_change_of_a_readme_is_none(world: World) -> None:
    world.up()
    (world.folder / "README.md").write_text("changed")
    assert world.up() == []


@pytest.mark.parametrize("step", ["check", "fit"])
def test_a_problem_is_reported_until_it_is_fixed(world: World, step: str) -> None:
    world.problems[step] = ["loop.yaml:3: wrong"]
    for _ in range(2):
        with pytest.raises(LoopDefinitionError, match=r"loop\.yaml:3: wrong"):
            world.up()
    world.problems[step] = []
    replace_once(world.folder / "loop.yaml", "description: When", "description: So when")
    assert world.up() == ["orders"]
