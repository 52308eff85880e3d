"""Kills services as planned while they work, and reports which event each was processing.

During the replay, a thread reads the services' input and output. When a kill is due and its service gets input, the
process is suspended first, so that its work can be examined. If it has unanswered input it is killed; else it is
resumed, and the thread waits for the next input. The supervisor restarts it.
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
from driftloop.bus.kafka_settings import KafkaSettings
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
class KillRecord:
    """A kill that was carried out."""

    kill: Kill
    pid: int
    reached_ms: int
    """Event time at the kill."""
    wall_time_ms: int
    in_flight: InFlight
    unanswered: int
    """Number of events that the service had received and not answered."""
    uncommitted: int
    """Input records after the committed offsets of its group: all that it receives again."""
    attempts: int
    restarted_s: float | None = None
    """Seconds until it was ready again; None if the demo ended before."""

    def to_json(self) -> dict[str, Any]:
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
        """``reached`` returns event time in milliseconds; ``say`` gets a line per kill and restart, on the thread."""
        self._kafka, self._reached, self._say = KafkaSettings.of(settings), reached, say
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
        self._restart_waits: list[Future[None]] = []
        self._error: BaseException | None = None
        self.done: list[KillRecord] = []

    def start(self) -> None:
        """Start the thread, unless nothing is planned."""
        if self.pending:
            self._thread.start()

    def check(self) -> None:
        """Raise the error that ended the thread, if any."""
        if self._error is not None:
            raise self._error

    def stop(self, *, wait_for_restarts: bool) -> None:
        """Stop the thread; a suspended process is resumed or killed.

        Raises:
            DriftloopError: a killed service did not restart.
        """
        if not wait_for_restarts:
            self._stop.set()
        restarts = list(self._restart_waits)
        for restart in restarts:
            restart.result(_RESTART_S + 10.0)
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(30.0)
        self._restarts.shutdown(cancel_futures=True)
        self.check()

    def _run(self) -> None:
        try:
            topics = self._answers.topics.union(*(work.topics for work in self._work.values()))
            consumer = KafkaBatchConsumer(self._kafka, sorted(topics), "demo-kills")
            try:
                while self.pending and not self._stop.is_set():
                    busy = self._read(consumer, _POLL_S)
                    self._kill_due(consumer, busy)
            finally:
                consumer.close()
        except BaseException as error:  # noqa: BLE001 - raised in the caller
            self._error = error

    def _read(self, consumer: KafkaBatchConsumer, timeout_s: float) -> set[str]:
        """Process new records; return the services that received input."""
        busy, answered = set(), False
        for record in consumer.poll(2000, timeout_s):
            self._read_to[TopicPartition(record.topic, record.partition)] = record.offset + 1
            answered |= self._answers.process(record)
            for service, work in self._work.items():
                if record.topic in work.topics:
                    work.add(record)
                    busy |= {service} if record.value else set()
        if answered:
            self._drop_answered()
        return busy

    def _drop_answered(self) -> None:
        for service, work in self._work.items():
            work.drop_answered(self._answers.answered_ms(service))

    def _kill_due(self, consumer: KafkaBatchConsumer, busy: set[str]) -> None:
        reached_ms = self._reached()
        due = {kill.service: kill for kill in reversed(self.pending) if kill.watermark_ms <= reached_ms}
        for service in busy & due.keys():
            killed = self._attempt(consumer, due[service], reached_ms)
            if killed is not None:
                self.pending.remove(killed.kill)
                self.done.append(killed)
                self._say(_line(killed))
                self._restart_waits.append(self._restarts.submit(self._await_restart, killed, time.monotonic()))

    def _attempt(self, consumer: KafkaBatchConsumer, kill: Kill, reached_ms: int) -> KillRecord | None:
        """Suspend the process and examine it; kill it if it has unanswered input, else resume it."""
        target = self._targets[kill.service]
        if target.process is None:
            return None
        self._attempts[kill] += 1
        with target.suspended():
            killed = self._examine(consumer, kill, target.process.pid, reached_ms)
            if killed is not None:
                target.kill()
        return killed

    def _examine(self, consumer: KafkaBatchConsumer, kill: Kill, pid: int, reached_ms: int) -> KillRecord | None:
        """Return the kill of a suspended process; None if it has no unanswered input."""
        work = self._work[kill.service]
        inputs = {partition: end for partition, end in self._drain(consumer).items() if partition.topic in work.topics}
        committed = dict.fromkeys(inputs, 0) | Offsets(self._kafka).committed(kill.service, inputs)
        work.drop_committed(committed)
        events = work.events()
        if not events:
            return None
        behind = sum(end - committed[partition] for partition, end in inputs.items())
        now_ms, attempts = self._clock.now_ms(), self._attempts[kill]
        return KillRecord(kill, pid, reached_ms, now_ms, events[0], len(events), behind, attempts)

    def _drain(self, consumer: KafkaBatchConsumer) -> Mapping[TopicPartition, int]:
        """Read to the current end of the topics, and return the end offsets."""
        ends, deadline = consumer.end_offsets(), time.monotonic() + _DRAIN_S
        while any(self._read_to.get(partition, 0) < end for partition, end in ends.items()):
            if time.monotonic() > deadline:
                raise Retriable(f"the broker did not return all records within {_DRAIN_S:.0f} s")
            self._read(consumer, _POLL_S)
        return ends

    def _await_restart(self, killed: KillRecord, began_s: float) -> None:
        target = self._targets[killed.kill.service]
        if target.wait_for_restart(self._kafka, _RESTART_S, self._stop):
            killed.restarted_s = round(time.monotonic() - began_s, 2)
            self._say(f"{killed.kill.service} is back after {killed.restarted_s:.1f} s")


def _line(killed: KillRecord) -> str:
    event, service = killed.in_flight, killed.kill.service
    more = f" and {killed.unanswered - 1} more" if killed.unanswered > 1 else ""
    return (
        f"{day(killed.reached_ms)}  KILLED {service} (pid {killed.pid}), while processing {event.type} {event.id} "
        f"at {event.topic}/{event.partition}/{event.offset}{more}"
    )
