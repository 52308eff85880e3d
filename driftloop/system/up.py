"""Brings the system up: starts every part, creates the topics, waits until all are ready."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from driftloop.bus.admin import create_topics, plan
from driftloop.config import ROOT, Settings
from driftloop.errors import ConfigError, DriftloopError
from driftloop.loop import load_loops
from driftloop.refusals import forget, read_refusals
from driftloop.system.health import ready
from driftloop.system.parts import Part, parts
from driftloop.system.status import write_ready_s
from driftloop.system.supervisor import Supervisor

Progress = Callable[[str, float], None]
"""Called with the name of a part that became ready, and the seconds since the start."""


@dataclass(frozen=True)
class Started:
    """What `up` did."""

    ready_s: dict[str, float]
    """Seconds from the start until each part was ready."""
    already: bool
    """Whether the system was up before."""


def up(
    settings: Settings, progress: Progress, timeout_s: float = 300.0, *, supervised: Callable[[], None] = lambda: None
) -> Started:
    """Start what is not running and wait for all of it.

    ``supervised`` is called once the supervisor runs: from then on all that was started can be stopped.

    Raises:
        ConfigError: set-up is missing, or a loop's definition is wrong; what was started is stopped again.
        DriftloopError: a part was not ready in time; names it and its log.
    """
    loops = [loop.definition for loop in load_loops(settings.loops_dir, settings.loops)]
    if not (ROOT / ".local" / "kafka" / "lib").exists():
        raise ConfigError("Kafka is not installed below .local; run `make setup`")
    supervisor, wanted, began = Supervisor(settings), parts(settings), time.monotonic()
    already = supervisor.alive()
    if not already:
        forget(settings.home)
        supervisor.start(wanted)
    supervised()
    try:
        create_topics(settings.kafka_bootstrap, plan(loops), timeout_s=timeout_s)
        times = _wait(wanted, settings, progress, began, timeout_s)
    except ConfigError:
        if not already:
            supervisor.stop()
        raise
    if not already:
        write_ready_s(settings, times)
    return Started(times, already)


def _wait(
    wanted: list[Part], settings: Settings, progress: Progress, began: float, timeout_s: float
) -> dict[str, float]:
    times: dict[str, float] = {}
    waiting = list(wanted)
    while waiting:
        for part in list(waiting):
            if ready(part, settings.kafka_bootstrap):
                waiting.remove(part)
                times[part.name] = round(time.monotonic() - began, 2)
                progress(part.name, times[part.name])
        if problems := read_refusals(settings.home):  # a part that refuses its configuration is never ready
            raise ConfigError("\n".join(problems))
        if waiting and time.monotonic() - began > timeout_s:
            logs = ", ".join(str(settings.home / "logs" / f"{part.name}.log") for part in waiting)
            raise DriftloopError(f"not ready after {timeout_s:.0f} s: {', '.join(p.name for p in waiting)}; see {logs}")
        time.sleep(0.05)
    return times
