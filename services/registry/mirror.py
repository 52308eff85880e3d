"""Copies releases to another registry after each change, without delaying it.

The copy is made from current rows, so it can be repeated at any time. A change during a copy queues another copy.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass

from driftloop.process import log
from driftloop.process.clock import Clock
from driftloop.process.errors import Retriable
from services.registry import metrics
from services.registry.ports import MirrorQueue, MirrorTask, ModelRegistry


@dataclass(frozen=True)
class MirrorDelays:
    """Pauses of the mirror, in seconds."""

    poll_s: float = 1.0
    retry_first_s: float = 1.0
    retry_longest_s: float = 60.0
    claim_s: float = 300.0
    """Time after which another instance may copy a release that this one has claimed."""


class Mirror:
    """Runs on its own thread until stopped."""

    def __init__(
        self,
        queue: MirrorQueue,
        target: ModelRegistry,
        clock: Clock,
        stop: threading.Event,
        delays: MirrorDelays,
        seed: int = 0,
    ) -> None:
        self._queue = queue
        self._target = target
        self._clock = clock
        self._stop = stop
        self._delays = delays
        self._random = random.Random(seed)  # jitter of a pause
        self._log = log.get(__name__)

    def run(self) -> None:
        """Copy queued releases until the stop event is set."""
        while not self._stop.is_set():
            self.drain()
            self._stop.wait(self._delays.poll_s)

    def drain(self) -> int:
        """Copy everything that is due now; return the number of copies."""
        copies = 0
        while not self._stop.is_set() and (task := self._claim()) is not None:
            copies += self._copy(task)
        metrics.MIRROR_BACKLOG.set(self._queue.backlog())
        return copies

    def _claim(self) -> MirrorTask | None:
        now_ms = self._clock.now_ms()
        return self._queue.claim(now_ms, now_ms + int(1000 * self._delays.claim_s))

    def _copy(self, task: MirrorTask) -> int:
        try:
            release = self._queue.release(task.release_id)
            version = self._target.ensure_version(task.loop, release, self._queue.version(task.release_id))
            self._queue.save_version(task.release_id, version)
            self._set_aliases(task.loop)
            self._queue.done(task)
        except Retriable as problem:
            metrics.MIRROR_FAILURES.add(loop=task.loop)
            self._log.warning("mirror-waits", release=task.release_id, attempt=task.attempts, problem=str(problem))
            self._queue.failed(task, self._clock.now_ms() + self._pause_ms(task.attempts), str(problem))
            return 0
        metrics.MIRRORED.add(loop=task.loop)
        return 1

    def _set_aliases(self, loop: str) -> None:
        """Update the aliases. A release without a version gets its alias with its own copy."""
        versions = {alias: self._queue.version(release_id) for alias, release_id in self._queue.aliases(loop).items()}
        self._target.set_aliases(loop, {alias: version for alias, version in versions.items() if version})

    def _pause_ms(self, attempts: int) -> int:
        longest = min(self._delays.retry_longest_s, self._delays.retry_first_s * 2.0 ** min(attempts, 20))
        return int(1000 * longest * self._random.uniform(0.5, 1.0))
