"""Sends notices after their events are stored, without delaying them.

Normally once per episode. If the process dies between the receiver's answer and its storage, the notice is sent again
with the same ``notice_id``.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass

from driftloop.process import log
from driftloop.process.clock import Clock
from services.control.notify import metrics
from services.control.notify.ports import Accepted, Channel, Due, NoticeQueue, Refused, TryLater

_BATCH = 50


@dataclass(frozen=True)
class Pace:
    """Pauses of the notifier, in seconds, and its number of attempts."""

    poll_s: float = 1.0
    retry_first_s: float = 2.0
    retry_longest_s: float = 900.0
    attempts: int = 40
    claim_s: float = 60.0
    """Time after which another instance may send a notice that this one has claimed."""


class Notifier:
    """Works on a thread of its own until stopped.

    Without a channel it discards waiting notices, so that none accumulate.
    """

    def __init__(
        self,
        queue: NoticeQueue,
        channel: Channel | None,
        clock: Clock,
        stop: threading.Event,
        pace: Pace,
        seed: int = 0,
    ) -> None:
        self._queue = queue
        self._channel = channel
        self._clock = clock
        self._stop = stop
        self._pace = pace
        self._random = random.Random(seed)  # jitter of pauses
        self._paused_until_ms = 0
        self._log = log.get(__name__)

    def run(self) -> None:
        """Send what is due, until the stop event is set."""
        while not self._stop.is_set():
            self.drain()
            self._stop.wait(self._pace.poll_s)

    def drain(self) -> int:
        """Send up to a batch of due notices; return how many the receiver accepted."""
        if self._channel is None:
            self._queue.pass_over(self._clock.now_ms(), "no webhook is set")
            sent = 0
        else:
            sent = sum(self._send(self._channel, due) for due in self._queue.due(self._clock.now_ms(), _BATCH))
        metrics.WAITING.set(self._queue.waiting())
        return sent

    def _send(self, channel: Channel, due: Due) -> int:
        """Send a notice, unless the service stops, the receiver asked for a pause or another instance sends it."""
        now_ms = self._clock.now_ms()
        if self._stop.is_set() or now_ms < self._paused_until_ms:
            return 0
        if not self._queue.claim(due.notice.notice_id, now_ms, now_ms + int(1000 * self._pace.claim_s)):
            return 0
        answer, loop, kind = channel.send(due.notice), due.notice.loop, due.notice.kind
        if isinstance(answer, Accepted):
            self._queue.sent(due.notice.notice_id, self._clock.now_ms())
            metrics.SENT.add(loop=loop, kind=kind)
            self._log.info("notice-sent", notice=due.notice.notice_id, loop=loop, kind=kind)
            return 1
        if isinstance(answer, Refused) or due.attempts + 1 >= self._pace.attempts:
            self._queue.give_up(due.notice.notice_id, self._clock.now_ms(), answer.problem)
            metrics.GIVEN_UP.add(loop=loop, kind=kind)
            self._log.error(
                "notice-given-up", notice=due.notice.notice_id, loop=loop, kind=kind, problem=answer.problem
            )
        else:
            self._wait(due, answer)
            metrics.RETRIED.add(loop=loop, kind=kind)
        return 0

    def _wait(self, due: Due, answer: TryLater) -> None:
        now_ms, asked_ms = self._clock.now_ms(), int(1000 * (answer.after_s or 0.0))
        self._paused_until_ms = max(self._paused_until_ms, now_ms + asked_ms)
        retry_at_ms = now_ms + max(asked_ms, self._pause_ms(due.attempts))
        self._queue.failed(due.notice.notice_id, retry_at_ms, answer.problem)
        self._log.warning("notice-waits", notice=due.notice.notice_id, attempt=due.attempts + 1, problem=answer.problem)

    def _pause_ms(self, attempts: int) -> int:
        """Return the pause of an exponential back-off, half of it random."""
        longest = min(self._pace.retry_longest_s, self._pace.retry_first_s * 2.0 ** min(attempts, 20))
        return int(1000 * longest * self._random.uniform(0.5, 1.0))
