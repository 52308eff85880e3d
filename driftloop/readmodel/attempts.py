"""Which release came of which request, which request of which alarm, and what became of each.

Pure, and indifferent to the order in which the events are given.
Requests, runs and releases are tied by the ids that the events name (`request_id`, `run_id`, `release_id`), alarms to
requests by the reasons that a request lists.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from driftloop.readmodel.event_text import COMMANDS

M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Attempt:
    """A retrain request and what came of it; None where that has not happened (yet)."""

    request: Envelope[training.RetrainRequested]
    started: Envelope[training.RunStarted] | None = None
    trained: Envelope[training.CandidateTrained] | None = None
    failed: Envelope[training.RunFailed] | None = None
    release_id: str = ""
    """Empty where the run gave none that was judged."""
    scoring: Envelope[serving.RouteConverged] | None = None
    """The first route that has its release as challenger: from here on it scores requests."""
    promoted: Envelope[registry.ChampionPromoted] | None = None
    rejected: Envelope[registry.ReleaseRejected] | None = None
    rolled_back: Envelope[registry.ReleaseRolledBack] | None = None
    commands: tuple[Envelope[Any], ...] = ()
    """People's commands that had a part in it, up to the promotion where there is one."""

    @property
    def defect(self) -> Envelope[Any] | None:
        """The event that rejected the release, or rolled it back, even after a promotion."""
        return self.rolled_back or self.rejected


@dataclass(frozen=True)
class Incident:
    """A drift alarm that asks for a retrain, and how it was answered."""

    alarm: Envelope[monitoring.DriftDetected]
    windows: tuple[Envelope[monitoring.WindowClosed], ...] = ()
    """Those that its evidence names and that are known, in event time."""
    attempt: Attempt | None = None
    """The request that lists it among its reasons."""
    superseded: bool = False
    """It was dropped: the release that it is about was champion no more."""
    repaired: Envelope[registry.ChampionPromoted] | None = None
    """The first promotion since that put another release in the place of the one it is about."""

    @property
    def began_ms(self) -> int | None:
        """Start of the first window of its evidence; None where no such window is known."""
        return self.windows[0].data.start_ms if self.windows else None


def of_loop(events: Iterable[Envelope[Any]], loop: str) -> list[Envelope[Any]]:
    """A loop's own events."""
    return [event for event in events if event.loop == loop]


def of_kind(events: Iterable[Envelope[Any]], kind: type[M]) -> list[Envelope[M]]:
    """Events that carry such a message."""
    return [event for event in events if isinstance(event.data, kind)]


def attempts(events: Sequence[Envelope[Any]]) -> list[Attempt]:
    """Every retrain request of one loop's events with what came of it, by event time."""
    known = _Known(events)
    return [known.attempt(each) for each in _by_time(of_kind(events, training.RetrainRequested))]


def incidents(events: Sequence[Envelope[Any]], found: Sequence[Attempt]) -> list[Incident]:
    """Every alarm of mode `trigger` of one loop's events, by event time. ``found`` is what `attempts` gave for them."""
    windows = {event.id: event for event in of_kind(events, monitoring.WindowClosed)}
    answered = {reason.event_id: attempt for attempt in found for reason in attempt.request.data.reasons}
    kept = of_kind(events, training.ReasonCoalesced)
    dropped = {event.data.reason.event_id for event in kept if event.data.because == "superseded"}
    promotions = _by_time(of_kind(events, registry.ChampionPromoted))
    return [
        Incident(
            alarm=alarm,
            windows=tuple(_by_time(windows[name] for name in alarm.data.evidence_ids if name in windows)),
            attempt=answered.get(alarm.id),
            superseded=alarm.id in dropped,
            repaired=next((each for each in promotions if _repairs(each, alarm)), None),
        )
        for alarm in _by_time(of_kind(events, monitoring.DriftDetected))
        if alarm.data.mode == "trigger"
    ]


def _repairs(promotion: Envelope[registry.ChampionPromoted], alarm: Envelope[monitoring.DriftDetected]) -> bool:
    return promotion.time_ms >= alarm.time_ms and promotion.data.previous_release_id == alarm.data.release_id


class _Known:
    """One loop's events by the ids that tie them."""

    def __init__(self, events: Sequence[Envelope[Any]]) -> None:
        self._started = _first(events, training.RunStarted, lambda data: data.request_id)
        self._trained = _first(events, training.CandidateTrained, lambda data: data.request_id)
        self._failed = _first(events, training.RunFailed, lambda data: data.request_id)
        self._judged = _first(events, evaluation.VerdictReached, lambda data: data.run_id)
        self._created = _first(events, registry.ReleaseCreated, lambda data: data.run_id)
        self._scoring = _first(events, serving.RouteConverged, lambda data: data.challenger_release_id)
        self._promoted = _first(events, registry.ChampionPromoted, lambda data: data.release_id)
        self._rejected = _first(events, registry.ReleaseRejected, lambda data: data.release_id)
        self._rolled_back = _first(events, registry.ReleaseRolledBack, lambda data: data.release_id)
        self._commands = {event.id: event for event in events if isinstance(event.data, COMMANDS)}
        self._chains: dict[str, list[Envelope[Any]]] = defaultdict(list)
        for event in events:
            self._chains[event.correlation_id].append(event)

    def attempt(self, request: Envelope[training.RetrainRequested]) -> Attempt:
        """What came of a request."""
        trained = self._trained.get(request.data.request_id)
        release = self._release(trained.data.run_id) if trained else ""
        promoted = self._promoted.get(release)
        return Attempt(
            request=request,
            started=self._started.get(request.data.request_id),
            trained=trained,
            failed=self._failed.get(request.data.request_id),
            release_id=release,
            scoring=self._scoring.get(release),
            promoted=promoted,
            rejected=self._rejected.get(release),
            rolled_back=self._rolled_back.get(release),
            commands=self._hands(request, promoted),
        )

    def _release(self, run_id: str) -> str:
        if run_id in self._created:
            return str(self._created[run_id].data.release.release_id)
        return str(self._judged[run_id].data.release_id) if run_id in self._judged else ""

    def _hands(self, request: Envelope[Any], promoted: Envelope[Any] | None) -> tuple[Envelope[Any], ...]:
        """Commands in the request's chain, or named by one of its events as a reason, a cause or evidence."""
        chain = self._chains[request.correlation_id]
        if promoted is not None:
            chain = [event for event in chain if event.wall_time_ms <= promoted.wall_time_ms]
        named = {name for event in chain for name in _names(event)}
        return tuple(event for name, event in self._commands.items() if name in named)


def _names(event: Envelope[Any]) -> list[str]:
    reasons = [reason.event_id for reason in getattr(event.data, "reasons", ()) if hasattr(reason, "event_id")]
    return [event.id, event.causation_id or "", *getattr(event.data, "evidence_ids", ()), *reasons]


def _first(events: Iterable[Envelope[Any]], kind: type[M], key: Callable[[Any], str]) -> dict[str, Envelope[M]]:
    """The first event of a kind for each value of an id; those without one are left out."""
    found: dict[str, Envelope[M]] = {}
    for event in _by_time(of_kind(events, kind)):
        if name := key(event.data):
            found.setdefault(name, event)
    return found


def _by_time(events: Iterable[Envelope[M]]) -> list[Envelope[M]]:
    return sorted(events, key=lambda event: (event.time_ms, event.wall_time_ms))
