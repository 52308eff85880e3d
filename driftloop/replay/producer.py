"""The producing half of a replay: a plain Kafka producer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from driftloop.bus.ports import BatchProducer
from driftloop.errors import Retriable
from driftloop.replay.encode import Encoded, watermark
from driftloop.replay.follow import Follower


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
        """Replay [start, end); returns the watermark that was reached.

        Raises:
            Retriable: a step did not end within ``timeout_s``; says what it waits for.
        """
        at = start_ms
        while at < end_ms and not stopped():
            following = min(at + step_ms, end_ms)
            began = time.perf_counter()
            self.send(at, following)
            if not self.follower.wait_for(lambda to=following: self.arrived(to), self.timeout_s):  # type: ignore[misc]
                raise Retriable(
                    f"step to {following} did not end within {self.timeout_s:.0f} s: {self.waits_for(following)}"
                )
            self.durations_ms.append((time.perf_counter() - began) * 1000)
            at = following
        return at

    def send(self, start_ms: int, end_ms: int) -> None:
        """Send the events of [start, end), then the watermark ``end`` to every partition."""
        for encoded in self.events.values():
            self.producer.send(encoded.between(start_ms, end_ms))
        for topic in self.events:
            marks = [watermark(topic, p, end_ms) for p in range(self.producer.partitions(topic))]
            self.producer.send(marks)
        self.producer.flush()
