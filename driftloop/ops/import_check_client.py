"""Asks training whether a loop can take a model that was trained elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from driftloop.process.errors import ConfigError, DriftloopError
from driftloop.process.settings import ROOT, Settings

DOOR = "services.training.importing.import_check"
"""Module that is run, in a process of its own: it needs ONNX Runtime, Feast and perhaps MLflow."""


def look(settings: Settings, folder: Path, options: Sequence[str]) -> dict[str, Any]:
    """A model as the command `import` has it, under `model`, and `notes` on how it is asked.

    Raises:
        ConfigError: the loop cannot take it.
        DriftloopError: the process that looks at it died.
    """
    done = subprocess.run(
        [sys.executable, "-m", DOOR, str(folder.resolve()), *options],
        cwd=ROOT, env={**os.environ, **settings.variables()}, text=True, check=False,
        stdin=subprocess.DEVNULL, capture_output=True,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise DriftloopError(f"looking at the model ended with exit code {done.returncode}: {last}")
    found: dict[str, Any] = json.loads(done.stdout)
    if "problem" in found:
        raise ConfigError(f"the model cannot be brought: {found['problem']}")
    return found
