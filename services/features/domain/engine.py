"""The features of one loop in event time: rows in, changed feature rows out at every watermark.

The live service and the backfill run this code. `docs/architecture.md`, "Time", defines visibility and windows: visible
at ``w`` when ``max(event_time, arrival_watermark) < w``, in a window of length ``s`` when visible and ``event_time >= w
- s``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from services.features.domain import windows
from services.features.domain.events import Array, Arrived, Events, Ints, concat, empty, merge
from services.features.domain.latest import Key, LatestRows, Newest
from services.features.domain.views import Feed, ViewSpec, feed_columns

_KEY_TYPES = {"string": pa.string(), "int64": pa.int64()}


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """Rows of one view that changed at a watermark; ``columns`` float64 or object [len(keys)], one per feature."""

    spec: ViewSpec
    watermark_ms: int
    keys: list[Key]
    columns: tuple[Array, ...]


@dataclass(frozen=True, slots=True)
class Advance:
    """The result of advancing the watermark."""

    watermark_ms: int
    views: tuple[FeatureRows, ...]
    late_events: int
    """Late events that became visible, each counted once, whatever number of entities it feeds."""
    late_seen: int
    """The total so far."""

    @property
    def rows(self) -> int:
        """Number of changed feature rows."""
        return sum(len(view.keys) for view in self.views)


class FeedState:
    """Events of one feed: those not visible yet, and those that a window may still contain."""

    def __init__(self, feed: Feed, views: Sequence[ViewSpec], *, counts_late: bool) -> None:
        self.feed = feed
        self.counts_late = counts_late
        self.windowed = [view for view in views if view.aggregates]
        self.latest = [LatestRows(view) for view in views if view.latest]
        self.columns = feed_columns(views)
        self._key_types = [_KEY_TYPES[kind] for kind in views[0].key_kinds]
        self.keys: list[Key] = []
        self._codes: dict[Key, int] = {}
        self.pending: list[Events] = []
        self.visible = empty(self.columns)
        self._longest_ms = max((window for view in self.windowed for window in view.windows_ms), default=0)

    def read(self, rows: Arrived, positions: Ints) -> Events:
        """Return rows in the feed's form, for `add`. A row without a join key belongs to no entity.

        Raises:
            KeyError: a column that a view reads is missing.
            pa.ArrowInvalid: a column has the wrong type.
            IndexError: there is no such position.
        """
        named = zip(self.feed.join_keys, self._key_types, strict=True)
        values = [rows.values(name, kind) for name, kind in named]
        keys = [tuple(column[at] for column in values) for at in positions.tolist()]
        code = np.fromiter((-1 if None in key else self._code(key) for key in keys), np.int64, len(keys))
        return Events(
            rows.time_ms[positions],
            rows.effective_ms[positions],
            rows.partition[positions],
            rows.offset[positions],
            code,
            {name: rows.column(name, kind)[positions] for name, kind in self.columns.items()},
        )

    def add(self, events: Events) -> None:
        """Add rows, without those of no entity."""
        if len(events):
            alone = events.code < 0
            self.pending.append(events.take(~alone) if alone.any() else events)

    def advance(self, previous_ms: int | None, watermark_ms: int) -> tuple[list[FeatureRows], int]:
        """Return changed rows of the feed's views, and the number of late events that became visible."""
        entering = self._become_visible(watermark_ms)
        before, self.visible = self.visible, self._retain(entering, watermark_ms)
        rows = [self._windowed(view, before, entering, previous_ms, watermark_ms) for view in self.windowed]
        rows += [self._newest(view, entering, watermark_ms) for view in self.latest]
        return [view for view in rows if view.keys], entering.late if self.counts_late else 0

    def snapshot(self) -> FeedSnapshot:
        """Return the state for a restart; later changes do not affect it."""
        pending = concat([empty(self.columns), *self.pending])
        rows = {latest.spec.view: dict(latest.rows) for latest in self.latest}
        return FeedSnapshot(self.feed, list(self.keys), self.visible, pending, rows)

    def restore(self, snapshot: FeedSnapshot) -> None:
        self.keys = list(snapshot.keys)
        self._codes = {key: code for code, key in enumerate(self.keys)}
        self.visible, self.pending = snapshot.visible, [snapshot.pending]
        for latest in self.latest:
            latest.rows = dict(snapshot.latest[latest.spec.view])

    def forget_unused(self) -> None:
        """Renumber the entities, without those that have no events."""
        events = concat([self.visible, *self.pending])
        used = np.unique(events.code)
        if 2 * len(used) >= len(self.keys):
            return
        renumbered = np.zeros(len(self.keys), np.int64)
        renumbered[used] = np.arange(len(used))
        self.keys = [self.keys[code] for code in used]
        self._codes = {key: code for code, key in enumerate(self.keys)}
        self.visible = _recoded(self.visible, renumbered)
        self.pending = [_recoded(events, renumbered) for events in self.pending]

    def _code(self, key: Key) -> int:
        code = self._codes.setdefault(key, len(self.keys))
        if code == len(self.keys):
            self.keys.append(key)
        return code

    def _become_visible(self, watermark_ms: int) -> Events:
        if not self.pending:
            return empty(self.columns)
        waiting = concat(self.pending)
        now = waiting.effective_ms < watermark_ms
        rest = waiting.take(~now)
        self.pending = [rest] if len(rest) else []
        return waiting.take(now).in_order()

    def _retain(self, entering: Events, watermark_ms: int) -> Events:
        if not self.windowed:
            return self.visible
        oldest = watermark_ms - self._longest_ms
        kept = self.visible.take(slice(int(np.searchsorted(self.visible.time_ms, oldest)), None))
        return merge(kept, entering.take(slice(int(np.searchsorted(entering.time_ms, oldest)), None)))

    def _windowed(
        self, spec: ViewSpec, before: Events, entering: Events, previous_ms: int | None, watermark_ms: int
    ) -> FeatureRows:
        entities = windows.changed(spec, before, entering, previous_ms, watermark_ms)
        if not len(entities):
            return FeatureRows(spec, watermark_ms, [], ())
        columns = windows.compute(spec, self.visible, entities, watermark_ms, len(self.keys))
        return FeatureRows(spec, watermark_ms, [self.keys[code] for code in entities], columns)

    def _newest(self, latest: LatestRows, entering: Events, watermark_ms: int) -> FeatureRows:
        keys = latest.update(entering, self.keys)
        return FeatureRows(latest.spec, watermark_ms, keys, latest.columns(keys) if keys else ())


