"""Kills services as planned while they work, and reports which event each was processing.

Beside the replay a thread reads what the services are given and what they answer. Where a kill is due and its service
is given something, the process is stopped first. While it stands still one can look: if something is left that it
has not answered, it is killed; else it goes on, and the next work is waited for. Its supervisor starts it again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

from driftloop.bus.kafka_batch import KafkaBatchConsumer
from driftloop.bus.offsets import Offsets
from driftloop.bus.ports import TopicPartition
from driftloop.events.envelope import rfc3339
from driftloop.loop import Loop
from driftloop.ops.demo.fault_plan import FAULT_TARGETS, Kill
from driftloop.ops.demo.fault_target import FaultTarget
from driftloop.ops.demo.in_flight import Answers, InFlight, work_of
from driftloop.ops.system.parts import parts
from driftloop.ops.system.supervisor import Supervisor
from driftloop.process.clock import SystemClock
from driftloop.process.errors import Retriable
from driftloop.process.settings import Settings
from driftloop.readmodel.event_text import day

_POLL_S = 0.05
_RESTART_S = 120.0
_DRAIN_S = 10.0


@dataclass
class Killed:
    """A kill that was done."""

    kill: Kill
    pid: int
    reached_ms: int
    """What event time had reached."""
    wall_time_ms: int
    in_flight: InFlight
    unanswered: int
    """Events that the service had been given and not answered."""
    uncommitted: int
    """Records of its input behind its group's committed offsets: all that it is given again."""
    attempts: int
    restarted_s: float | None = None
    """Seconds until it was ready again; None where the demo ended before."""

    def to_json(self) -> dict[str, Any]:
        """As the report shows it."""
        return {
            "service": self.kill.service,
            "pid": self.pid,
            "planned": rfc3339(self.kill.watermark_ms),
            "watermark": rfc3339(self.reached_ms),
            "wall_time": rfc3339(self.wall_time_ms),
            "in_hand": self.in_flight.to_json(),
            "unanswered": self.unanswered,
            "uncommitted": self.uncommitted,
            "attempts": self.attempts,
            "restarted_s": self.restarted_s,
        }


