"""Answers of the read model: queries over the history of each loop, which follows the store."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from typing import Any

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events.envelope import Envelope
from driftloop.readmodel.history import ServingPeriod, live_at, serving_periods
from driftloop.readmodel.lineage import Lineage, Node
from driftloop.readmodel.loop_history import LoopHistory
from driftloop.readmodel.loops import LoopState
from driftloop.readmodel.order import in_order
from driftloop.readmodel.releases import ReleaseState
from services.control.ports import Events, Predictions, Stored

_BATCH = 2000
"""Events read from the store at once."""


class NotThere(LookupError):
    """A name is unknown; the text lists the known ones."""


class _Follower:
    """The history of a loop, up to a position in the store."""

    def __init__(self, loop: str, first: int) -> None:
        self.first = first
        self.position = 0
        self.history = LoopHistory(loop, keep_windows=False)

    def read(self, store: Events, last: int) -> None:
        """Apply the events of the store up to a position, each once."""
        self.history.extend(self._new(store, last))

    def _new(self, store: Events, last: int) -> Iterator[Envelope[Any]]:
        while self.position < last:
            batch = store.after(self.position, loop=self.history.loop, limit=_BATCH)
            self.position = batch[-1].position if batch else last
            yield from (stored.event for stored in batch)


class Views:
    """Answers from the history of each loop, which follows the store: every event is applied once. Thread-safe."""

    def __init__(self, store: Events, predictions: Predictions, loops: Mapping[str, str]) -> None:
        self._store = store
        self._predictions = predictions
        self._descriptions = dict(loops)
        self._followers: dict[str, _Follower] = {}
        self._lock = threading.RLock()

    @property
    def store(self) -> Events:
        return self._store

    def description(self, loop: str) -> str:
        """Return the question that a loop's model answers; empty if the loop is not defined here."""
        return self._descriptions.get(loop, "")

    def loops(self, name: str = "") -> list[str]:
        """Return the loops that are defined here or have events; only one if a name is given.

        Raises:
            NotThere: there is no such loop.
        """
        known = sorted({*self._descriptions, *self._store.loops()})
        if not name:
            return known
        if name not in known:
            raise NotThere(f"there is no loop {name!r}; there are {', '.join(known) or 'none'}")
        return [name]

    def state(self, loop: str) -> LoopState:
        self.loops(loop)
        with self._history(loop) as history:
            return history.state()

    def releases(self, loop: str = "") -> list[ReleaseState]:
        """Return every release of a loop, or of all loops, in the order of first mention."""
        releases = []
        for name in self.loops(loop):
            with self._history(name) as history:
                releases += [copy(release) for release in history.releases.values()]
        return releases

    def release(self, release_id: str) -> ReleaseState:
        """Return a release.

        Raises:
            NotThere: no event names it.
        """
        for release in self.releases():
            if release.release_id == release_id:
                return release
        raise NotThere(f"there is no release {release_id!r}; `driftloop history` lists the live releases")

    def windows(self, loop: str, newest: int) -> list[Envelope[monitoring.WindowClosed]]:
        """Return the newest closed windows, oldest first."""
        self.loops(loop)
        windows = self._store.newest(loop, monitoring.WindowClosed, newest)
        return sorted((stored.event for stored in windows), key=lambda event: (event.data.end_ms, event.id))

    def event(self, event_id: str) -> Stored:
        """Return an event.

        Raises:
            NotThere: there is no event with the id.
        """
        stored = self._store.by_id(event_id)
        if stored is None:
            raise NotThere(f"there is no lifecycle event {event_id!r}")
        return stored

    def timeline(self, loop: str, correlation_id: str) -> list[Stored]:
        """Return all events of a chain, a loop or all loops, in one order."""
        if correlation_id:
            events = self._store.of_chain(correlation_id)
        else:
            events = [stored for name in self.loops(loop) for stored in self._store.of_loop(name)]
        by_id = {stored.event.id: stored for stored in events}
        return [by_id[event.id] for event in in_order(stored.event for stored in events)]

    def lineage(self, name: str, timeout_s: float) -> list[Node]:
        """Return everything that led to a prediction, a release, a run, an event or, by a loop's name, its champion.

        Raises:
            NotThere: the name is unknown, or the loop has no champion.
            Retriable: the index of predictions is behind the log.
        """
        if name in self.loops():
            name = self._champion(name)
        for loop in self.loops():
            with self._history(loop) as history:
                if nodes := self._lineage(history).of(name):
                    return nodes
        prediction = self._predictions.find(name, timeout_s)
        if prediction is None:
            raise NotThere(f"there is no prediction, release, run or event {name!r}")
        with self._history(prediction.loop) as history:
            return self._lineage(history).of_prediction(prediction)

    def history(self, loop: str, at_ms: int | None) -> list[ServingPeriod]:
        """Return the serving periods of a loop, or of all loops: all of them, or those at an event time."""
        periods: list[ServingPeriod] = []
        for name in self.loops(loop):
            with self._history(name) as history:
                own = serving_periods(history)
            live = None if at_ms is None else live_at(own, at_ms)
            periods += own if at_ms is None else [live] if live else []
        return periods

    def _champion(self, loop: str) -> str:
        champion = self.state(loop).champion
        if not champion:
            raise NotThere(f"loop {loop!r} has no champion yet; `driftloop timeline {loop}` shows its progress")
        return champion

    @contextmanager
    def _history(self, loop: str) -> Iterator[LoopHistory]:
        """Yield the history of a loop up to now, locked. Starts again if the read model was rebuilt."""
        with self._lock:
            first, last = self._store.span(loop)
            follower = self._followers.get(loop)
            if follower is None or follower.first != first:
                follower = self._followers[loop] = _Follower(loop, first)
            follower.read(self._store, last)
            yield follower.history

    def _lineage(self, history: LoopHistory) -> Lineage:
        return Lineage(history, lambda event_id: history.events.get(event_id) or self._of(history.loop, event_id))

    def _of(self, loop: str, event_id: str) -> Envelope[Any] | None:
        stored = self._store.by_id(event_id)
        return stored.event if stored is not None and stored.event.loop == loop else None
