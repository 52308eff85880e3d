"""What the topics hold of a replay that was cut short: where it goes on, without sending or asking anything twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from driftloop.bus.ports import Outgoing, Record, TopicPartition
from driftloop.contracts import replay_pb2
from driftloop.events.envelope import Envelope
from driftloop.ops.replay.encode import WATERMARK_HEADER
from driftloop.process.errors import ConfigError

Content = tuple[str, bytes | None, bytes | None]
"""Topic, key and value of a record."""


@dataclass(frozen=True)
class Held:
    """How far the producer came.

    Every partition has the producer's watermark ``reached_ms`` (UTC milliseconds), and so all that is sent before it;
    None where one has no watermark yet. ``begun`` counts the records after it: of the step that was cut short.
    """

    reached_ms: int | None = None
    begun: Counter[Content] = field(default_factory=Counter)

    def start_ms(self, start_ms: int, end_ms: int, step_ms: int) -> int:
        """Where a replay of [start, end) in steps goes on.

        Raises:
            ConfigError: what is held was not sent in such steps.
        """
        if self.reached_ms is None or self.reached_ms < start_ms:
            return start_ms
        if self.reached_ms < end_ms and (self.reached_ms - start_ms) % step_ms:
            raise ConfigError(f"the topics hold steps to {self.reached_ms}, which no such step ends at")
        return self.reached_ms

    def lacking(self, records: Iterable[Outgoing]) -> list[Outgoing]:
        """Those of the records that are not held yet, in order; each that is held accounts for one."""
        begun, found = self.begun.copy(), []
        for record in records:
            content = (record.topic, record.key, record.value)
            if begun[content]:
                begun[content] -= 1
            else:
                found.append(record)
        return found


def held(records: Iterable[Record], partitions: Mapping[str, int]) -> Held:
    """What raw topics hold, each with so many partitions; a partition's records come in order.

    A producer marks all partitions before it goes on, so none of them is more than a step ahead of another.
    """
    places = {TopicPartition(topic, at): _Place() for topic, count in partitions.items() for at in range(count)}
    for record in records:
        places[TopicPartition(record.topic, record.partition)].see(record)
    marks = [place.mark_ms for place in places.values()]
    known = [mark for mark in marks if mark is not None]
    if len(known) < len(marks) or not known:
        return Held(None, Counter(content for place in places.values() for content in place.behind(None)))
    reached_ms = min(known)
    return Held(reached_ms, Counter(content for place in places.values() for content in place.behind(reached_ms)))


@dataclass
class _Place:
    """A partition's newest watermark, and the records after it and after the previous one."""

    mark_ms: int | None = None
    _before_ms: int | None = None
    _since: list[Content] = field(default_factory=list)
    _since_before: list[Content] = field(default_factory=list)

    def see(self, record: Record) -> None:
        mark = None if record.value else record.header(WATERMARK_HEADER)
        if mark is None:
            self._since.append((record.topic, record.key, record.value))
        elif self.mark_ms is None or int(mark) > self.mark_ms:
            self._before_ms, self.mark_ms = self.mark_ms, int(mark)
            self._since_before, self._since = self._since, []

    def behind(self, mark_ms: int | None) -> list[Content]:
        """What stands behind a watermark."""
        return self._since if self.mark_ms == mark_ms else [*self._since_before, *self._since]


def asked(events: Sequence[Envelope[replay_pb2.StepAsked]], loop: str) -> dict[int, replay_pb2.StepAsked]:
    """Steps of a loop whose predictions were all asked for, by their watermark."""
    return {event.data.watermark_ms: event.data for event in events if event.loop == loop}


def total(steps: Collection[replay_pb2.StepAsked]) -> dict[str, int]:
    """How many predictions were answered and how many failed."""
    return {"answered": sum(step.asked for step in steps), "failed": sum(step.failed for step in steps)}