class FaultInjector:
    """Carries out a plan on a thread of its own."""

    def __init__(
        self, settings: Settings, loop: Loop, kills: Sequence[Kill], supervisor: Supervisor,
        *, reached: Callable[[], int], say: Callable[[str], None],
    ) -> None:  # fmt: skip
        """``reached`` says event time in milliseconds; ``say`` is told of each kill and restart, on the thread."""
        self._bootstrap, self._reached, self._say = settings.kafka_bootstrap, reached, say
        self.pending = list(kills)
        self._attempts = dict.fromkeys(kills, 0)
        self._work = {service: work_of(service, loop) for service in FAULT_TARGETS}
        self._targets = {
            part.name: FaultTarget(part, partial(supervisor.pids, part.name))
            for part in parts(settings)
            if part.name in FAULT_TARGETS
        }
        self._answers = Answers()
        self._read_to: dict[TopicPartition, int] = {}
        self._clock = SystemClock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kills", daemon=True)
        self._restarts = ThreadPoolExecutor(len(FAULT_TARGETS), "restart")
        self._waiting: list[Future[None]] = []
        self._error: BaseException | None = None
        self.done: list[Killed] = []

    def start(self) -> None:
        """Begin, unless nothing is planned."""
        if self.pending:
            self._thread.start()

    def check(self) -> None:
        """Raise what ended the thread, if anything did."""
        if self._error is not None:
            raise self._error

    def stop(self, *, wait_for_restarts: bool) -> None:
        """End; whatever was stopped goes on or is killed.

        Raises:
            DriftloopError: a service that was killed did not come back.
        """
        if not wait_for_restarts:
            self._stop.set()
        restarted = list(self._waiting)
        for each in restarted:
            each.result(_RESTART_S + 10.0)
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30.0)
        self._restarts.shutdown(cancel_futures=True)
        self.check()

    def _run(self) -> None:
        try:
            topics = self._answers.topics.union(*(work.topics for work in self._work.values()))
            consumer = KafkaBatchConsumer(self._bootstrap, sorted(topics), "demo-kills")
            try:
                while self.pending and not self._stop.is_set():
                    given = self._read(consumer, _POLL_S)
                    self._carry_out(consumer, given)
            finally:
                consumer.close()
        except BaseException as error:  # noqa: BLE001 - raised in the caller
            self._error = error

    def _read(self, consumer: KafkaBatchConsumer, timeout_s: float) -> set[str]:
        """Take note of what came; returns the services that were given something."""
        given, answered = set(), False
        for record in consumer.poll(2000, timeout_s):
            self._read_to[TopicPartition(record.topic, record.partition)] = record.offset + 1
            answered |= self._answers.see(record)
            for service, work in self._work.items():
                if record.topic in work.topics:
                    work.see(record)
                    given |= {service} if record.value else set()
        if answered:
            self._forget_answered()
        return given

    def _forget_answered(self) -> None:
        for service, work in self._work.items():
            work.answered(self._answers.of(service))

    def _carry_out(self, consumer: KafkaBatchConsumer, given: set[str]) -> None:
        reached_ms = self._reached()
        due = {kill.service: kill for kill in reversed(self.pending) if kill.watermark_ms <= reached_ms}
        for service in given & due.keys():
            killed = self._attempt(consumer, due[service], reached_ms)
            if killed is not None:
                self.pending.remove(killed.kill)
                self.done.append(killed)
                self._say(_line(killed))
                self._waiting.append(self._restarts.submit(self._await_restart, killed, time.monotonic()))

    def _attempt(self, consumer: KafkaBatchConsumer, kill: Kill, reached_ms: int) -> Killed | None:
        """Hold the process still and look; kill it where it is in the middle of something, else let it go on."""
        target = self._targets[kill.service]
        if target.process is None:
            return None
        self._attempts[kill] += 1
        with target.held():
            killed = self._look(consumer, kill, target.process.pid, reached_ms)
            if killed is not None:
                target.kill()
        return killed

    def _look(self, consumer: KafkaBatchConsumer, kill: Kill, pid: int, reached_ms: int) -> Killed | None:
        """What a process that stands still has in hand; None where that is nothing."""
        work = self._work[kill.service]
        inputs = {place: end for place, end in self._drain(consumer).items() if place.topic in work.topics}
        committed = dict.fromkeys(inputs, 0) | Offsets(self._bootstrap).committed(kill.service, inputs)
        work.committed(committed)
        events = work.events()
        if not events:
            return None
        behind = sum(end - committed[place] for place, end in inputs.items())
        now_ms, attempts = self._clock.now_ms(), self._attempts[kill]
        return Killed(kill, pid, reached_ms, now_ms, events[0], len(events), behind, attempts)

    def _drain(self, consumer: KafkaBatchConsumer) -> Mapping[TopicPartition, int]:
        """Read to where the topics end now, and say where that is."""
        ends, deadline = consumer.end_offsets(), time.monotonic() + _DRAIN_S
        while any(self._read_to.get(place, 0) < end for place, end in ends.items()):
            if time.monotonic() > deadline:
                raise Retriable(f"the broker did not give all that it has within {_DRAIN_S:.0f} s")
            self._read(consumer, _POLL_S)
        return ends

    def _await_restart(self, killed: Killed, began_s: float) -> None:
        target = self._targets[killed.kill.service]
        if target.wait_for_another(self._bootstrap, _RESTART_S, self._stop):
            killed.restarted_s = round(time.monotonic() - began_s, 2)
            self._say(f"{killed.kill.service} is back after {killed.restarted_s:.1f} s")


def _line(killed: Killed) -> str:
    held, service = killed.in_flight, killed.kill.service
    more = f" and {killed.unanswered - 1} more" if killed.unanswered > 1 else ""
    return (
        f"{day(killed.reached_ms)}  KILLED {service} (pid {killed.pid}), in hand {held.type} {held.id} "
        f"at {held.topic}/{held.partition}/{held.offset}{more}"
    )
