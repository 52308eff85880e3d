"""Back up the running system; `tests/e2e/test_backup.py` tests the restored system."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftloop.readmodel.loops import LoopState
from tests.e2e.running.asking import say, say_json, state
from tests.e2e.running.system import Running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200), pytest.mark.surface]


@pytest.fixture
def folder(running: Running) -> Iterator[Path]:
    """Return a folder for backups beside the home."""
    found = running.line.out / "copies"
    yield found
    shutil.rmtree(found, ignore_errors=True)


def test_a_copy_tells_of_what_moment_it_is_and_the_system_goes_on(running: Running, folder: Path) -> None:
    before, loop = running.pids(), state(running)
    told = say(running, "backup", str(folder / "monday"))
    assert loop.champion in told
    assert "predictions were answered meanwhile" in told
    found = say_json(running, "backup", str(folder / "monday.tar"))
    assert found["still_s"] > 0
    assert _answers(found["loops"][running.loop.name], loop)
    assert found["bytes"] < (folder / "monday.tar").stat().st_size
    assert sorted(each.name for each in folder.iterdir()) == ["monday", "monday.tar"]
    assert running.pids() == before


def _answers(told: dict[str, object], loop: LoopState) -> bool:
    return told["champion"] == loop.champion and told["epoch"] == loop.epoch


def test_wrong_arguments_are_refused_in_one_line_that_says_what_to_do(running: Running, folder: Path) -> None:
    folder.mkdir()
    refused = {
        ("backup",): "See `driftloop backup --help`",
        ("backup", str(folder)): "give another name",
        ("backup", str(folder / "x.tar.gz")): "compress that file",
        ("restore", str(folder)): "`driftloop down`",
        ("restore",): "See `driftloop restore --help`",
    }
    for arguments, says in refused.items():
        [line] = say(running, *arguments, code=2).splitlines()
        assert says in line
    assert list(folder.iterdir()) == []
