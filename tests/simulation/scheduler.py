"""Chooses, from a seed, which part of the system continues next, and what fails.

Every point at which a service waits for something outside it is a gate: a poll, a send, a commit, a function on a
thread, and the start of each SQL transaction. Between two gates a part runs alone. The scheduler opens one gate at a
time. So the order of all gates, and with it the whole run, follows from the seed.
"""

from __future__ import annotations

import asyncio
import contextvars
import hashlib
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

from greenlet import getcurrent, greenlet

from tests.simulation.virtual_loop import VirtualLoop

START_MS = 1_700_000_000_000
"""Wall time at the start of a simulation."""

Crash = Literal["before", "commit", "after"]
"""When an instance is killed at a gate: before its step, right before a SQL commit in it, or after all of it."""


class Killed(BaseException):
    """The instance was killed. Derived from BaseException, so that no service handles it."""


@dataclass(eq=False)
class Instance:
    """A process of a service, from its start until it ends."""

    name: str
    """Service and number, such as ``registry/1``."""
    life: int = 0
    """Number of starts."""
    is_alive: bool = False
    paused: bool = False
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    failure: BaseException | None = None
    """What ended the instance by itself."""
    crash_at_commit: int = 0
    """Commits until the instance is killed right before one; 0: it is not."""

    @property
    def service(self) -> str:
        return self.name.partition("/")[0]


@dataclass(eq=False)
class Gate:
    """A point at which an instance waits until the scheduler lets it continue."""

    instance: Instance
    label: str
    future: asyncio.Future[Any]
    step: Callable[[], Any] | None = None
    """Runs when the gate opens; its result is what the instance waits for."""
    is_ready: Callable[[], bool] | None = None
    resumes: greenlet | None = None
    """A function that stopped at the start of a transaction."""


_CURRENT: contextvars.ContextVar[tuple[Instance, int]] = contextvars.ContextVar("instance")
"""The instance whose code runs, and the number of its start."""


class Scheduler:
    """Gates, virtual time and the trace of one run."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.loop = VirtualLoop(self._on_thread)
        self.gates: list[Gate] = []
        self.steps = 0
        self.failures: list[tuple[str, BaseException]] = []
        """Errors that ended an instance, since this list was last cleared."""
        self.changed: set[str] = set()
        """Services whose database has changed since this set was last cleared."""
        self.on_kill: Callable[[Instance], None] = lambda instance: None
        self._trace = hashlib.sha256()
        self._main = getcurrent()
        self._running: Gate | None = None

    def now_ms(self) -> int:
        return START_MS + round(self.loop.time() * 1000)

    def monotonic_s(self) -> float:
        return self.loop.time()

    def note(self, *parts: str | int) -> None:
        """Add to the trace."""
        self._trace.update("\x1f".join(map(str, parts)).encode() + b"\n")

    def digest(self) -> str:
        """Return the hash of everything that happened."""
        return self._trace.hexdigest()

    def start(self, instance: Instance, *parts: Coroutine[Any, Any, Any]) -> None:
        """Run the coroutines as one process. The end of one ends all."""
        instance.life += 1
        instance.is_alive, instance.paused, instance.failure, instance.crash_at_commit = True, False, None, 0
        context = contextvars.copy_context()
        context.run(_CURRENT.set, (instance, instance.life))
        instance.tasks = [self.loop.create_task(part, context=context) for part in parts]
        for task in instance.tasks:
            task.add_done_callback(lambda ended: self._ended(instance, ended))

    def kill(self, instance: Instance) -> None:
        """End an instance at once, as SIGKILL does: nothing that it does after this has an effect."""
        instance.is_alive = False
        self.note("kill", instance.name, instance.life)
        tasks, instance.tasks = instance.tasks, []
        for gate in [gate for gate in self.gates if gate.instance is instance]:
            self._drop(gate)
        for task in tasks:
            task.cancel()
        self.on_kill(instance)

    async def gate(
        self, label: str, step: Callable[[], Any] | None = None, is_ready: Callable[[], bool] | None = None
    ) -> Any:
        """Wait until the scheduler opens this gate; return the result of ``step``."""
        return await self._add(label, step, is_ready)

    def pause(self, label: str = "transaction") -> None:
        """Wait, in a function that runs on a thread, until the scheduler lets it continue.

        Raises:
            Killed: the instance was killed.
        """
        running = self._running
        if running is None:
            return
        if not running.instance.is_alive:
            raise Killed
        here = getcurrent()
        if here is not self._main:
            self.gates.append(Gate(running.instance, label, running.future, resumes=here))
            self._main.switch()
            if not running.instance.is_alive:
                raise Killed

    def commit_transaction(self, has_changed: bool) -> None:
        """Count a commit; kill the instance here if its crash was planned for this one."""
        running = self._running
        if running is None:
            return
        instance = running.instance
        if not instance.is_alive:
            raise Killed
        if instance.crash_at_commit:
            instance.crash_at_commit -= 1
            if instance.crash_at_commit == 0:
                instance.is_alive = False
                raise Killed
        if has_changed:
            self.changed.add(instance.service)

    def ready_gates(self) -> list[Gate]:
        """Return the gates that may open now."""
        return [gate for gate in self.gates if not gate.instance.paused and (gate.is_ready is None or gate.is_ready())]

    def open(self, gate: Gate, crash: Crash | None = None) -> None:
        """Let an instance take its next step."""
        self.steps += 1
        instance = gate.instance
        self.note(instance.name, gate.label, crash or "")
        if crash == "before":
            self.kill(instance)
            return
        if crash == "commit":
            instance.crash_at_commit = 1
        self.gates.remove(gate)
        self._run(gate)
        if crash == "after" or not instance.is_alive:
            self.kill(instance)
        instance.crash_at_commit = 0

    def _run(self, gate: Gate) -> None:
        self._running = gate
        try:
            if gate.resumes is not None:
                gate.resumes.switch()
            elif gate.step is not None:
                greenlet(self._step).switch(gate)
            elif not gate.future.done():
                gate.future.set_result(None)
        finally:
            self._running = None

    def _step(self, gate: Gate) -> None:
        """Run a gate's function in its own greenlet, which may stop at transactions."""
        assert gate.step is not None
        try:
            result = gate.step()
        except (Exception, Killed) as error:  # noqa: BLE001 - the instance gets it
            if not gate.future.done():
                gate.future.set_exception(error)
        else:
            if not gate.future.done():
                gate.future.set_result(result)

    def _add(
        self, label: str, step: Callable[[], Any] | None, is_ready: Callable[[], bool] | None
    ) -> asyncio.Future[Any]:
        instance, life = _CURRENT.get()
        future = self.loop.create_future()
        if instance.is_alive and instance.life == life:
            self.gates.append(Gate(instance, label, future, step, is_ready))
        else:
            future.set_exception(Killed())
        return future

    def _drop(self, gate: Gate) -> None:
        self.gates.remove(gate)
        if gate.resumes is not None:
            self._run(gate)  # it finds that its instance is dead, and rolls back
        if not gate.future.done():
            gate.future.set_exception(Killed())

    def _on_thread(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Run a function up to its first transaction, which is a gate."""
        instance, life = _CURRENT.get()
        future = self.loop.create_future()
        if instance.is_alive and instance.life == life:
            self._run(Gate(instance, "thread", future, function))
        else:
            future.set_exception(Killed())
        return future

    def _ended(self, instance: Instance, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if task in instance.tasks:
            instance.failure = error
            if error is not None:
                self.failures.append((instance.name, error))
            self.kill(instance)
