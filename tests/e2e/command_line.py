"""A whole system of its own for a test: its own ports, its own state, the same command line that people use."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from driftloop import ports
from driftloop.config import ROOT
from tests.helpers.ports import free_ports


@dataclass(frozen=True)
class CommandLine:
    """``driftloop`` with an environment of its own."""

    environment: dict[str, str]
    out: Path

    def run(self, *arguments: str, timeout_s: float = 900.0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "driftloop.cli", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command beside others; `ended` waits for it."""
        return subprocess.Popen(
            [sys.executable, "-m", "driftloop.cli", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def report(self) -> dict[str, Any]:
        """The report that a demo left."""
        found: dict[str, Any] = json.loads((self.out / "report.json").read_text())
        return found


@contextmanager
def system(folder: Path, more: Mapping[str, str]) -> Iterator[CommandLine]:
    """A command line over a folder, with ports that nobody uses and more settings; what it started is stopped."""
    names = ports.names()
    environment = {
        **os.environ,
        "TZ": "UTC",
        **dict(zip(names, map(str, free_ports(len(names))), strict=True)),
        "DRIFTLOOP_HOME": str(folder / "home"),
        **more,
    }
    line = CommandLine(environment, folder / "out")
    try:
        yield line
    finally:
        line.run("down", timeout_s=90.0)
