"""Brings the system up: starts every part, creates the topics, waits until all are ready and the probes answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from driftloop.bus.admin import create_topics
from driftloop.loop import Loop, load_loops
from driftloop.loop.topics import plan_topics
from driftloop.ops.system.event_probe import probe_events
from driftloop.ops.system.health import ready
from driftloop.ops.system.incomplete_restore import refuse_half_restored
from driftloop.ops.system.inference_probe import probe_inference
from driftloop.ops.system.parts import Part, parts
from driftloop.ops.system.probes import Probe, Probing
from driftloop.ops.system.status import forget_ready_s, read_ready_s, write_ready_s
from driftloop.ops.system.supervisor import Supervisor
from driftloop.process.errors import ConfigError, DriftloopError
from driftloop.process.settings import ROOT, Settings
from driftloop.process.startup_errors import clear_all_startup_errors, read_startup_errors

Progress = Callable[[str, float], None]
"""Called with the name of a part that became ready or a probe that was answered, and the seconds since the start."""


@dataclass(frozen=True)
class Started:
    """What `up` did."""

    ready_s: dict[str, float]
    """Seconds from the start until each part was ready, and each probe answered where they were asked."""
    already: bool
    """Whether the system was up before."""


def up(
    settings: Settings, progress: Progress, timeout_s: float = 300.0, *, supervised: Callable[[], None] = lambda: None
) -> Started:
    """Start what is not running, wait for all of it, and see that it works: by one inference and one event a loop.

    A system whose last start has shown that is not asked again.

    ``supervised`` is called once the supervisor runs: from then on all that was started can be stopped.

    Raises:
        ConfigError: set-up is missing, another checkout has the ports, a restore was cut short, or a loop is wrong;
            what was started is stopped.
        DriftloopError: a part was not ready in time, or a probe not answered rightly; says where to look. What was
            started goes on.
    """
    loops = load_loops(settings.loops_dir, settings.loops)
    refuse_half_restored(settings.home)
    if not (ROOT / ".local" / "kafka" / "lib").exists():
        raise ConfigError("Kafka is not installed below .local; run `make setup`")
    supervisor, wanted, began = Supervisor(settings), parts(settings), time.monotonic()
    already = supervisor.alive()
    supervisor.refuse_stranger()
    if not already:
        clear_all_startup_errors(settings.home)
        forget_ready_s(settings)
        supervisor.start(wanted)
    supervised()
    topics_there = threading.Event()
    asked = [] if read_ready_s(settings) else probes(settings, loops, topics_there)
    try:
        with Probing(asked, timeout_s) as probing:
            create_topics(settings.kafka_bootstrap, plan_topics(loop.definition for loop in loops), timeout_s=timeout_s)
            topics_there.set()
            times = _wait(wanted, probing, settings, progress, began, timeout_s)
    except ConfigError:
        if not already:
            supervisor.stop(hurried=[part.name for part in wanted if part.kind == "service"])  # most still start
        raise
    if asked:
        write_ready_s(settings, times)
    return Started(times, already)


def probes(settings: Settings, loops: Sequence[Loop], topics_there: threading.Event) -> list[Probe]:
    """What shows that a system works whose parts are ready."""
    [triton] = [part for part in parts(settings) if part.name == "triton"]
    return [
        Probe("inference", "triton", partial(ready, triton, ""), partial(probe_inference, settings)),
        Probe("event probe", "ingestion", topics_there.is_set, partial(probe_events, settings, loops)),
    ]


def _wait(
    wanted: list[Part], probing: Probing, settings: Settings, progress: Progress, began: float, timeout_s: float
) -> dict[str, float]:
    times: dict[str, float] = {}
    waiting = list(wanted)
    while waiting or probing.unanswered:
        for name, at in [*_ready(waiting, settings), *probing.answered()]:
            times[name] = round(at - began, 2)
            progress(name, times[name])
        waiting = [part for part in waiting if part.name not in times]
        if problems := read_startup_errors(settings.home):  # a part that refuses its configuration is never ready
            raise ConfigError("\n".join(problems))
        logs = {part.name: part.name for part in waiting} | {each.name: each.log for each in probing.unanswered}
        if logs and time.monotonic() - began > timeout_s:
            files = ", ".join(str(settings.home / "logs" / f"{name}.log") for name in dict.fromkeys(logs.values()))
            raise DriftloopError(f"not ready after {timeout_s:.0f} s: {', '.join(logs)}; see {files}")
        time.sleep(0.05)
    return times


def _ready(waiting: list[Part], settings: Settings) -> list[tuple[str, float]]:
    """Parts that are ready now, and when that was."""
    return [(part.name, time.monotonic()) for part in waiting if ready(part, settings.kafka_bootstrap)]
