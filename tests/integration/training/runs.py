"""Small programs that replace a run, and a spec for them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from services.training.run import remote
from services.training.spec import RunSpec
from tests.unit.training.fakes import spec_in


def program(text: str) -> list[str]:
    """Return a command that runs Python code with the run's folder in `folder`, like `services.training.run`."""
    head = "import json, os, sys, time, pathlib; folder = pathlib.Path(sys.argv[-1]).parent\n"
    return [sys.executable, "-c", head + text]


def remote_program(text: str) -> list[str]:
    """Return a command that executes such a program like `services.training.run.remote`."""
    return [sys.executable, "-m", "tests.integration.training.runs", text]


def spec_for(folder: Path) -> RunSpec:
    return replace(spec_in(folder), folder=str(folder))


if __name__ == "__main__":
    sys.exit(remote.main(sys.argv[2:], program(sys.argv[1])))
