"""Runs the demo from a stopped system to a report."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from driftloop.bus.kafka_settings import KafkaSettings
from driftloop.contracts import features_pb2, serving_pb2
from driftloop.events.envelope import Envelope
from driftloop.loop import Loop
from driftloop.ops.demo.checkpoint import DemoCheckpoint
from driftloop.ops.demo.clients import Clients
from driftloop.ops.demo.fault_injector import FaultInjector
from driftloop.ops.demo.fault_plan import Kill
from driftloop.ops.demo.memory import MemorySampler
from driftloop.ops.replay.follow import Follower, follow_lifecycle
from driftloop.ops.system.cluster.prepare import remove_data
from driftloop.ops.system.supervisor import Supervisor
from driftloop.ops.system.up import start_system
from driftloop.process.clock import SystemClock
from driftloop.process.errors import ConfigError
from driftloop.process.settings import Settings
from driftloop.readmodel.event_text import describe


class Screen:
    """Where a demo reports its progress; implemented by a terminal."""

    def part_ready(self, name: str, seconds: float) -> None:
        """Report a part of the system that is ready."""

    def progress(self, watermark_ms: int, steps_per_s: float) -> None:
        """Report event time."""

    def line(self, text: str) -> None:
        """Print a line."""


@dataclass
class Measurements:
    """Measurements of a demo from outside, in seconds and MiB; if it was resumed, since then."""

    resumed: bool = False
    """Whether it continued an interrupted demo."""
    began_wall_ms: int = 0
    """Start or resumption, UTC milliseconds."""
    began_s: float = 0.0
    """The same on the clock of `time.monotonic`."""
    total_s: float = 0.0
    """From the start until the checks were done."""
    ready_s: float = 0.0
    first_champion_s: float | None = None
    """None if there was a champion before the resumption."""
    replay_s: float = 0.0
    idle_mib: float = 0.0
    peak_mib: float = 0.0
    kills: list[dict[str, Any]] = field(default_factory=list)
    kills_missed: list[Kill] = field(default_factory=list)
    """Planned kills whose service had no more work."""


class Demo:
    """One demo of one loop."""

    def __init__(
        self, settings: Settings, loop: Loop, checkpoint: DemoCheckpoint, out: Path, screen: Screen,
        *, kills: Sequence[Kill] = (), resume: bool = False,
    ) -> None:  # fmt: skip
        """``resume``: continue with the existing state, where the replay was interrupted."""
        self._settings, self._loop, self._checkpoint, self._screen = settings, loop, checkpoint, screen
        self._plan = checkpoint.plan
        self._supervisor = Supervisor(settings)
        self._clients = Clients(settings, loop.name, checkpoint.plan, out / "clients", checkpoint.replayed, resume)
        self._kills = kills
        self._measured = Measurements(resume)
        self._began = 0.0
        self._watermark_ms = self._from_ms = checkpoint.plan.start_ms
        self._served = False

    def refuse_if_running(self) -> None:
        """Refuse to start if a system runs: a demo stops only what it has started.

        Raises:
            ConfigError: a system runs already.
        """
        self._supervisor.refuse_other_checkout()
        if self._supervisor.alive():
            raise ConfigError(
                "a system runs already on these ports; stop it with `driftloop down`, or choose others with PORT_BASE"
            )

    def start_system(self, supervised: Callable[[], None]) -> None:
        """Start the system, on empty state unless the demo is resumed.

        ``supervised`` is called once `stop_system` stops everything that was started.
        """
        self._measured.began_s, self._measured.began_wall_ms = time.monotonic(), SystemClock().now_ms()
        if not self._measured.resumed:
            shutil.rmtree(self._settings.home, ignore_errors=True)
            if self._settings.cluster_dir:
                remove_data(self._settings)
            self._checkpoint.write(self._settings.home)
        self._measured.ready_s = max(
            start_system(self._settings, self._screen.part_ready, supervised=supervised).ready_s.values()
        )

    def replay(self, stop: threading.Event) -> Measurements:
        """Replay the plan and print what happens, until both clients are done or ``stop`` is set."""
        follower = self._follower()
        self._began = time.monotonic()
        with MemorySampler(self._supervisor) as memory:
            self._measured.idle_mib = memory.now_mib()
            follower.start()
            try:
                with self._inject_faults(stop) as injector:
                    self._follow(follower, injector, stop)
            finally:
                follower.stop()
            self._measured.peak_mib = memory.peak_mib
        self._measured.replay_s = time.monotonic() - self._began
        return self._measured

    def _follow(self, follower: Follower, injector: FaultInjector, stop: threading.Event) -> None:
        """Wait until the clients are done."""
        try:
            self._clients.start()
            while self._clients.running() and not stop.is_set():
                follower.wait_for(stop.is_set, 0.2)
                injector.check()
                self._screen.progress(self._watermark_ms, self._steps_per_s())
        finally:
            self._clients.stop()

    @contextmanager
    def _inject_faults(self, stop: threading.Event) -> Iterator[FaultInjector]:
        """Kill as planned during the block; at its end wait for restarts, unless it ends early."""
        injector = FaultInjector(
            self._settings, self._loop, self._kills, self._supervisor,
            reached=lambda: self._watermark_ms, say=self._screen.line,
        )  # fmt: skip
        injector.start()
        finished = False
        try:
            yield injector
            finished = not stop.is_set()
        finally:
            injector.stop(wait_for_restarts=finished)
        self._measured.kills = [kill.to_json() for kill in injector.done]
        self._measured.kills_missed = list(injector.pending)

    def stop_system(self) -> None:
        self._supervisor.stop()

    def _follower(self) -> Follower:
        return follow_lifecycle(KafkaSettings.of(self._settings), "demo", self._process)

    def _process(self, event: Envelope[Any]) -> None:
        if event.loop != self._loop.name:
            return
        past = event.wall_time_ms < self._measured.began_wall_ms
        if isinstance(event.data, features_pb2.WatermarkAdvanced):
            self._watermark_ms = max(self._watermark_ms, event.data.watermark_ms)
            self._from_ms = self._watermark_ms if past else self._from_ms
        if isinstance(event.data, serving_pb2.RouteConverged) and not self._served:
            self._served = True
            self._measured.first_champion_s = None if past else time.monotonic() - self._began
        line = describe(event)
        if line is not None:
            self._screen.line(line)

    def _steps_per_s(self) -> float:
        steps = (self._watermark_ms - self._from_ms) / (self._plan.step.total_seconds() * 1000)
        return steps / max(time.monotonic() - self._began, 1e-9)