class Engine:
    """All views of one loop. Not thread-safe."""

    def __init__(self, specs: Sequence[ViewSpec]) -> None:
        feeds: dict[Feed, list[ViewSpec]] = {}
        for spec in sorted(specs, key=lambda spec: spec.view):
            feeds.setdefault(spec.feed, []).append(spec)
        first = {event_type: min(feed for feed in feeds if feed.event_type == event_type) for event_type, _ in feeds}
        self.specs = tuple(sorted(specs, key=lambda spec: spec.view))
        self.feeds = {
            feed: FeedState(feed, views, counts_late=first[feed.event_type] == feed)
            for feed, views in sorted(feeds.items())
        }
        self.watermark_ms: int | None = None
        self.late_events = 0

    def add(self, feed: Feed, rows: Arrived) -> None:
        """Add accepted rows for a feed; a feed that no view reads is skipped. Raises as `FeedState.read` does."""
        if feed in self.feeds:
            self.feeds[feed].add(self.feeds[feed].read(rows, np.arange(len(rows))))

    def advance(self, watermark_ms: int) -> Advance:
        """Return the rows that changed since the previous watermark.

        Raises:
            ValueError: the watermark is not above the previous one.
        """
        if self.watermark_ms is not None and watermark_ms <= self.watermark_ms:
            raise ValueError(f"watermark {watermark_ms} after {self.watermark_ms}")
        views: list[FeatureRows] = []
        late = 0
        for state in self.feeds.values():
            rows, late_here = state.advance(self.watermark_ms, watermark_ms)
            views += rows
            late += late_here
        self.watermark_ms = watermark_ms
        self.late_events += late
        return Advance(watermark_ms, tuple(views), late, self.late_events)


@dataclass(frozen=True, slots=True)
class FeedSnapshot:
    """State of one feed. ``keys`` by code; ``latest``: the newest event of each entity, by view."""

    feed: Feed
    keys: list[Key]
    visible: Events
    pending: Events
    latest: Mapping[str, Mapping[Key, Newest]]


def _recoded(events: Events, renumbered: Array) -> Events:
    return Events(
        events.time_ms, events.effective_ms, events.partition, events.offset, renumbered[events.code], events.columns
    )
