"""Starts a monitoring process from the command line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.process.settings import ROOT
from tests.helpers.ports import free_ports


@dataclass
class Process:
    """``python -m <module>`` with its own home."""

    module: str
    home: Path
    loops_dir: Path
    brokers: KafkaSettings
    port: int = field(default_factory=lambda: free_ports(1)[0])
    environment: dict[str, str] = field(default_factory=dict)
    """Additional settings of the next start."""
    _running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, also after a kill."""
        environment = os.environ | {
            "DRIFTLOOP_HOME": str(self.home),
            "DRIFTLOOP_LOOPS_DIR": str(self.loops_dir),
            "DRIFTLOOP_KAFKA_BOOTSTRAP": self.brokers.bootstrap,
            "DRIFTLOOP_HEALTH_PORT": str(self.port),
            **self.environment,
        }
        with self.log.open("ab") as log:
            command = [sys.executable, "-m", self.module]
            self._running = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)

    def supervised(self) -> bool:
        """Start it again if it has ended by itself, as a supervisor does; return True."""
        if self._running is not None and self._running.poll() is not None:
            self.start()
        return True

    @property
    def log(self) -> Path:
        """Its output."""
        return self.home / f"{self.module}.log"

    def end(self, number: signal.Signals) -> int:
        """End it with a signal; return its exit code."""
        process, self._running = self._running, None
        if process is None:
            return 0
        process.send_signal(number)
        try:
            return process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(30)
            raise

    def wait(self, timeout_s: float) -> int:
        """Return its exit code once it has ended by itself."""
        assert self._running is not None, "not started"
        code, self._running = self._running.wait(timeout_s), None
        return code

    def get(self, path: str) -> str:
        """Return its answer over HTTP, or nothing if there is none."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError):
            return ""
