"""Runs one loop: drops repeated rows, merges watermarks, advances the engine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from driftloop.bus.dedup import SourceOffsets
from services.features.domain.engine import Advance, Engine
from services.features.domain.events import Arrived, Events, Ints
from services.features.domain.state import FeatureState
from services.features.domain.views import Feed, ViewSpec
from services.features.domain.watermarks import Watermarks


class ViewsChanged(ValueError):
    """The state belongs to other views than those declared now."""


class LoopRun:
    """State of one loop. ``partitions``: number of input partitions that carry its watermark."""

    def __init__(self, name: str, specs: Sequence[ViewSpec], partitions: int) -> None:
        self.name = name
        self.engine = Engine(specs)
        self._watermarks = Watermarks(partitions)
        self._seen = SourceOffsets()

    def rows(self, partition: int, rows: Arrived, feeds: Mapping[Feed, Ints]) -> None:
        """Add accepted rows of an input partition: for each feed the given positions, without repeats.

        Feeds that no view reads are skipped. Adds all rows or, if it raises as `FeedState.read` does, none.
        """
        states = self.engine.feeds
        read = [(feed, states[feed].read(rows, positions)) for feed, positions in feeds.items() if feed in states]
        for feed, events in read:
            fresh = self._fresh(partition, feed, events)
            states[feed].add(events if fresh.all() else events.take(fresh))

    def watermark(self, partition: int, watermark_ms: int) -> None:
        """Record a watermark of an input partition."""
        self._watermarks.record(partition, watermark_ms, self.engine.watermark_ms)

    def advances(self) -> Iterator[Advance]:
        """Advance through every watermark that all input partitions have reached."""
        for watermark_ms in self._watermarks.due():
            yield self.engine.advance(watermark_ms)

    def mark_seen(self, newest: Mapping[tuple[str, int], int], partitions: int) -> None:
        """Mark rows as seen up to a raw offset, by (event type, raw partition)."""
        for feed in self.engine.feeds:
            for (event_type, raw), offset in newest.items():
                if event_type == feed.event_type:
                    for partition in range(partitions):
                        self._seen.fresh(_stream(partition, feed, raw), np.array([offset]))

    def snapshot(self) -> FeatureState:
        """Return the state; later changes do not affect it. Call it when no advance is due."""
        feeds = []
        for feed in self.engine.feeds.values():
            feed.forget_unused()
            feeds.append(feed.snapshot())
        return FeatureState(
            specs=self.engine.specs,
            watermark_ms=self.engine.watermark_ms,
            late_events=self.engine.late_events,
            newest=dict(self._watermarks.newest),
            waiting=sorted(self._watermarks.waiting),
            seen=self._seen.to_json(),
            feeds=feeds,
        )

    def restore(self, state: FeatureState) -> None:
        """Restore a state.

        Raises:
            ViewsChanged: it belongs to other views.
        """
        if tuple(state.specs) != self.engine.specs:
            raise ViewsChanged(f"{self.name}: the views are not those of the last checkpoint")
        self.engine.watermark_ms, self.engine.late_events = state.watermark_ms, state.late_events
        self._watermarks.newest, self._watermarks.waiting = dict(state.newest), set(state.waiting)
        self._seen = SourceOffsets.from_json(state.seen)
        for snapshot in state.feeds:
            self.engine.feeds[snapshot.feed].restore(snapshot)

    def _fresh(self, partition: int, feed: Feed, events: Events) -> NDArray[np.bool_]:
        fresh = np.zeros(len(events), np.bool_)
        for raw in set(events.partition.tolist()):
            here = events.partition == raw
            fresh[here] = self._seen.fresh(_stream(partition, feed, raw), events.offset[here])
        return fresh


def _stream(partition: int, feed: Feed, raw_partition: int) -> str:
    """Return the key of a stream of rows: one per entity, in order of raw offset."""
    return f"{partition}/{feed.event_type}/{','.join(feed.join_keys)}/{raw_partition}"
