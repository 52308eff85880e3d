"""``driftloop up`` refuses a wrong loop.yaml: one line with file and line, exit code 2, nothing left running."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.e2e.command_line import system
from tests.e2e.two_loops.harness import FLIGHTS, definitions

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


@pytest.mark.parametrize(
    ("before", "after", "key", "says"),
    [
        ("  max_advance: 2d", "  max_advanse: 2d", "max_advanse:", "unknown key"),
        pytest.param(
            "  feature_service: flights_v1",
            "  feature_service: flights_v9",
            "feature_service:",
            "no feature service",
            marks=pytest.mark.proof,  # a service detects it, after all have been started
        ),
        (
            "window: {first_champion: 28d, drift: 56d",
            "window: {first_champion: 28d, drift: -56d",
            "window: {first",
            "drift",
        ),
    ],
)
def test_up_names_the_file_line_and_mistake(tmp_path: Path, before: str, after: str, key: str, says: str) -> None:
    settings = definitions(tmp_path, [FLIGHTS])
    path = tmp_path / "loops" / FLIGHTS / "loop.yaml"
    shipped = path.parent.resolve()
    path.parent.unlink()
    shutil.copytree(shipped, path.parent)
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))
    line = next(at for at, content in enumerate(path.read_text().splitlines(), 1) if key in content)
    with system(tmp_path, settings) as driftloop:
        ended = driftloop.run("up", timeout_s=400.0)
        assert ended.returncode == 2, ended.stdout + ended.stderr
        [error] = ended.stderr.strip().splitlines()
        assert f"{path}:{line}: " in error
        assert says in error
        assert "Traceback" not in ended.stdout + ended.stderr
        assert "the system was not running" in driftloop.run("down").stdout
