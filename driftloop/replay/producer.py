"""The producing half of a replay: a plain Kafka producer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from driftloop.bus.ports import BatchProducer
from driftloop.errors import Retriable
from driftloop.replay.encode import Encoded, watermark
from driftloop.replay.follow import Follower

_LOOK_S = 0.5
"""Between looks at whether the replay is to stop."""


@dataclass
class Steps:
    """Sends events step by step.

    ``arrived`` tells whether the step at a watermark is over for everybody else: all its predictions asked for, or,
    without a caller, everything at rest. ``waits_for`` says what is missing.
    """

    producer: BatchProducer
    events: Mapping[str, Encoded]
    follower: Follower
    arrived: Callable[[int], bool]
    waits_for: Callable[[int], list[str]]
    timeout_s: float
    durations_ms: list[float] = field(default_factory=list)
    """Wall time of each step, from its first record to the last answer."""

    def run(self, start_ms: int, end_ms: int, step_ms: int, stopped: Callable[[], bool]) -> int:
        """Replay [start, end); returns the watermark up to which steps have ended.

        Raises:
            Retriable: a step did not end within ``timeout_s``; says what it waits for.
        """
        # Until every partition has a watermark, the first advance would depend on which is read first.
        self.mark(start_ms)
        at = start_ms
        while at < end_ms and not stopped():
            following = min(at + step_ms, end_ms)
            began = time.perf_counter()
            self.send(at, following)
            if not self._ended(following, stopped):
                break
            self.durations_ms.append((time.perf_counter() - began) * 1000)
            at = following
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

    def send(self, start_ms: int, end_ms: int) -> None:
        """Send the events of [start, end), then the watermark ``end`` to every partition."""
        for encoded in self.events.values():
            self.producer.send(encoded.between(start_ms, end_ms))
        self.mark(end_ms)

    def mark(self, watermark_ms: int) -> None:
        """Send a watermark to every partition, and wait until all that was sent is acknowledged."""
        for topic in self.events:
            marks = [watermark(topic, p, watermark_ms) for p in range(self.producer.partitions(topic))]
            self.producer.send(marks)
        self.producer.flush()
