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

from driftloop.contracts import features_pb2, serving_pb2
from driftloop.events.envelope import Envelope
from driftloop.loop import Loop
from driftloop.ops.demo.checkpoint import DemoCheckpoint
from driftloop.ops.demo.clients import Clients
from driftloop.ops.demo.fault_injector import FaultInjector
from driftloop.ops.demo.fault_plan import Kill
from driftloop.ops.demo.memory import MemorySampler
from driftloop.ops.replay.follow import Follower, follow_lifecycle
from driftloop.ops.system.supervisor import Supervisor
from driftloop.ops.system.up import up
from driftloop.process.clock import SystemClock
from driftloop.process.errors import ConfigError
from driftloop.process.settings import Settings
from driftloop.readmodel.event_text import describe


class Screen:
    """Where a demo says its story; a terminal's or a log's implements it."""

    def part_ready(self, name: str, seconds: float) -> None:
        """A part of the system is ready."""

    def progress(self, watermark_ms: int, steps_per_s: float) -> None:
        """Event time reached this watermark."""

    def line(self, text: str) -> None:
        """Something happened."""


@dataclass
class Outcome:
    """What a demo measured from outside; seconds and MiB. Where it was resumed, since then."""

    resumed: bool = False
    """Whether it went on where it had been interrupted."""
    began_wall_ms: int = 0
    """When it began or was resumed, UTC milliseconds."""
    began_s: float = 0.0
    """The same on the clock that `time.monotonic` reads."""
    total_s: float = 0.0
    """From there until the checks were done."""
    ready_s: float = 0.0
    first_champion_s: float | None = None
    """None where there was one before it was resumed."""
    replay_s: float = 0.0
    idle_mib: float = 0.0
    peak_mib: float = 0.0
    kills: list[dict[str, Any]] = field(default_factory=list)
    kills_missed: list[Kill] = field(default_factory=list)
    """Planned ones whose service had no work any more."""


class Demo:
    """One run over one loop."""

    def __init__(
        self, settings: Settings, loop: Loop, checkpoint: DemoCheckpoint, out: Path, screen: Screen,
        *, kills: Sequence[Kill] = (), resume: bool = False,
    ) -> None:  # fmt: skip
        """``resume``: go on with the state that is there, where the replay was interrupted."""
        self._settings, self._loop, self._begun, self._screen = settings, loop, checkpoint, screen
        self._plan = checkpoint.plan
        self._supervisor = Supervisor(settings)
        self._clients = Clients(settings, loop.name, checkpoint.plan, out / "clients", checkpoint.replayed, resume)
        self._kills = kills
        self._outcome = Outcome(resume)
        self._began = 0.0
        self._watermark_ms = self._from_ms = checkpoint.plan.start_ms
        self._served = False

    def refuse_if_up(self) -> None:
        """A demo stops what it has started, and nothing else.

        Raises:
            ConfigError: a system is up already.
        """
        self._supervisor.refuse_stranger()
        if self._supervisor.alive():
            raise ConfigError(
                "a system is up already on these ports; stop it with `driftloop down`, or take others by PORT_BASE"
            )

    def start_system(self, supervised: Callable[[], None]) -> None:
        """Bring the system up, on empty state unless it goes on.

        ``supervised`` is called once `stop_system` stops all that was started.
        """
        self._outcome.began_s, self._outcome.began_wall_ms = time.monotonic(), SystemClock().now_ms()
        if not self._outcome.resumed:
            shutil.rmtree(self._settings.home, ignore_errors=True)
            self._begun.write(self._settings.home)
        self._outcome.ready_s = max(up(self._settings, self._screen.part_ready, supervised=supervised).ready_s.values())

    def replay(self, stop: threading.Event) -> Outcome:
        """Replay the plan, telling what happens, until both clients are done or ``stop`` is set."""
        follower = self._follower()
        self._began = time.monotonic()
        with MemorySampler(self._supervisor) as memory:
            self._outcome.idle_mib = memory.now_mib()
            follower.start()
            try:
                with self._killing(stop) as killer:
                    self._follow(follower, killer, stop)
            finally:
                follower.stop()
            self._outcome.peak_mib = memory.peak_mib
        self._outcome.replay_s = time.monotonic() - self._began
        return self._outcome

    def _follow(self, follower: Follower, killer: FaultInjector, stop: threading.Event) -> None:
        """Let the clients work until they are done."""
        try:
            self._clients.start()
            while self._clients.running() and not stop.is_set():
                follower.wait_for(stop.is_set, 0.2)
                killer.check()
                self._screen.progress(self._watermark_ms, self._steps_per_s())
        finally:
            self._clients.stop()

    @contextmanager
    def _killing(self, stop: threading.Event) -> Iterator[FaultInjector]:
        """Kill as planned meanwhile; what was killed is back at the end, unless that comes early."""
        killer = FaultInjector(
            self._settings, self._loop, self._kills, self._supervisor,
            reached=lambda: self._watermark_ms, say=self._screen.line,
        )  # fmt: skip
        killer.start()
        finished = False
        try:
            yield killer
            finished = not stop.is_set()
        finally:
            killer.stop(wait_for_restarts=finished)
        self._outcome.kills = [each.to_json() for each in killer.done]
        self._outcome.kills_missed = list(killer.pending)

    def stop_system(self) -> None:
        """Stop every part."""
        self._supervisor.stop()

    def _follower(self) -> Follower:
        return follow_lifecycle(self._settings.kafka_bootstrap, "demo", self._see)

    def _see(self, event: Envelope[Any]) -> None:
        if event.loop != self._loop.name:
            return
        past = event.wall_time_ms < self._outcome.began_wall_ms
        if isinstance(event.data, features_pb2.WatermarkAdvanced):
            self._watermark_ms = max(self._watermark_ms, event.data.watermark_ms)
            self._from_ms = self._watermark_ms if past else self._from_ms
        if isinstance(event.data, serving_pb2.RouteConverged) and not self._served:
            self._served = True
            self._outcome.first_champion_s = None if past else time.monotonic() - self._began
        line = describe(event)
        if line is not None:
            self._screen.line(line)

    def _steps_per_s(self) -> float:
        steps = (self._watermark_ms - self._from_ms) / (self._plan.step.total_seconds() * 1000)
        return steps / max(time.monotonic() - self._began, 1e-9)
