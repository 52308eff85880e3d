"""Runs training's import check."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from driftloop.process.errors import ConfigError, DriftloopError
from driftloop.process.settings import ROOT, Settings

_MODULE = "services.training.importing.import_check"
"""Runs in its own process, because it needs ONNX Runtime, Feast and perhaps MLflow."""


def check_import(settings: Settings, folder: Path, options: Sequence[str]) -> dict[str, Any]:
    """Return the model for the command `import` as `model`, and `notes` on how the loop calls it.

    Raises:
        ConfigError: the loop cannot use the model, or its inspection takes too long.
        DriftloopError: the checking process died.
    """
    process = subprocess.run(
        [sys.executable, "-m", _MODULE, str(folder.resolve()), *options],
        cwd=ROOT, env={**os.environ, **settings.variables()}, text=True, check=False,
        stdin=subprocess.DEVNULL, capture_output=True,
    )  # fmt: skip
    if process.returncode == -signal.SIGXCPU:
        raise ConfigError(
            "the model cannot be imported: on three rows it takes more CPU time than DRIFTLOOP_IMPORT_CPU_S allows"
        )
    if process.returncode:
        last = (process.stderr.strip().splitlines() or ["no output"])[-1]
        raise DriftloopError(f"the import check ended with exit code {process.returncode}: {last}")
    answer: dict[str, Any] = json.loads(process.stdout)
    if "problem" in answer:
        raise ConfigError(f"the model cannot be imported: {answer['problem']}")
    return answer
