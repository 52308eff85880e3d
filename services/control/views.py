"""Answers of the read model: events from the store, folded by `driftloop.readmodel`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any

from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.events.envelope import Envelope
from driftloop.readmodel.history import ServingPeriod, live_at, serving_periods
from driftloop.readmodel.lineage import EventById, Lineage, Node
from driftloop.readmodel.loops import LoopState, loop_states
from driftloop.readmodel.order import in_order
from driftloop.readmodel.releases import ReleaseState, release_states
from services.control.ports import Events, Predictions, Stored

_WINDOWS = (monitoring.WindowClosed, monitoring.WindowDecided)
_RECENT_WINDOWS = 40
"""Enough to see what the newest ones still owe; the others are many, and have had their answers."""
_RECENT_DECISIONS = 4 * _RECENT_WINDOWS


class NotThere(LookupError):
    """Nothing bears the name; the text says what there is."""


class _Story:
    """What a loop's events say, but for its windows; each answer is computed when it is first asked for."""

    def __init__(self, loop: str, position: int, events: list[Envelope[Any]], by_id: EventById) -> None:
        self.position = position
        self.events = events
        self._loop = loop
        self._by_id = by_id

    @cached_property
    def releases(self) -> list[ReleaseState]:
        return release_states(self.events)

    @cached_property
    def serving_periods(self) -> list[ServingPeriod]:
        return serving_periods(self.events, self._loop)

    @cached_property
    def lineage(self) -> Lineage:
        return Lineage(self.events, self._by_id)


class Views:
    """Each answer is computed from the store, and kept until a loop has newer events."""

    def __init__(self, store: Events, predictions: Predictions, loops: Mapping[str, str]) -> None:
        self._store = store
        self._predictions = predictions
        self._descriptions = dict(loops)
        self._stories: dict[str, _Story] = {}
        self._states: dict[str, tuple[int, LoopState]] = {}

    @property
    def store(self) -> Events:
        """The events."""
        return self._store

    def description(self, loop: str) -> str:
        """The question that a loop's model answers; empty where it is not defined here."""
        return self._descriptions.get(loop, "")

    def loops(self, name: str = "") -> list[str]:
        """Loops that are defined here or have events; one where a name is given.

        Raises:
            NotThere: no loop bears the name.
        """
        known = sorted({*self._descriptions, *self._store.loops()})
        if not name:
            return known
        if name not in known:
            raise NotThere(f"there is no loop {name!r}; there is {', '.join(known) or 'none'}")
        return [name]

    def state(self, loop: str) -> LoopState:
        """A loop now."""
        self.loops(loop)
        position = self._store.position(loop)
        kept = self._states.get(loop)
        if kept is None or kept[0] != position:
            self._states[loop] = kept = (position, self._state(loop))
        return kept[1]

    def _state(self, loop: str) -> LoopState:
        recent = self._store.newest(loop, _WINDOWS[:1], _RECENT_WINDOWS)
        since_ms = min((each.event.time_ms for each in recent), default=0)
        decided = self._store.newest(loop, _WINDOWS[1:], _RECENT_DECISIONS)
        windows = [each.event for each in (*recent, *decided) if each.event.time_ms >= since_ms]
        [state] = loop_states(in_order([*self._story(loop).events, *windows])) or [LoopState(loop)]
        return state

    def releases(self, loop: str = "") -> Iterator[ReleaseState]:
        """Every release of a loop, or of all, in the order of its first mention."""
        for name in self.loops(loop):
            yield from self._story(name).releases

    def release(self, release_id: str) -> ReleaseState:
        """A release.

        Raises:
            NotThere: no event names it.
        """
        for found in self.releases():
            if found.release_id == release_id:
                return found
        raise NotThere(f"there is no release {release_id!r}; `driftloop history` lists what was live")

    def windows(self, loop: str, newest: int) -> list[Envelope[monitoring.WindowClosed]]:
        """Closed windows, oldest first."""
        self.loops(loop)
        found = self._store.newest(loop, _WINDOWS[:1], newest)
        return sorted((each.event for each in found), key=lambda each: (each.data.end_ms, each.id))

    def event(self, event_id: str) -> Stored:
        """An event.

        Raises:
            NotThere: none bears the id.
        """
        found = self._store.by_id(event_id)
        if found is None:
            raise NotThere(f"no lifecycle event bears the id {event_id!r}")
        return found

    def timeline(self, loop: str, correlation_id: str) -> list[Stored]:
        """All events that there are, of a chain, a loop or all loops, in one order."""
        if correlation_id:
            found = self._store.of_chain(correlation_id)
        else:
            found = [each for name in self.loops(loop) for each in self._store.of_loop(name)]
        places = {each.event.id: each for each in found}
        return [places[event.id] for event in in_order(each.event for each in found)]

    def lineage(self, name: str, timeout_s: float) -> list[Node]:
        """All that led to a prediction, a release, a run or an event; a loop's name stands for its champion.

        Raises:
            NotThere: nothing bears the name, or the loop has no champion.
            Retriable: the index of predictions has not come so far.
        """
        if name in self.loops():
            name = self._champion(name)
        for loop in self.loops():
            if found := self._story(loop).lineage.of(name):
                return found
        prediction = self._predictions.find(name, timeout_s)
        if prediction is None:
            raise NotThere(f"no prediction, release, run or event bears the id {name!r}")
        return self._story(prediction.loop).lineage.of_prediction(prediction)

    def history(self, loop: str, at_ms: int | None) -> list[ServingPeriod]:
        """Every epoch of a loop, or of all; or those that were live at a moment of event time."""
        found = [self._story(name).serving_periods for name in self.loops(loop)]
        if at_ms is None:
            return [each for every in found for each in every]
        return [live for every in found if (live := live_at(every, at_ms)) is not None]

    def _champion(self, loop: str) -> str:
        found = self.state(loop).champion
        if not found:
            raise NotThere(f"loop {loop!r} has no champion yet; `driftloop timeline {loop}` says how far it is")
        return found

    def _story(self, loop: str) -> _Story:
        position = self._store.position(loop, but=_WINDOWS)
        kept = self._stories.get(loop)
        if kept is None or kept.position != position:
            events = in_order(each.event for each in self._store.of_loop(loop, but=_WINDOWS))
            self._stories[loop] = kept = _Story(loop, position, events, lambda event_id: self._of(loop, event_id))
        return kept

    def _of(self, loop: str, event_id: str) -> Envelope[Any] | None:
        found = self._store.by_id(event_id)
        return found.event if found is not None and found.event.loop == loop else None
