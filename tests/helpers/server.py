"""A server that runs during tests, in its own process group."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from driftloop.process.settings import ROOT


class Server:
    """Runs a start script of ``infra/``. Its ports stay the same over restarts."""

    def __init__(self, script: str, environment: Mapping[str, str], log: Path, answers: Callable[[], bool]) -> None:
        self._script = script
        self._environment = {**os.environ, **environment}
        self._log = log
        self._answers = answers
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None, "not started"
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self, timeout_s: float = 60.0) -> None:
        """Start the server and return once it answers."""
        self.launch()
        self.wait_until_it_answers(timeout_s)

    def launch(self) -> None:
        """Start the server without waiting for it."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/bash", str(ROOT / "infra" / self._script)],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_until_it_answers(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not self._answers():
            assert self._process is not None
            assert self._process.poll() is None, f"{self._script} ended:\n{self._log_tail()}"
            assert time.monotonic() < deadline, f"{self._script} did not answer in time:\n{self._log_tail()}"
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop the server; kill it if it does not stop within 30 s."""
        self._end(signal.SIGTERM)

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Run the server during a block."""
        try:
            self.start()
            yield self
        finally:
            self.stop()

    def kill(self) -> None:
        """Kill the server and all its child processes."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        os.killpg(process.pid, number)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)

    def _log_tail(self) -> str:
        return self._log.read_text(errors="replace")[-3000:]
