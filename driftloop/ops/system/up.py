"""Brings the system up: starts every part, creates the topics, waits until all are ready and the probes answered."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from driftloop.bus.admin import apply_topics
from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.loop import Loop, load_loops
from driftloop.loop.topics import plan_topics
from driftloop.ops.system.cluster.parts import is_store, write_proxy_file
from driftloop.ops.system.cluster.prepare import prepare_stores
from driftloop.ops.system.event_probe import probe_events
from driftloop.ops.system.health import is_standby, ready
from driftloop.ops.system.incomplete_restore import refuse_incomplete_restore
from driftloop.ops.system.inference_probe import probe_inference
from driftloop.ops.system.part import Part
from driftloop.ops.system.parts import parts, settings_of_tritons
from driftloop.ops.system.probes import Probe, RunningProbes
from driftloop.ops.system.running_loops import added_loops, write_running_loops
from driftloop.ops.system.status import forget_ready_s, read_ready_s, write_ready_s
from driftloop.ops.system.supervisor import Supervisor
from driftloop.process.errors import ConfigError, DriftloopError
from driftloop.process.private_files import make_home_private
from driftloop.process.settings import ROOT, Settings
from driftloop.process.startup_errors import clear_all_startup_errors, read_startup_errors

Progress = Callable[[str, float], None]
"""Called with the name of a part that became ready or a probe that was answered, and seconds since the start."""


@dataclass(frozen=True)
class Started:
    """The result of `start_system`."""

    ready_s: dict[str, float]
    """Seconds from the start until each part was ready and, if probes ran, until each was answered."""
    already: bool
    """Whether the system was running before."""
    added: tuple[str, ...] = ()
    """Loops that the running system did not know; its services were restarted."""
    differences: tuple[str, ...] = ()
    """A sentence for each setting of a topic that is not the declared one."""


def start_system(
    settings: Settings,
    progress: Progress,
    timeout_s: float = 300.0,
    *,
    supervised: Callable[[], None] = lambda: None,
    stores_answer: Callable[[], None] = lambda: None,
) -> Started:
    """Start the parts that do not run, wait for all of them, and probe one inference and one event per loop.

    Restarts the services of a running system if there are loops that it does not know. Skips the probes if they were
    answered since the last start.

    ``supervised`` is called once the supervisor runs: from then on everything that was started can be stopped.
    ``stores_answer`` is called when a cluster starts, once its stores answer and before the services start.

    Raises:
        ConfigError: set-up is missing, another checkout uses the ports, a restore was interrupted, or a loop is wrong;
        started parts are stopped.
        DriftloopError: a part was not ready in time, or a probe got no right answer; says where to look. Started parts
        keep running.
    """
    loops = load_loops(settings.loops_dir, settings.loops)
    make_home_private(settings.home)
    refuse_incomplete_restore(settings.home)
    if not (ROOT / ".local" / "kafka" / "lib").exists():
        raise ConfigError("Kafka is not installed in .local; run `make setup`")
    settings.control_token()  # generated before any part needs it
    kafka = KafkaSettings.of(settings)
    supervisor, all_parts, started = Supervisor(settings), parts(settings), time.monotonic()
    already = supervisor.alive()
    supervisor.refuse_other_checkout()
    added = added_loops(settings, loops) if already else []
    if not already or added:
        clear_all_startup_errors(settings.home)
        forget_ready_s(settings)
    topics_exist = threading.Event()
    probes = [] if read_ready_s(settings) else make_probes(settings, loops, topics_exist)
    try:
        times: dict[str, float] = {}
        if already:
            supervised()
        else:
            write_running_loops(settings, loops)
            with RunningProbes([], timeout_s) as none:
                times = _launch(
                    supervisor, all_parts, settings, supervised, stores_answer,
                    lambda stores: _wait(stores, none, settings, progress, started, timeout_s),
                )  # fmt: skip
        with RunningProbes(probes, timeout_s) as running:
            plans = plan_topics(loop.definition for loop in loops)
            topics = apply_topics(kafka, plans, timeout_s=timeout_s)
            if added:  # a service reads the loops at its start
                supervisor.restart([part.name for part in all_parts if part.kind == "service"])
                write_running_loops(settings, loops)
            topics_exist.set()
            pending = [part for part in all_parts if part.name not in times]
            times |= _wait(pending, running, settings, progress, started, timeout_s)
    except ConfigError:
        if not already:
            supervisor.stop(
                hurried=[part.name for part in all_parts if part.kind == "service"]
            )  # most are still starting
        raise
    if probes:
        write_ready_s(settings, times)
    return Started(times, already, tuple(added), topics.conflicts)


def _launch(
    supervisor: Supervisor,
    all_parts: list[Part],
    settings: Settings,
    supervised: Callable[[], None],
    stores_answer: Callable[[], None],
    wait_for: Callable[[list[Part]], dict[str, float]],
) -> dict[str, float]:
    """Start the parts. In a cluster, the others start once the stores answer and have databases and a bucket.

    Return when the stores were ready.
    """
    if not settings.cluster_dir:
        supervisor.start(all_parts)
        supervised()
        return {}
    stores = [part for part in all_parts if is_store(part)]
    others = [part for part in all_parts if part not in stores]
    supervisor.start(stores, later=others)
    supervised()
    times = wait_for(stores)
    prepare_stores(settings)
    write_proxy_file(settings)
    stores_answer()
    supervisor.start_parts(others)
    return times


def make_probes(settings: Settings, loops: Sequence[Loop], topics_exist: threading.Event) -> list[Probe]:
    """Return the probes that show that a system with ready parts works."""
    kafka, by_name = KafkaSettings.of(settings), {part.name: part for part in parts(settings)}
    inferences = [
        Probe(
            own.with_triton("inference"),
            own.with_triton("triton"),
            partial(ready, by_name[own.with_triton("triton")], kafka),
            partial(probe_inference, own),
        )
        for own in settings_of_tritons(settings)
    ]
    return [*inferences, Probe("event probe", "ingestion", topics_exist.is_set, partial(probe_events, settings, loops))]


def _wait(
    all_parts: list[Part],
    running: RunningProbes,
    settings: Settings,
    progress: Progress,
    started: float,
    timeout_s: float,
) -> dict[str, float]:
    times: dict[str, float] = {}
    pending = list(all_parts)
    while pending or running.unanswered:
        for name, at in [*_ready(pending, settings), *running.answered()]:
            times[name] = round(at - started, 2)
            progress(name, times[name])
        pending = [part for part in pending if part.name not in times]
        if problems := read_startup_errors(settings.home):  # a part that refuses its configuration never becomes ready
            raise ConfigError("\n".join(problems))
        logs = {part.name: part.name for part in pending} | {probe.name: probe.log for probe in running.unanswered}
        if logs and time.monotonic() - started > timeout_s:
            files = ", ".join(str(settings.home / "logs" / f"{name}.log") for name in dict.fromkeys(logs.values()))
            raise DriftloopError(f"not ready after {timeout_s:.0f} s: {', '.join(logs)}; see {files}")
        time.sleep(0.05)
    return times


def _ready(pending: list[Part], settings: Settings) -> list[tuple[str, float]]:
    """Return parts that are ready now, with the time of the check."""
    kafka = KafkaSettings.of(settings)
    return [(part.name, time.monotonic()) for part in pending if ready(part, kafka) or is_standby(part)]
