"""A service's process: held still, killed, and waited for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Event

import psutil
from circus.exc import CallError

from driftloop.ops.system.health import ready
from driftloop.ops.system.parts import Part
from driftloop.process.errors import DriftloopError

_LOOK_S = 0.1
_GLANCE_S = 0.001
_AT_WORK_S = 0.02
"""Longest wait, after a record came, for the process to take it up."""
_STILL_S = 30.0
_ASLEEP = frozenset({psutil.STATUS_SLEEPING})
_GOING = frozenset({psutil.STATUS_RUNNING, psutil.STATUS_SLEEPING, psutil.STATUS_DISK_SLEEP})


class FaultTarget:
    """The process of one part, as its supervisor started it last."""

    def __init__(self, part: Part, pids: Callable[[], Sequence[int]]) -> None:
        """``pids`` asks the supervisor for the part's processes.

        Raises:
            DriftloopError: the part does not run.
        """
        self._part, self._pids = part, pids
        found = self._process_now()
        if found is None:
            raise DriftloopError(f"{part.name} does not run, so it cannot be killed")
        self._process: psutil.Process | None = found

    @property
    def process(self) -> psutil.Process | None:
        """None from a kill until the process that took its place is ready."""
        if self._process is not None and not self._process.is_running():
            self._process = self._process_now()  # it ended by itself
        return self._process

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the process still, from when it works. It goes on at the end, unless it was killed."""
        process = self.process
        if process is None:
            yield
            return
        _wait_while(process, _ASLEEP, _AT_WORK_S)
        process.suspend()
        try:
            _wait_while(process, _GOING, _STILL_S)  # the signal is not there at once
            yield
        finally:
            with suppress(psutil.NoSuchProcess):
                process.resume()

    def kill(self) -> None:
        """SIGKILL."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def wait_for_another(self, kafka_bootstrap: str, timeout_s: float, stop: Event) -> bool:
        """Wait until the supervisor has started it again and it is ready; False where ``stop`` was set first.

        Raises:
            DriftloopError: it was not within ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while not stop.wait(_LOOK_S):
            found = self._process_now()
            if found is not None and ready(self._part, kafka_bootstrap):
                self._process = found
                return True
            if time.monotonic() > deadline:
                raise DriftloopError(f"{self._part.name} was killed and is not back after {timeout_s:.0f} s")
        return False

    def _process_now(self) -> psutil.Process | None:
        """The process that runs now, other than the one that was killed."""
        try:
            for pid in self._pids():
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    return process
        except (CallError, psutil.NoSuchProcess):  # the supervisor is about to start it: the next look shows it
            return None
        return None


def _wait_while(process: psutil.Process, statuses: frozenset[str], timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while process.status() in statuses and time.monotonic() < deadline:
        time.sleep(_GLANCE_S)
