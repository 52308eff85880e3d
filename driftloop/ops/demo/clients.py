"""The two clients of the replay, as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from driftloop.ops.demo.plan import Plan
from driftloop.process.errors import DriftloopError
from driftloop.process.settings import ROOT, Settings


@dataclass
class Clients:
    """Replay and caller; each writes its output to a file in ``folder``."""

    settings: Settings
    loop: str
    plan: Plan
    folder: Path
    replayed: Sequence[str] = ()
    """Further arguments of the replay."""
    resume: bool = False
    """Whether they continue after an interruption."""
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        plan = self.plan
        span = ["--start", str(plan.start), "--end", str(plan.end), "--step", f"{plan.step.total_seconds():g}s"]
        if self.resume:
            span.append("--resume")
        self._start("call", [self.loop, *span])
        self._start("replay", [self.loop, *span, *self.replayed, "--report", str(self.folder / "steps.json")])

    def running(self) -> bool:
        """Return whether a client still works.

        Raises:
            DriftloopError: one ended with an error; has its last lines.
        """
        for name, process in self._processes.items():
            if process.poll() not in (None, 0):
                last_lines = (self.folder / f"{name}.log").read_text().strip().splitlines()[-3:]
                raise DriftloopError(f"`driftloop {name}` ended with {process.returncode}: {' '.join(last_lines)}")
        return any(process.poll() is None for process in self._processes.values())

    def stop(self) -> None:
        """Ask both to stop, and wait; kill those that do not within ten seconds."""
        for process in self._processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in self._processes.values():
            try:
                process.wait(10.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5.0)

    def output(self, name: str) -> str:
        return (self.folder / f"{name}.out").read_text()

    def _start(self, command: str, arguments: list[str]) -> None:
        environment = {**os.environ, **self.settings.variables(), "OMP_NUM_THREADS": "1", "TZ": "UTC"}
        with (self.folder / f"{command}.out").open("wb") as out, (self.folder / f"{command}.log").open("wb") as log:
            self._processes[command] = subprocess.Popen(
                [sys.executable, "-m", "driftloop.ops.cli", command, *arguments],
                cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=log, start_new_session=True,
            )  # fmt: skip
