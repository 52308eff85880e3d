"""How far an interrupted replay came, read from its topics, so that it continues without repetition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from driftloop.bus.ports import Outgoing, Record, TopicPartition
from driftloop.contracts import replay_pb2
from driftloop.events.envelope import Envelope
from driftloop.events.raw_watermark import watermark_ms_of, watermark_text
from driftloop.process.errors import ConfigError
from driftloop.readmodel.event_text import day

Content = tuple[str, bytes | None, bytes | None]
"""Topic, key and value of a record."""


@dataclass(frozen=True)
class Progress:
    """How far the producer came.

    Every partition has the producer's watermark ``reached_ms`` (UTC milliseconds), so everything sent before it; None
    if a partition has no watermark yet. ``partial`` counts the later records: those of the interrupted step.
    """

    reached_ms: int | None = None
    partial: Counter[Content] = field(default_factory=Counter)

    def start_ms(self, start_ms: int, end_ms: int, step_ms: int) -> int:
        """Return where a replay of [start, end) in steps continues.

        Raises:
            ConfigError: the topics were not filled in such steps.
        """
        if self.reached_ms is None or self.reached_ms < start_ms:
            return start_ms
        if self.reached_ms < end_ms and (self.reached_ms - start_ms) % step_ms:
            raise ConfigError(
                f"the topics end at {day(self.reached_ms)}, inside a step; resume with the same start and step"
            )
        return self.reached_ms

    def unsent(self, records: Iterable[Outgoing]) -> list[Outgoing]:
        """Return the records that were not sent yet, in order; each sent record accounts for one."""
        partial, missing = self.partial.copy(), []
        for record in records:
            content = (record.topic, record.key, record.value)
            if partial[content]:
                partial[content] -= 1
            else:
                missing.append(record)
        return missing


def read_progress(records: Iterable[Record], partitions: Mapping[str, int]) -> Progress:
    """Read the progress from raw topics with the given numbers of partitions; a partition's records come in order.

    A producer marks all partitions before it continues, so none is more than a step ahead of another.
    """
    progress = {
        TopicPartition(topic, number): _PartitionProgress()
        for topic, count in partitions.items()
        for number in range(count)
    }
    for record in records:
        progress[TopicPartition(record.topic, record.partition)].process(record)
    watermarks = [partition.watermark_ms for partition in progress.values()]
    known = [watermark for watermark in watermarks if watermark is not None]
    if len(known) < len(watermarks) or not known:
        return Progress(None, Counter(content for partition in progress.values() for content in partition.after(None)))
    reached_ms = min(known)
    return Progress(
        reached_ms, Counter(content for partition in progress.values() for content in partition.after(reached_ms))
    )


@dataclass
class _PartitionProgress:
    """A partition's newest watermark, and the records after it and after the previous one."""

    watermark_ms: int | None = None
    _before_ms: int | None = None
    _since: list[Content] = field(default_factory=list)
    _since_before: list[Content] = field(default_factory=list)

    def process(self, record: Record) -> None:
        watermark_ms = watermark_ms_of(record)
        if watermark_text(record) is None:
            self._since.append((record.topic, record.key, record.value))
        elif watermark_ms is not None and (self.watermark_ms is None or watermark_ms > self.watermark_ms):
            self._before_ms, self.watermark_ms = self.watermark_ms, watermark_ms
            self._since_before, self._since = self._since, []

    def after(self, watermark_ms: int | None) -> list[Content]:
        return self._since if self.watermark_ms == watermark_ms else [*self._since_before, *self._since]


def completed_steps(events: Sequence[Envelope[replay_pb2.StepAsked]], loop: str) -> dict[int, replay_pb2.StepAsked]:
    """Return the steps of a loop whose predictions were all requested, by watermark."""
    return {event.data.watermark_ms: event.data for event in events if event.loop == loop}


def count_answers(steps: Collection[replay_pb2.StepAsked]) -> dict[str, int]:
    """Return the numbers of answered and failed predictions."""
    return {"answered": sum(step.asked for step in steps), "failed": sum(step.failed for step in steps)}
