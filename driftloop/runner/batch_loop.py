"""The loop of batch services: read, process, flush, store a checkpoint, commit, measure the lag.

Processing may send records without waiting for acknowledgement. A flush makes everything that was processed before it
durable. The offsets before it are committed only after that. A process that is killed anywhere else reads the same
records again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol, TypeVar

from driftloop.bus.ports import BatchConsumer, TopicPartition
from driftloop.process import log
from driftloop.process.clock import Clock
from driftloop.process.errors import Retriable

Batch = TypeVar("Batch")
Positions = Mapping[TopicPartition, int]
"""Next offset to read, by partition."""
Flush = Callable[[], Positions]
"""Makes everything that precedes the returned positions durable. May run on another thread."""


class Processor(Protocol[Batch]):
    """A service's part of the loop. All methods run on the loop's thread."""

    def start(self) -> Positions:
        """Restore the last checkpoint and return its positions."""
        return {}

    def read(self) -> Batch:
        """Return the next batch, which may be empty."""
        ...

    def process(self, batch: Batch) -> None:
        """Process a batch; called for empty batches too."""
        ...

    def due_flush(self) -> Flush | None:
        """Return a flush of everything processed so far, if one is due. Not called while another one runs."""
        ...

    def flushed(self) -> None:
        """Record that the last flush has succeeded; its positions are committed next."""
        return

    def last_flush(self) -> Flush | None:
        """Return the flush before a graceful stop, if one is necessary."""
        return None

    def report_lag(self, ends: Positions) -> None:  # noqa: ARG002  # a service without a lag metric ignores it
        """Report the lag behind the ends of the partitions."""
        return


class Closeable(Protocol):
    """A resource of a service."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class LoopOptions:
    """What differs between the loops of services."""

    background_flush: bool = False
    """Flush on a thread of its own, one flush at a time, so that processing does not wait."""
    commit_every_s: float = 0.0
    """Minimum time between commits."""
    commit_required: bool = True
    """Whether a commit that the broker refuses ends the loop. False: the next commit includes its offsets."""
    lag_every_s: float | None = None
    """Time between measurements of the lag."""
    on_retriable: Callable[[Retriable], None] | None = None
    """Called with the error of a step; the next step then tries again. None: the error ends the loop."""


class BatchLoop:
    """Runs a processor until ``stop`` is set or an error occurs.

    Closes the consumer and ``resources`` at the end. Closes the producer only after a graceful stop, because that waits
    for acknowledgements.
    """

    def __init__(
        self,
        processor: Processor[Batch],
        consumer: BatchConsumer,
        stop: threading.Event,
        clock: Clock,
        *,
        options: LoopOptions,
        resources: Sequence[Closeable] = (),
        producer: Closeable | None = None,
    ) -> None:
        self._processor = processor
        self._consumer = consumer
        self._stop = stop
        self._clock = clock
        self._options = options
        self._resources = (consumer, *resources)
        self._producer = producer
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="flush") if options.background_flush else None
        self._pending_flush: Future[Positions] | None = None
        self._durable: Positions = {}
        self._committed: Positions = {}
        self._committed_s = self._lag_s = clock.monotonic_s()
        self._ready = False
        self._log = log.get(__name__)

    def ready(self) -> bool:
        return self._ready

    def run(self) -> None:
        """Run until asked to stop, then close everything.

        Raises:
            Retriable: the broker or a store did not answer in time.
        """
        try:
            self.start()
            while not self._stop.is_set():
                self._try(self.step)
            self._try(self.finish)
        finally:
            self._ready = False
            if self._executor is not None:
                self._executor.shutdown(wait=True, cancel_futures=True)
            for resource in self._resources:
                resource.close()
        if self._producer is not None:
            self._producer.close()

    def start(self) -> None:
        """Restore the last checkpoint. The next commit includes its positions."""
        self._durable = dict(self._processor.start())
        self._ready = True

    def step(self) -> bool:
        """Process one batch, then flush, commit and measure the lag if due; return whether the batch had records."""
        batch = self._processor.read()
        self._processor.process(batch)
        self._finish_flush()
        if self._pending_flush is None:
            self._start_flush(self._processor.due_flush())
        now_s = self._clock.monotonic_s()
        if now_s - self._committed_s >= self._options.commit_every_s:
            self._commit()
        if self._options.lag_every_s is not None and now_s - self._lag_s > self._options.lag_every_s:
            self._lag_s = now_s
            self._processor.report_lag(self._consumer.end_offsets())
        return bool(batch)

    def finish(self) -> None:
        """Wait for the running flush, run the last one and commit."""
        self._finish_flush(wait=True)
        self._start_flush(self._processor.last_flush())
        self._finish_flush(wait=True)
        self._commit()

    def _try(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Retriable as error:
            if self._options.on_retriable is None:
                raise
            self._options.on_retriable(error)

    def _start_flush(self, flush: Flush | None) -> None:
        if flush is None:
            return
        if self._executor is not None:
            self._pending_flush = self._executor.submit(flush)
        else:
            self._store(flush())

    def _finish_flush(self, *, wait: bool = False) -> None:
        """Store the checkpoint of a finished flush, or raise its error."""
        if self._pending_flush is not None and (wait or self._pending_flush.done()):
            positions, self._pending_flush = self._pending_flush.result(), None
            self._store(positions)

    def _store(self, positions: Positions) -> None:
        self._processor.flushed()
        self._durable = dict(positions)

    def _commit(self) -> None:
        """Commit what is durable; a refused commit is not repeated before the next flush."""
        self._committed_s = self._clock.monotonic_s()
        if self._committed == self._durable:
            return
        self._committed = self._durable
        try:
            self._consumer.commit(self._durable)
        except Retriable as error:
            if self._options.commit_required:
                raise
            self._log.warning("commit-refused", problem=str(error))
