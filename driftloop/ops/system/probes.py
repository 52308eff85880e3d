"""Runs probes beside the waiting for parts: questions whose answers show that the system works."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from driftloop.process.errors import DriftloopError

_LOOK_S = 0.1


class Patience:
    """How long a probe may still take: until its deadline, or until nobody waits for it any more."""

    def __init__(self, timeout_s: float) -> None:
        self._deadline_s = time.monotonic() + timeout_s
        self._given_up = threading.Event()

    def left_s(self) -> float:
        """Seconds, 0 at the end."""
        return 0.0 if self._given_up.is_set() else max(0.0, self._deadline_s - time.monotonic())

    def give_up(self) -> None:
        """Nobody waits any more."""
        self._given_up.set()


@dataclass(frozen=True)
class Probe:
    """A question. ``ask`` returns once it was answered rightly, and raises DriftloopError that says what to do."""

    name: str
    log: str
    """Part whose log says why no answer comes."""
    possible: Callable[[], bool]
    """Whether it can be asked now; looked at until it can."""
    ask: Callable[[Patience], None]


class Probing:
    """Probes under way, each in a thread of its own. A context: at its end they give up, and it waits for that."""

    def __init__(self, probes: Sequence[Probe], timeout_s: float) -> None:
        self._patience = Patience(timeout_s)
        self._threads = ThreadPoolExecutor(max(1, len(probes)), thread_name_prefix="probe")
        self._asked = [(probe, self._threads.submit(_asked, probe, self._patience)) for probe in probes]

    @property
    def unanswered(self) -> list[Probe]:
        """Those whose answer was not seen yet."""
        return [probe for probe, _ in self._asked]

    def answered(self) -> list[tuple[str, float]]:
        """What was answered since the last look: the probe's name, and when, by the monotonic clock in seconds.

        Raises:
            DriftloopError: a probe failed.
        """
        found = [(probe.name, answer.result()) for probe, answer in self._asked if answer.done()]
        names = {name for name, _ in found}
        self._asked = [(probe, answer) for probe, answer in self._asked if probe.name not in names]
        return found

    def __enter__(self) -> Probing:
        return self

    def __exit__(self, *_: object) -> None:
        self._patience.give_up()
        # what is asked may be stopped next, and nobody is to be left asking it
        self._threads.shutdown(wait=True, cancel_futures=True)


def _asked(probe: Probe, patience: Patience) -> float:
    while not probe.possible():
        if not patience.left_s():
            raise DriftloopError(f"{probe.name}: what it needs was not ready in time")
        time.sleep(_LOOK_S)
    probe.ask(patience)
    return time.monotonic()
