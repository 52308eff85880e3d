"""Flushes rows to the lake, then publishes an event and stores a checkpoint, in the background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from driftloop.bus.ports import BatchProducer, Outgoing
from driftloop.contracts.features_pb2 import OfflineFlushed
from driftloop.contracts.features_pb2 import ViewVersion as ViewVersionMessage
from driftloop.events import ids
from driftloop.events.envelope import Draft, from_draft, to_record
from driftloop.process.clock import Clock
from driftloop.runner.batch_loop import Positions
from services.features import metrics
from services.features.domain.engine import Advance, FeatureRows
from services.features.ports import Checkpoint, Checkpoints, OfflineStore, ViewVersion

SOURCE = "features"


@dataclass
class Unflushed:
    """Rows of one loop that are not in the lake yet."""

    rows: list[FeatureRows] = field(default_factory=list)
    count: int = 0
    first_ms: int | None = None
    last_ms: int | None = None

    def add(self, advance: Advance) -> None:
        self.rows += advance.views
        self.count += advance.rows
        self.first_ms = advance.watermark_ms if self.first_ms is None else self.first_ms
        self.last_ms = advance.watermark_ms

    def span_ms(self) -> int:
        """Return the event time between the first and the last advance."""
        return 0 if self.first_ms is None or self.last_ms is None else self.last_ms - self.first_ms


class Flush:
    """Brings the offline views of every loop to a checkpoint.

    The order makes a kill harmless: rows first, which a repeat skips by their version; then the event, which may be
    repeated; the checkpoint last.
    """

    def __init__(self, offline: OfflineStore, checkpoints: Checkpoints, producer: BatchProducer, clock: Clock) -> None:
        self._offline = offline
        self._checkpoints = checkpoints
        self._producer = producer
        self._clock = clock

    def __call__(self, checkpoint: Checkpoint, unflushed: Mapping[str, Sequence[FeatureRows]]) -> Positions:
        """Flush the rows of these loops, which precede the checkpoint; return its positions once it is stored."""
        began_s = self._clock.monotonic_s()
        for loop, rows in unflushed.items():
            state = checkpoint.loops[loop]
            if state.watermark_ms is not None:
                now_ms = self._clock.now_ms()
                versions = self._offline.append(loop, state.specs, rows, state.watermark_ms, now_ms)
                self._producer.send([_event(loop, state.watermark_ms, versions, now_ms)])
                metrics.FLUSHED_ROWS.add(sum(len(view.keys) for view in rows), loop=loop)
        self._producer.flush()
        self._checkpoints.save(checkpoint)
        metrics.FLUSH_SECONDS.record(self._clock.monotonic_s() - began_s)
        return checkpoint.positions


def _event(loop: str, watermark_ms: int, versions: Sequence[ViewVersion], wall_time_ms: int) -> Outgoing:
    views = [ViewVersionMessage(view=view.view, path=view.path, version=view.version) for view in versions]
    message = OfflineFlushed(loop=loop, watermark_ms=watermark_ms, views=views)
    draft = Draft(ids.event_id("features.offline-flushed", loop, watermark_ms), loop, watermark_ms, message)
    return to_record(from_draft(draft, source=SOURCE, wall_time_ms=wall_time_ms, cause=None, traceparent=None))
