"""The producer half of a replay: a plain Kafka producer."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from driftloop.bus.ports import BatchProducer, Outgoing
from driftloop.events.raw_watermark import watermark
from driftloop.loop.effects import span_text
from driftloop.ops.replay.follow import Follower
from driftloop.ops.replay.progress import Progress
from driftloop.process.errors import Retriable
from driftloop.readmodel.event_text import day

_CHECK_S = 0.5
"""Interval of checks whether the replay is to stop."""


class Schedule(Protocol):
    """Records by the event time at which they are sent."""

    def between(self, start_ms: int, end_ms: int) -> list[Outgoing]:
        """Return the records to send in [start, end), in order."""
        ...


@dataclass
class StepProducer:
    """Sends events step by step.

    ``is_done`` returns whether the step at a watermark is over for everybody else: all its predictions are requested
    or, without a caller, everything is at rest. ``waits_for`` returns what is missing.
    """

    producer: BatchProducer
    events: Mapping[str, Schedule]
    """By topic."""
    follower: Follower
    is_done: Callable[[int], bool]
    waits_for: Callable[[int], list[str]]
    timeout_s: float
    progress: Progress = field(default_factory=Progress)
    """What the topics already have; it is not sent again."""
    resumed: bool = False
    """Whether the replay resumes at the end of a step, which the others may not have finished."""
    durations_ms: list[float] = field(default_factory=list)
    """Wall time of each step, from its first record to the last answer."""

    def run(self, start_ms: int, end_ms: int, step_ms: int, stopped: Callable[[], bool]) -> int:
        """Replay [start, end); return the watermark up to which steps have ended.

        Raises:
            Retriable: a step did not end within ``timeout_s``; says what it waits for.
        """
        # Until every partition has a watermark, the first advance would depend on which is read first.
        self.send_watermark(start_ms)
        if self.resumed and start_ms <= end_ms and not self._wait_for_end(start_ms, stopped):
            return start_ms
        at, following = start_ms, min(start_ms + step_ms, end_ms)
        records = self.progress.unsent(self._records(at, following))
        while at < end_ms and not stopped():
            started = time.perf_counter()
            self.producer.send(records)
            self.send_watermark(following)
            after = min(following + step_ms, end_ms)
            records = self._records(following, after)  # while the services process this step
            if not self._wait_for_end(following, stopped):
                break
            self.durations_ms.append((time.perf_counter() - started) * 1000)
            at, following = following, after
        return at

    def _wait_for_end(self, to_ms: int, stopped: Callable[[], bool]) -> bool:
        """Wait until the step is over; return False if the replay is to stop first."""
        deadline = time.monotonic() + self.timeout_s
        while not self.follower.wait_for(lambda: self.is_done(to_ms), _CHECK_S):
            if stopped():
                return False
            if time.monotonic() > deadline:
                missing = self.waits_for(to_ms)
                limit = span_text(timedelta(seconds=self.timeout_s))
                raise Retriable(f"the step to {day(to_ms)} did not end within {limit}: {'; '.join(missing)}")
        return True

    def _records(self, start_ms: int, end_ms: int) -> list[Outgoing]:
        return [record for events in self.events.values() for record in events.between(start_ms, end_ms)]

    def send_watermark(self, watermark_ms: int) -> None:
        """Send a watermark to every partition, and wait until all records are acknowledged."""
        for topic in self.events:
            watermarks = [watermark(topic, p, watermark_ms) for p in range(self.producer.partitions(topic))]
            self.producer.send(watermarks)
        self.producer.flush()
