"""The definitions are read alike by every process: a checkpoint of other views is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from driftloop.process.settings import ROOT

pytestmark = [pytest.mark.integration, pytest.mark.extended]

_TELL = """
import sys
from pathlib import Path
from driftloop.featurestore import feast_import
feast_import.load()
from driftloop.process.settings import Settings
from driftloop.featurestore.feast_client import open_store
from driftloop.loop import load_loops
from services.features.adapters.feast_views import apply
settings = Settings(home=Path(sys.argv[1]))
print(apply(open_store(settings), load_loops(settings.loops_dir, ["flights"]), settings.feature_repo))
"""


def _views(home: Path, seed: int) -> str:
    """What a process whose strings hash by this seed reads."""
    environment = {**os.environ, "PYTHONHASHSEED": str(seed), "TZ": "UTC"}
    command = [sys.executable, "-W", "ignore", "-c", _TELL, str(home)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout


def test_views_are_the_same_after_a_restart(tmp_path: Path) -> None:
    first = _views(tmp_path, 1)
    assert "weather_latest" in first
    assert _views(tmp_path, 2) == first
