"""Suspends and kills the process of a part, and waits for its restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event

import psutil
from circus.exc import CallError

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.ops.system.health import ready
from driftloop.ops.system.part import Part
from driftloop.process.errors import DriftloopError

_CHECK_S = 0.1
_POLL_S = 0.001
_WAKE_S = 0.02
"""Longest wait, after a record came, until the process works on it."""
_STOP_S = 30.0
_ASLEEP = frozenset({psutil.STATUS_SLEEPING})
_ACTIVE = frozenset({psutil.STATUS_RUNNING, psutil.STATUS_SLEEPING, psutil.STATUS_DISK_SLEEP})


class FaultTarget:
    """The current process of one part."""

    def __init__(self, part: Part, pids: Callable[[], Sequence[int]]) -> None:
        """``pids`` returns the part's processes from the supervisor.

        Raises:
            DriftloopError: the part does not run.
        """
        self._part, self._pids = part, pids
        process = self._find_process()
        if process is None:
            raise DriftloopError(f"{part.name} does not run, so it cannot be killed")
        self._process: psutil.Process | None = process

    @property
    def process(self) -> psutil.Process | None:
        """Return the process; None from a kill until its successor is ready."""
        if self._process is not None and not self._process.is_running():
            self._process = self._find_process()  # it ended for another reason
        return self._process

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Suspend the process once it works; resume it at the end unless it was killed."""
        process = self.process
        if process is None:
            yield
            return
        _wait_while(process, _ASLEEP, _WAKE_S)
        process.suspend()
        try:
            _wait_while(process, _ACTIVE, _STOP_S)  # the signal takes effect after a moment
            yield
        finally:
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def wait_for_restart(self, kafka: KafkaSettings, timeout_s: float, stop: Event) -> bool:
        """Wait until the restarted part is ready; return False if ``stop`` was set first.

        Raises:
            DriftloopError: it was not ready within ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while not stop.wait(_CHECK_S):
            process = self._find_process()
            if process is not None and ready(self._part, kafka):
                self._process = process
                return True
            if time.monotonic() > deadline:
                raise DriftloopError(f"{self._part.name} was killed and was not ready again within {timeout_s:.0f} s")
        return False

    def _find_process(self) -> psutil.Process | None:
        """Return the running process, if there is one."""
        try:
            for pid in self._pids():
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    return process
        except (CallError, psutil.NoSuchProcess):  # the supervisor is starting it: the next check shows it
            return None
        return None


def _wait_while(process: psutil.Process, statuses: frozenset[str], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while process.status() in statuses and time.monotonic() < deadline:
        time.sleep(_POLL_S)
