"""The producing half of a replay: a plain Kafka producer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from driftloop.bus.ports import BatchProducer, Outgoing
from driftloop.ops.replay.encode import watermark
from driftloop.ops.replay.follow import Follower
from driftloop.ops.replay.held import Held
from driftloop.process.errors import Retriable

_LOOK_S = 0.5
"""Between looks at whether the replay is to stop."""


class Timetable(Protocol):
    """Records by the event time at which they are sent."""

    def between(self, start_ms: int, end_ms: int) -> list[Outgoing]:
        """Those that are sent in [start, end), in order."""
        ...


@dataclass
class Steps:
    """Sends events step by step.

    ``arrived`` says whether the step at a watermark is over for everybody else: all its predictions asked for, or,
    without a caller, everything at rest. ``waits_for`` says what is missing.
    """

    producer: BatchProducer
    events: Mapping[str, Timetable]
    """By topic."""
    follower: Follower
    arrived: Callable[[int], bool]
    waits_for: Callable[[int], list[str]]
    timeout_s: float
    held: Held = field(default_factory=Held)
    """What stands in the topics already and is not sent again."""
    goes_on: bool = False
    """Whether a step ends where the replay starts: it may have been cut short before it was over for the others."""
    durations_ms: list[float] = field(default_factory=list)
    """Wall time of each step, from its first record to the last answer."""

    def run(self, start_ms: int, end_ms: int, step_ms: int, stopped: Callable[[], bool]) -> int:
        """Replay [start, end); returns the watermark up to which steps have ended.

        Raises:
            Retriable: a step did not end within ``timeout_s``; says what it waits for.
        """
        # Until every partition has a watermark, the first advance would depend on which is read first.
        self.mark(start_ms)
        if self.goes_on and start_ms <= end_ms and not self._ended(start_ms, stopped):
            return start_ms
        at, following = start_ms, min(start_ms + step_ms, end_ms)
        records = self.held.lacking(self._records(at, following))
        while at < end_ms and not stopped():
            began = time.perf_counter()
            self.producer.send(records)
            self.mark(following)
            after = min(following + step_ms, end_ms)
            records = self._records(following, after)  # while the others are busy with this one
            if not self._ended(following, stopped):
                break
            self.durations_ms.append((time.perf_counter() - began) * 1000)
            at, following = following, after
        return at

    def _ended(self, to_ms: int, stopped: Callable[[], bool]) -> bool:
        """Wait until the step is over; False where the replay is to stop first."""
        deadline = time.monotonic() + self.timeout_s
        while not self.follower.wait_for(lambda: self.arrived(to_ms), _LOOK_S):
            if stopped():
                return False
            if time.monotonic() > deadline:
                missing = self.waits_for(to_ms)
                raise Retriable(f"step to {to_ms} did not end within {self.timeout_s:.0f} s: {missing}")
        return True

    def _records(self, start_ms: int, end_ms: int) -> list[Outgoing]:
        """What is sent in [start, end)."""
        return [record for each in self.events.values() for record in each.between(start_ms, end_ms)]

    def mark(self, watermark_ms: int) -> None:
        """Send a watermark to every partition, and wait until all that was sent is acknowledged."""
        for topic in self.events:
            marks = [watermark(topic, p, watermark_ms) for p in range(self.producer.partitions(topic))]
            self.producer.send(marks)
        self.producer.flush()
