"""Retrain attempts and incidents: links alarms, requests, runs and releases. Pure.

The order of the input events does not matter. `request_id`, `run_id` and `release_id` link requests, runs and
releases; the reasons of a request link it to alarms.
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
    """A retrain request and its results; None for a result that does not exist (yet)."""

    request: Envelope[training.RetrainRequested]
    started: Envelope[training.RunStarted] | None = None
    trained: Envelope[training.CandidateTrained] | None = None
    failed: Envelope[training.RunFailed] | None = None
    release_id: str = ""
    """Empty if the run produced no evaluated release."""
    scoring: Envelope[serving.RouteConverged] | None = None
    """The first converged route with the release as challenger: from then on it scores requests."""
    promoted: Envelope[registry.ChampionPromoted] | None = None
    rejected: Envelope[registry.ReleaseRejected] | None = None
    rolled_back: Envelope[registry.ReleaseRolledBack] | None = None
    commands: tuple[Envelope[Any], ...] = ()
    """User commands that influenced the attempt, up to its promotion if there is one."""

    @property
    def defect(self) -> Envelope[Any] | None:
        """Return the event that rolled back or rejected the release, even after a promotion."""
        return self.rolled_back or self.rejected


@dataclass(frozen=True)
class Incident:
    """A drift alarm of mode `trigger` and the response to it."""

    alarm: Envelope[monitoring.DriftDetected]
    windows: tuple[Envelope[monitoring.WindowClosed], ...] = ()
    """Known windows among the alarm's evidence, by event time."""
    attempt: Attempt | None = None
    """The attempt whose request lists the alarm as a reason."""
    superseded: bool = False
    """Whether the alarm was dropped because its release was no longer champion."""
    repaired: Envelope[registry.ChampionPromoted] | None = None
    """The first later promotion that replaced the alarm's release."""

    @property
    def began_ms(self) -> int | None:
        """Return the start of the first evidence window; None if no evidence window is known."""
        return self.windows[0].data.start_ms if self.windows else None


def of_loop(events: Iterable[Envelope[Any]], loop: str) -> list[Envelope[Any]]:
    """Return the events of one loop."""
    return [event for event in events if event.loop == loop]


def of_kind(events: Iterable[Envelope[Any]], kind: type[M]) -> list[Envelope[M]]:
    """Return the events whose data is of one message type."""
    return [event for event in events if isinstance(event.data, kind)]


def closed_windows(events: Iterable[Envelope[Any]]) -> list[Envelope[monitoring.WindowClosed]]:
    """Return the closed windows, by the end of the window."""
    return sorted(of_kind(events, monitoring.WindowClosed), key=lambda event: event.data.end_ms)


def attempts(events: Sequence[Envelope[Any]]) -> list[Attempt]:
    """Return every retrain request of one loop with its results, by event time."""
    index = _EventIndex(events)
    return [index.attempt(request) for request in _by_time(of_kind(events, training.RetrainRequested))]


def incidents(events: Sequence[Envelope[Any]], runs: Sequence[Attempt]) -> list[Incident]:
    """Return every alarm of mode `trigger` of one loop, by event time. ``runs`` is `attempts` of the same events."""
    windows = {event.id: event for event in of_kind(events, monitoring.WindowClosed)}
    answered = {reason.event_id: attempt for attempt in runs for reason in attempt.request.data.reasons}
    coalesced = of_kind(events, training.ReasonCoalesced)
    dropped = {event.data.reason.event_id for event in coalesced if event.data.because == "superseded"}
    promotions = _by_time(of_kind(events, registry.ChampionPromoted))
    return [
        Incident(
            alarm=alarm,
            windows=tuple(_by_time(windows[name] for name in alarm.data.evidence_ids if name in windows)),
            attempt=answered.get(alarm.id),
            superseded=alarm.id in dropped,
            repaired=next((promotion for promotion in promotions if _repairs(promotion, alarm)), None),
        )
        for alarm in _by_time(of_kind(events, monitoring.DriftDetected))
        if alarm.data.mode == "trigger"
    ]


def _repairs(promotion: Envelope[registry.ChampionPromoted], alarm: Envelope[monitoring.DriftDetected]) -> bool:
    return promotion.time_ms >= alarm.time_ms and promotion.data.previous_release_id == alarm.data.release_id


class _EventIndex:
    """Events of one loop by the ids that link them."""

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
            commands=self._commands_for(request, promoted),
        )

    def _release(self, run_id: str) -> str:
        if run_id in self._created:
            return str(self._created[run_id].data.release.release_id)
        return str(self._judged[run_id].data.release_id) if run_id in self._judged else ""

    def _commands_for(self, request: Envelope[Any], promoted: Envelope[Any] | None) -> tuple[Envelope[Any], ...]:
        """Return commands in the request's chain, and those that its events name as reason, cause or evidence."""
        chain = self._chains[request.correlation_id]
        if promoted is not None:
            chain = [event for event in chain if event.wall_time_ms <= promoted.wall_time_ms]
        named = {name for event in chain for name in _names(event)}
        return tuple(event for name, event in self._commands.items() if name in named)


def _names(event: Envelope[Any]) -> list[str]:
    reasons = [reason.event_id for reason in getattr(event.data, "reasons", ()) if hasattr(reason, "event_id")]
    return [event.id, event.causation_id or "", *getattr(event.data, "evidence_ids", ()), *reasons]


def _first(events: Iterable[Envelope[Any]], kind: type[M], key: Callable[[Any], str]) -> dict[str, Envelope[M]]:
    """Return the first event of a message type per id; skip events without an id."""
    first: dict[str, Envelope[M]] = {}
    for event in _by_time(of_kind(events, kind)):
        if name := key(event.data):
            first.setdefault(name, event)
    return first


def _by_time(events: Iterable[Envelope[M]]) -> list[Envelope[M]]:
    return sorted(events, key=lambda event: (event.time_ms, event.wall_time_ms))
