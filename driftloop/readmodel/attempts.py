"""Retrain attempts and incidents: links alarms, requests, runs and releases. Pure.

The order of the events does not matter. `request_id`, `run_id` and `release_id` link requests, runs and
releases; the reasons of a request link it to alarms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope
from driftloop.readmodel.loop_history import LoopHistory

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


def attempts(history: LoopHistory) -> list[Attempt]:
    """Return every retrain request with its results, by event time."""
    return [_attempt(history, request) for request in _by_time(history.of_kind(training.RetrainRequested))]


def incidents(history: LoopHistory) -> list[Incident]:
    """Return every alarm of mode `trigger`, by event time."""
    answers = {reason.event_id: attempt for attempt in attempts(history) for reason in attempt.request.data.reasons}
    coalesced = history.of_kind(training.ReasonCoalesced)
    dropped = {event.data.reason.event_id for event in coalesced if event.data.because == "superseded"}
    promotions = _by_time(history.of_kind(registry.ChampionPromoted))
    return [
        Incident(
            alarm=alarm,
            windows=tuple(_by_time(_evidence_windows(history, alarm))),
            attempt=answers.get(alarm.id),
            superseded=alarm.id in dropped,
            repaired=next((promotion for promotion in promotions if _repairs(promotion, alarm)), None),
        )
        for alarm in _by_time(history.of_kind(monitoring.DriftDetected))
        if alarm.data.mode == "trigger"
    ]


def _attempt(history: LoopHistory, request: Envelope[training.RetrainRequested]) -> Attempt:
    request_id = request.data.request_id
    trained = history.first(training.CandidateTrained, "request_id", request_id)
    release = _release_of(history, trained.data.run_id) if trained else ""
    promoted = history.first(registry.ChampionPromoted, "release_id", release)
    return Attempt(
        request=request,
        started=history.first(training.RunStarted, "request_id", request_id),
        trained=trained,
        failed=history.first(training.RunFailed, "request_id", request_id),
        release_id=release,
        scoring=history.first(serving.RouteConverged, "challenger_release_id", release),
        promoted=promoted,
        rejected=history.first(registry.ReleaseRejected, "release_id", release),
        rolled_back=history.first(registry.ReleaseRolledBack, "release_id", release),
        commands=_commands_for(history, request, promoted),
    )


def _release_of(history: LoopHistory, run_id: str) -> str:
    if (created := history.first(registry.ReleaseCreated, "run_id", run_id)) is not None:
        return created.data.release.release_id
    verdict = history.first(evaluation.VerdictReached, "run_id", run_id)
    return verdict.data.release_id if verdict else ""


def _commands_for(
    history: LoopHistory, request: Envelope[Any], promoted: Envelope[Any] | None
) -> tuple[Envelope[Any], ...]:
    """Return commands in the request's chain, and those that its events name as reason, cause or evidence."""
    chain = history.chains.get(request.correlation_id, [])
    if promoted is not None:
        chain = [event for event in chain if event.wall_time_ms <= promoted.wall_time_ms]
    named = {name for event in chain for name in _names(event)}
    return tuple(event for name, event in history.commands.items() if name in named)


def _names(event: Envelope[Any]) -> list[str]:
    reasons = [reason.event_id for reason in getattr(event.data, "reasons", ()) if hasattr(reason, "event_id")]
    return [event.id, event.causation_id or "", *getattr(event.data, "evidence_ids", ()), *reasons]


def _evidence_windows(
    history: LoopHistory, alarm: Envelope[monitoring.DriftDetected]
) -> list[Envelope[monitoring.WindowClosed]]:
    evidence = (history.events.get(name) for name in alarm.data.evidence_ids)
    return [event for event in evidence if event is not None and isinstance(event.data, monitoring.WindowClosed)]


def _repairs(promotion: Envelope[registry.ChampionPromoted], alarm: Envelope[monitoring.DriftDetected]) -> bool:
    return promotion.time_ms >= alarm.time_ms and promotion.data.previous_release_id == alarm.data.release_id


def _by_time(events: Iterable[Envelope[M]]) -> list[Envelope[M]]:
    return sorted(events, key=lambda event: (event.time_ms, event.wall_time_ms))
