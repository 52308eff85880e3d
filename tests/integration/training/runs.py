"""Small programs that replace a run, and a spec for them."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from services.training.spec import RunSpec

PATIENCE_S = 60.0


def program(text: str) -> list[str]:
    """Return a command that runs Python code with the run's folder in `folder`, like `services.training.run`."""
    head = "import json, os, sys, time, pathlib; folder = pathlib.Path(sys.argv[-1]).parent\n"
    return [sys.executable, "-c", head + text]


def spec_for(folder: Path) -> RunSpec:
    return RunSpec(
        loop="orders",
        loop_folder="",
        run_id="run-1",
        request_id="request-1",
        reasons=(),
        window_start_ms=0,
        window_end_ms=1,
        seed=0,
        events={},
        views={},
        home="",
        feature_repo="",
        state_url="",
        mlflow_uri="",
        mlflow_artifacts="",
        folder=str(folder),
        bundle_folder="",
        environment_lock="",
    )


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until a condition is true, up to a limit."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "the condition did not become true in time"
        time.sleep(0.02)
