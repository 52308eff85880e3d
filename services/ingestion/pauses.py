"""Pauses a topic of a loop after too many consecutive dead letters, and resumes it.

The topic's records stay where they are. Everything else continues: other topics of the loop, and other loops. The
loop's watermark waits for the topic, because its windows would close without the topic's rows. The service resumes the
topic when a user resumes the loop, or at a start after the event's definition has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from driftloop.bus.ports import Outgoing
from driftloop.process import log
from driftloop.process.clock import Clock
from services.ingestion import metrics
from services.ingestion.domain.refusals import Refusals, Streak
from services.ingestion.messages import Messages
from services.ingestion.pipeline import Pipeline
from services.ingestion.ports import Resumes
from services.ingestion.reader import Reader

Topics = Mapping[tuple[str, str], str]
"""Digest of the event's definition, by loop and topic."""


class Pauses:
    """The refusals of every topic of every loop."""

    def __init__(
        self,
        pipelines: Sequence[Pipeline],
        messages: Sequence[Messages],
        definitions: Topics,
        reader: Reader,
        resumes: Resumes,
        send: Callable[[Sequence[Outgoing]], None],
        clock: Clock,
        limit: int,
    ) -> None:
        self._pipelines = {pipeline.loop: pipeline for pipeline in pipelines}
        self._messages = {sender.loop: sender for sender in messages}
        self._definitions = definitions
        self._reader = reader
        self._resumes = resumes
        self._send = send
        self._clock = clock
        self._limit = limit
        self._refusals: dict[tuple[str, str], Refusals] = {}
        self._last: dict[tuple[str, str], Streak] = {}
        self.changed = False
        """Whether a pause has begun or ended since the last checkpoint."""
        self._log = log.get(__name__)

    def state(self) -> dict[tuple[str, str], Refusals]:
        self.changed = False
        return dict(self._refusals)

    def restore(self, stored: Mapping[tuple[str, str], Refusals]) -> None:
        """Continue from a checkpoint; resume the topics whose event has a new definition."""
        self._refusals = dict(stored)
        for where, digest in self._definitions.items():
            if self._paused(where) and self._refusals[where].definition != digest:
                self._resume(where[1], "definition", lifted=False)
        for where in self._definitions:
            metrics.TOPIC_PAUSED.set(int(self._paused(where)), loop=where[0], event_type=where[1])
        self._apply()

    def add(self, streaks: Mapping[tuple[str, str], Streak]) -> None:
        """Count the dead letters of a batch, and pause the topics that exceed the limit.

        A topic of several loops is paused only if all of them exceed it, because it is read for all.
        """
        for where, streak in streaks.items():
            self._refusals[where] = self._refusals.get(where, Refusals()).add(streak)
            self._last[where] = streak if streak.dead_letters else self._last.get(where, streak)
        exceeding = sorted({topic for loop, topic in streaks if self._exceeds((loop, topic))})
        for topic in exceeding:
            loops = self._loops(topic)
            if all(self._exceeds(where) for where in loops) and not any(self._paused(where) for where in loops):
                for where in loops:
                    self._pause(where)
        if self.changed:
            self._apply()

    def check_resumes(self) -> None:
        """Resume the topics of loops that a user has resumed since the pause. Does nothing if no topic is paused."""
        paused = [where for where in self._definitions if self._paused(where)]
        if not paused:
            return
        newest_ms = self._resumes.newest_ms()
        for loop, topic in paused:
            if newest_ms.get(loop, 0) > (self._refusals[loop, topic].paused_ms or 0):
                self._resume(topic, "command", lifted=True)
        if self.changed:
            self._apply()

    def _loops(self, topic: str) -> list[tuple[str, str]]:
        return [where for where in self._definitions if where[1] == topic]

    def _paused(self, where: tuple[str, str]) -> bool:
        return where in self._refusals and self._refusals[where].paused

    def _exceeds(self, where: tuple[str, str]) -> bool:
        return where in self._refusals and self._refusals[where].exceeds(self._limit)

    def _pause(self, where: tuple[str, str]) -> None:
        loop, topic = where
        refusals, streak = self._refusals[where], self._last.get(where, Streak(0, alone=False))
        name, event = self._messages[loop].topic_paused(topic, streak, refusals.in_a_row, self._time_ms(loop))
        self._refusals[where] = refusals.pause(self._clock.now_ms(), name, self._definitions[where])
        self._send([event])
        self._log.error(
            "topic-paused", loop=loop, topic=topic, dead_letters=refusals.in_a_row, reason=streak.reason,
            detail=streak.detail, resume=f"driftloop resume {loop} --why ...",
        )  # fmt: skip
        metrics.TOPIC_PAUSED.set(1, loop=loop, event_type=topic)
        self.changed = True

    def _resume(self, topic: str, because: str, *, lifted: bool) -> None:
        for loop, _ in filter(self._paused, self._loops(topic)):
            paused_by = self._refusals[loop, topic].paused_by
            self._refusals[loop, topic] = self._refusals[loop, topic].resume(lifted=lifted)
            self._send([self._messages[loop].topic_resumed(topic, paused_by, because, self._time_ms(loop))])
            self._log.warning("topic-resumed", loop=loop, topic=topic, because=because)
            metrics.TOPIC_PAUSED.set(0, loop=loop, event_type=topic)
            self.changed = True

    def _apply(self) -> None:
        self._reader.pause({where[1] for where in self._definitions if self._paused(where)})

    def _time_ms(self, loop: str) -> int:
        """Return the loop's event time; the wall time if it has no watermark yet."""
        watermark_ms = self._pipelines[loop].clock.watermark_ms
        return self._clock.now_ms() if watermark_ms is None else watermark_ms
