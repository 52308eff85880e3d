"""Back up the running system; `tests/e2e/test_backup.py` tests the restored system."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftloop.readmodel.loops import LoopState
from tests.e2e.running.commands import run_command, run_json, state
from tests.e2e.running.system import RunningSystem

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200), pytest.mark.surface]


@pytest.fixture
def folder(running: RunningSystem) -> Iterator[Path]:
    """Return a folder for backups beside the home."""
    copies = running.line.out / "copies"
    yield copies
    shutil.rmtree(copies, ignore_errors=True)


def test_a_backup_names_its_moment_and_the_system_continues(running: RunningSystem, folder: Path) -> None:
    before, loop = running.pids(), state(running)
    output = run_command(running, "backup", str(folder / "monday"))
    assert loop.champion in output
    assert "predictions were answered meanwhile" in output
    backup = run_json(running, "backup", str(folder / "monday.tar"))
    assert backup["still_s"] > 0
    assert _matches(backup["loops"][running.loop.name], loop)
    assert backup["bytes"] < (folder / "monday.tar").stat().st_size
    assert sorted(path.name for path in folder.iterdir()) == ["monday", "monday.tar"]
    assert running.pids() == before


def _matches(backup: dict[str, object], loop: LoopState) -> bool:
    return backup["champion"] == loop.champion and backup["epoch"] == loop.epoch


def test_a_wrong_argument_is_one_line_that_says_what_to_do(running: RunningSystem, folder: Path) -> None:
    folder.mkdir()
    refused = {
        ("backup",): "See `driftloop backup --help`",
        ("backup", str(folder)): "give another name",
        ("backup", str(folder / "x.tar.gz")): "compress that file",
        ("restore", str(folder)): "`driftloop down`",
        ("restore",): "See `driftloop restore --help`",
    }
    for arguments, says in refused.items():
        [line] = run_command(running, *arguments, code=2).splitlines()
        assert says in line
    assert list(folder.iterdir()) == []
