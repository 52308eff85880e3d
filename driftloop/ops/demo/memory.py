"""Samples the memory of the whole system while it works."""

from __future__ import annotations

import threading

from circus.exc import CallError

from driftloop.ops.system.health import pss_mib
from driftloop.ops.system.supervisor import Supervisor


class MemorySampler:
    """Summed proportional set size of all parts, in MiB, every few seconds on a thread."""

    def __init__(self, supervisor: Supervisor, every_s: float = 4.0) -> None:
        self._supervisor = supervisor
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)
        self.peak_mib = 0.0

    def __enter__(self) -> MemorySampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10.0)

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            try:
                self.peak_mib = max(self.peak_mib, self.now_mib())
            except CallError:  # the supervisor is stopping or starting parts: the next sample succeeds
                continue

    def now_mib(self) -> float:
        return pss_mib(pid for part in self._supervisor.running() for pid in part.pids)
