"""The agent's writers in the prediction log, one for each loop, and the records that they owe it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from queue import Empty, SimpleQueue

from google.protobuf.message import Message

from driftloop.bus.ports import TopicPartition
from driftloop.contracts import predictions_pb2 as predictions
from driftloop.process import log
from driftloop.process.clock import Clock
from services.serving.domain.writers import Phase, Writer
from services.serving.ports import WriterStarts

Positions = Mapping[TopicPartition, int]


class LogWriters:
    """Each loop's writer. `give_up` and `may_answer` may be called on any thread, the others on the shipper's.

    ``name``: of this Triton with its agent and spool. Each construction is a new start.
    """

    def __init__(self, name: str, loops: Iterable[str], starts: WriterStarts, clock: Clock) -> None:
        self.name = name
        self._starts = starts
        self._clock = clock
        begun = starts.begin(list(loops), clock.now_ms())
        self._writers = {loop: Writer(start, seen_ms) for loop, (start, seen_ms) in begun.items()}
        self._given_up: SimpleQueue[tuple[str, int]] = SimpleQueue()
        self._ends: dict[str, Positions] = {}
        self._log = log.get(__name__)

    def may_answer(self, loop: str) -> bool:
        return self._writers[loop].may_answer

    def give_up(self, loop: str, writer: str, start: int) -> None:
        """Report that windows of a loop no longer wait for a start of a writer. If it is this one, it starts again."""
        if writer == self.name and loop in self._writers:
            self._given_up.put((loop, start))

    def see(self, loop: str, watermark_ms: int) -> None:
        """Record a watermark of the features."""
        if loop in self._writers:
            self._writers[loop].see(watermark_ms)

    def due_joins(self) -> list[Message]:
        """Return the joins that not all partitions have acknowledged."""
        self._start_again()
        return [
            predictions.WriterJoined(loop=loop, writer=self.name, start=writer.start)
            for loop, writer in self._writers.items()
            if writer.phase is Phase.JOINING
        ]

    def joined(self, ends: Positions) -> None:
        """Record that the joins are acknowledged. ``ends``: of the features' watermarks, asked for after that."""
        for loop, writer in self._writers.items():
            if writer.phase is Phase.JOINING:
                writer.joined()
                self._ends[loop] = ends

    def catch_up(self, positions: Callable[[], Positions]) -> None:
        """Open the writers that have read up to their ends. ``positions`` returns the next offsets to read."""
        if not self._ends:
            return
        read = positions()
        for loop, ends in list(self._ends.items()):
            if all(read.get(partition, 0) >= end for partition, end in ends.items()):
                del self._ends[loop]
                self._writers[loop].caught_up()
                self._log.info("writer-open", loop=loop, writer=self.name, start=self._writers[loop].start)

    def due_watermarks(self) -> list[predictions.PredictionWatermark]:
        """Return the watermarks to write once everything that was answered before is shipped."""
        return [
            predictions.PredictionWatermark(loop=loop, watermark_ms=writer.due_ms, writer=self.name, start=writer.start)
            for loop, writer in self._writers.items()
            if writer.due_ms is not None
        ]

    def written(self, watermarks: Sequence[predictions.PredictionWatermark]) -> None:
        """Store watermarks that all partitions have acknowledged, so that the next start writes them too."""
        self._starts.save({mark.loop: mark.watermark_ms for mark in watermarks})
        for mark in watermarks:
            self._writers[mark.loop].written(mark.watermark_ms)

    def leaves(self) -> list[Message]:
        """Return the records that close all writers."""
        return [
            predictions.WriterLeft(loop=loop, writer=self.name, start=writer.start)
            for loop, writer in self._writers.items()
        ]

    def _start_again(self) -> None:
        while True:
            try:
                loop, start = self._given_up.get_nowait()
            except Empty:
                return
            writer = self._writers[loop]
            if writer.start == start:
                [(new, _)] = self._starts.begin([loop], self._clock.now_ms()).values()
                writer.start_again(new)
                self._ends.pop(loop, None)
                self._log.warning("writer-given-up", loop=loop, writer=self.name, start=start, new_start=new)
