"""``driftloop init``: what it makes is right as it is, for each kind of label."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from driftloop.loop.scaffold import KINDS
from driftloop.process.settings import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.surface, pytest.mark.extended]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "loops").mkdir()
    (tmp_path / "loops" / "__init__.py").touch()
    (tmp_path / "feature_repo").mkdir()
    shutil.copy(ROOT / "feature_repo" / "feature_store.yaml", tmp_path / "feature_repo")
    return {
        **os.environ,
        "DRIFTLOOP_LOOPS_DIR": str(tmp_path / "loops"),
        "DRIFTLOOP_FEATURE_REPO": str(tmp_path / "feature_repo"),
    }


def python(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT, env=environment, text=True, capture_output=True, check=False, timeout=200,
    )  # fmt: skip


def init(environment: dict[str, str], kind: str) -> list[Path]:
    """Make a loop; returns its files."""
    made = python(environment, "driftloop.ops.cli", "init", f"parcels_{kind}", "--kind", kind, "--json")
    assert made.returncode == 0, made.stderr
    return [Path(name) for name in json.loads(made.stdout)]


def test_new_loops_of_each_kind_pass_check(environment: dict[str, str], tmp_path: Path) -> None:
    for kind in KINDS:
        files = init(environment, kind)
        assert all(path.exists() for path in files)
        assert {path.relative_to(tmp_path).parts[0] for path in files} == {"loops", "feature_repo"}
    checked = python(environment, "driftloop.ops.cli", "check", "--json")
    assert checked.returncode == 0, checked.stdout
    assert list(json.loads(checked.stdout)) == sorted(f"parcels_{kind}" for kind in KINDS)
    for tool in (("check", "--ignore", "D103,I001,S101"), ("format", "--check")):  # outside of the checkout
        linted = python(environment, "ruff", *tool, "--config", str(ROOT / "pyproject.toml"), str(tmp_path))
        assert linted.returncode == 0, linted.stdout


@pytest.mark.parametrize("kind", [KINDS[0], *(pytest.param(kind, marks=pytest.mark.proof) for kind in KINDS[1:])])
def test_a_new_loop_passes_its_own_test(environment: dict[str, str], tmp_path: Path, kind: str) -> None:
    init(environment, kind)
    tested = python(
        environment, "pytest", "-q", "-p", "no:cacheprovider", "-o", f"pythonpath={tmp_path}",
        "-k", "not definition_is_valid", str(tmp_path / "loops"),
    )  # fmt: skip
    assert "2 passed" in tested.stdout, tested.stdout + tested.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["Parcels"], "invalid loop name 'Parcels'"),
        (["parcels", "--kind", "ordinal"], "'ordinal' is not one of 'binary', 'regression', 'count', 'multiclass'"),
        ([], "Missing argument 'NAME'"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_code_2(
    environment: dict[str, str], arguments: list[str], told: str
) -> None:
    done = python(environment, "driftloop.ops.cli", "init", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_what_is_there_is_not_written_over(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "feature_repo" / "parcels.py").write_text("MINE = 1\n")
    done = python(environment, "driftloop.ops.cli", "init", "parcels")
    assert done.returncode == 2
    assert "parcels.py exists already" in done.stderr
    assert not (tmp_path / "loops" / "parcels").exists()
    assert (tmp_path / "feature_repo" / "parcels.py").read_text() == "MINE = 1\n"
