"""Runs one seed: a part in which everything fails, then a calm part in which the system must come to rest."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog

from driftloop.bus.ports import Outgoing
from tests.simulation.environment import BEGIN_MS, DAY_MS, Users, World
from tests.simulation.invariants import Invariants, Violation
from tests.simulation.scheduler import Crash, Scheduler
from tests.simulation.system import Safeguard, System, definitions

CHAOS_STEPS = 300
"""Steps of the part in which everything fails."""
CALM_WINDOWS = 2
"""Windows of the calm part."""
_REST_STEPS = 4000
_CRASHES: tuple[Crash, ...] = ("before", "commit", "after")
_COMMANDS = ("retrain", "approve", "reject", "rollback", "pause", "resume")


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a seed."""

    seed: int
    digest: str
    """Hash of every step and every record."""
    steps: int
    violation: str = ""
    events: Counter[str] = field(default_factory=Counter)
    """Published events by topic."""


class Simulation:
    """One run of the system."""

    def __init__(self, seed: int, without: Safeguard | None = None) -> None:
        self.seed = seed
        self.scheduler = Scheduler(seed)
        self._random = self.scheduler.random
        self.system = System(self.scheduler, self._random.choice(definitions()), without)
        self._invariants = Invariants(self.system)
        self._world = World(self._random, self.system.router)
        self._users = Users(self._random)
        self._delayed: list[Outgoing] = []
        self._written: list[Outgoing] = []

    def run(self) -> Outcome:
        """Run to the end, or to the first violation."""
        violation = ""
        with self.scheduler.loop.running():
            try:
                self._drive()
            except Violation as error:
                violation = str(error)
            finally:
                self._end()
        topics = {tp.topic for group in self.system.groups.values() for tp in group.partitions}
        events = Counter({name: len(self.system.broker.records(name)) for name in topics})
        return Outcome(self.seed, self.scheduler.digest(), self.scheduler.steps, violation, events)

    def _drive(self) -> None:
        for instance in self.system.instances:
            self.system.start(instance)
        self._chaos()
        self._calm()

    def _end(self) -> None:
        for instance in self.system.instances:
            self.scheduler.kill(instance)
        self.scheduler.loop.settle()

    def _chaos(self) -> None:
        faults, random = self.system.faults, self._random
        faults.lost_acknowledgement = random.choice((0.0, 0.05, 0.2))
        faults.failed_send = random.choice((0.0, 0.05, 0.1))
        faults.failed_commit = random.choice((0.0, 0.1))
        faults.partial_poll = random.choice((0.2, 0.8))
        kills, pauses, windows = (
            random.choice((0.0, 0.02, 0.05)),
            random.choice((0.0, 0.02)),
            random.choice((0.02, 0.04)),
        )
        commands = random.choice((0.0, 0.01, 0.03))
        for _ in range(CHAOS_STEPS):
            self.scheduler.loop.settle()
            self._invariants.after_step()
            chance = random.random()
            for share, action in (
                (kills, self._kill_or_start),
                (pauses, self._pause_or_resume),
                (windows, self._close_window),
                (commands, self._command),
                (0.02, self._advance),
            ):
                if chance < share:
                    action()
                    break
                chance -= share
            else:
                self._step()

    def _step(self) -> None:
        """Open a gate; without one, let time pass."""
        ready = self.scheduler.ready_gates()
        if ready:
            self.scheduler.open(self._random.choice(ready))
        else:
            self._advance()

    def _advance(self) -> None:
        if self._delayed and self._random.random() < 0.5:
            self._write([self._delayed.pop(0)])
        seconds = self._random.choice((0.1, 5.0, 30.0, 300.0, 900.0))
        self.scheduler.note("time", str(seconds))
        self.scheduler.loop.advance(seconds)

    def _kill_or_start(self) -> None:
        instance = self._random.choice(self.system.instances)
        if not instance.is_alive:
            self.system.start(instance)
            return
        gates = [gate for gate in self.scheduler.ready_gates() if gate.instance is instance]
        if gates:
            self.scheduler.open(self._random.choice(gates), self._random.choice(_CRASHES))

    def _pause_or_resume(self) -> None:
        instance = self._random.choice(self.system.instances)
        if instance.paused:
            self.system.resume(instance)
        elif instance.is_alive:
            self.system.pause(instance, is_noticed=self._random.random() < 0.7)

    def _close_window(self) -> None:
        window, *flushes = self._world.close_window(self.scheduler.now_ms())
        again = self._written[-1:] if self._random.random() < 0.1 else []
        self._written.append(window)
        self._write([*again, window])
        self._delayed += flushes

    def _command(self) -> None:
        name = self._random.choice(_COMMANDS)
        rows = self.system.databases["registry"].rows("select release_id, chain from releases order by epoch desc")
        release, chain = rows[min(int(self._random.expovariate(1.0)), len(rows) - 1)] if rows else ("", "")
        about = chain if name in ("approve", "reject", "rollback") else ""
        self._send_command(name, release, about)

    def _send_command(self, name: str, release: str = "", chain: str = "") -> None:
        time_ms = BEGIN_MS + self._world.windows * DAY_MS
        if self._world.windows:
            self._write([self._users.command(name, time_ms, self.scheduler.now_ms(), release, chain)])

    def _write(self, records: list[Outgoing]) -> None:
        self.system.broker.append(records)

    def _calm(self) -> None:
        """End all faults, and check that the system comes to rest after each of some more windows."""
        self.system.faults.clear()
        self.system.launcher.calm = self.system.router.calm = True
        for instance in self.system.instances:
            if instance.paused:
                self.system.resume(instance)
        if self.system.databases["registry"].rows("select 1 from loops where paused"):
            self.scheduler.loop.advance(1.0)  # of a pause and a resume in one millisecond, the pause wins
            self._send_command("resume")
        self._rest()
        for _ in range(CALM_WINDOWS):  # training decides what a pause has kept at the end of the next window
            self._close_window()
            self._rest()
            self._invariants.at_rest()

    def _rest(self) -> None:
        """Run until nothing is left to do."""
        self._write(self._delayed)
        self._delayed = []
        for _ in range(_REST_STEPS):
            self.scheduler.loop.settle()
            self._invariants.after_step()
            for instance in self.system.instances:
                if not instance.is_alive:
                    self.system.start(instance)
            ready = self.scheduler.ready_gates()
            if ready:
                self.scheduler.open(self._random.choice(ready))
                continue
            if self._is_done():
                return
            self.scheduler.note("time")
            self.scheduler.loop.advance(60.0)
        raise Violation(f"the system does not come to rest: {self._left_over()}")

    def _is_done(self) -> bool:
        databases = self.system.databases
        runs = databases["training"].rows("select 1 from runs where phase != 'done'")
        routes = databases["serving"].rows("select 1 from routes where state = 'desired'")
        unread = any(group.unread() for group in self.system.groups.values())
        return not (runs or routes or unread or self.system.unsent())

    def _left_over(self) -> str:
        runs = self.system.databases["training"].rows("select run_id, phase from runs where phase != 'done'")
        groups = [name for name, group in self.system.groups.items() if group.unread()]
        failures = {i.name: repr(i.failure) for i in self.system.instances if i.failure is not None}
        return f"runs {runs}, unread by {groups}, unsent {self.system.unsent()}, failures {failures}"


@contextmanager
def quiet() -> Iterator[None]:
    """Leave out the services' logs: in a simulation they report the faults that it causes."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def simulate(seed: int, without: Safeguard | None = None) -> Outcome:
    """Run a seed, without a safeguard if one is named."""
    with quiet():
        return Simulation(seed, without).run()
