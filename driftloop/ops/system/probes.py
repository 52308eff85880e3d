"""Runs probes while the parts start: questions whose answers show that the system works."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from driftloop.process.errors import DriftloopError

_CHECK_S = 0.1


class Deadline:
    """How long a probe may still take: until its deadline, or until it is cancelled."""

    def __init__(self, timeout_s: float) -> None:
        self._deadline_s = time.monotonic() + timeout_s
        self._cancelled = threading.Event()

    def remaining_s(self) -> float:
        """Return the remaining seconds; 0 at the end."""
        return 0.0 if self._cancelled.is_set() else max(0.0, self._deadline_s - time.monotonic())

    def wait(self, seconds: float) -> None:
        """Wait; return at once when cancelled."""
        self._cancelled.wait(seconds)

    def cancel(self) -> None:
        self._cancelled.set()


@dataclass(frozen=True)
class Probe:
    """A question to the running system.

    ``ask`` returns after a right answer, or raises DriftloopError that says what to do.
    """

    name: str
    log: str
    """Part whose log explains a missing answer."""
    possible: Callable[[], bool]
    """Whether it can be asked now; checked repeatedly."""
    ask: Callable[[Deadline], None]


class RunningProbes:
    """Running probes, each on its own thread. Leaving the context cancels them and waits until they end."""

    def __init__(self, probes: Sequence[Probe], timeout_s: float) -> None:
        self._deadline = Deadline(timeout_s)
        self._threads = ThreadPoolExecutor(max(1, len(probes)), thread_name_prefix="probe")
        self._running = [(probe, self._threads.submit(_run_probe, probe, self._deadline)) for probe in probes]

    @property
    def unanswered(self) -> list[Probe]:
        """Return probes whose answer was not yet reported."""
        return [probe for probe, _ in self._running]

    def answered(self) -> list[tuple[str, float]]:
        """Return new answers: the probe's name, and its time on the monotonic clock in seconds.

        Raises:
            DriftloopError: a probe failed.
        """
        answers = [(probe.name, answer.result()) for probe, answer in self._running if answer.done()]
        names = {name for name, _ in answers}
        self._running = [(probe, answer) for probe, answer in self._running if probe.name not in names]
        return answers

    def __enter__(self) -> RunningProbes:
        return self

    def __exit__(self, *_: object) -> None:
        self._deadline.cancel()
        # the caller may stop the system next, so no probe may still use it
        self._threads.shutdown(wait=True, cancel_futures=True)


def _run_probe(probe: Probe, deadline: Deadline) -> float:
    while not probe.possible():
        if not deadline.remaining_s():
            raise DriftloopError(f"{probe.name}: its part was not ready in time")
        deadline.wait(_CHECK_S)
    probe.ask(deadline)
    return time.monotonic()
