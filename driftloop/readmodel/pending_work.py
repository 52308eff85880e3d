"""Pending work: events that still need a response. Pure; accepts lifecycle events in any order.

A replay waits at the end of a window until no work is pending; `driftloop status` shows the same list.

| pending event | resolved by |
|---|---|
| window-closed | one window-decided of each decider |
| window-decided that names events | those events: their topics may be read later |
| drift-detected (trigger) | a reason-coalesced or retrain-requested that names it |
| retrain-requested | candidate-trained or run-failed of the request |
| candidate-trained | the offline verdict on its run |
| verdict-reached offline | stage-entered, or release-rejected offline, from it |
| verdict-reached better, worse or at its limit | stage-entered or approval-requested from it, or the release ended |
| stage-entered, route-changed | route-converged or route-failed of the epoch, or of a newer one |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message

from driftloop.contracts import evaluation_pb2 as evaluation
from driftloop.contracts import monitoring_pb2 as monitoring
from driftloop.contracts import registry_pb2 as registry
from driftloop.contracts import serving_pb2 as serving
from driftloop.contracts import training_pb2 as training
from driftloop.events.envelope import Envelope

DECIDERS = ("detectors", "evaluation", "training")
_OFFLINE = "offline"


@dataclass
class PendingWork:
    """Pending responses of one loop. A response may arrive before the event that expects it."""

    loop: str
    deciders: tuple[str, ...] = DECIDERS
    _pending: dict[str, str] = field(default_factory=dict)
    """Description by key."""
    _resolved: set[str] = field(default_factory=set)
    _verdicts: dict[str, str] = field(default_factory=dict)
    """Release of each verdict that needs a response, by key."""
    _ended: dict[str, str | None] = field(default_factory=dict)
    """Rejected and rolled-back releases, with the event that caused the end."""
    _epoch: int = 0

    def see(self, event: Envelope[Any]) -> None:
        """Apply an event; ignore events of other loops."""
        if event.loop != self.loop:
            return
        self.resolve(f"event {event.id}")
        handler = _HANDLERS.get(type(event.data))
        if handler is not None:
            handler(self, event)

    def open(self) -> list[str]:
        """Return descriptions of the pending work, oldest first."""
        return list(self._pending.values())

    def expect(self, key: str, description: str) -> None:
        """Add pending work, unless its response arrived already."""
        if key not in self._resolved:
            self._pending[key] = description

    def resolve(self, key: str) -> None:
        """Record that a response arrived."""
        self._resolved.add(key)
        self._pending.pop(key, None)

    def judged(self, verdict_id: str, release_id: str, description: str) -> None:
        """Expect a response from the registry, unless another event ended the release."""
        if self._ended.get(release_id, verdict_id) == verdict_id:
            self._verdicts[f"verdict {verdict_id}"] = release_id
            self.expect(f"verdict {verdict_id}", description)

    def ended(self, release_id: str, cause: str | None) -> None:
        """Resolve the verdicts on a rejected or rolled-back release, except the one that caused it.

        The response to that verdict is on other topics.
        """
        self._ended[release_id] = cause
        for key, about in self._verdicts.items():
            if about == release_id and key != f"verdict {cause}":
                self.resolve(key)

    def route(self, epoch: int) -> None:
        """Expect a route, unless the same or a newer one is done."""
        if epoch > self._epoch:
            self.expect(f"route {epoch}", f"route of epoch {epoch} is not served yet")

    def routed(self, epoch: int) -> None:
        """Resolve a served or failed route and all older ones."""
        self._epoch = max(self._epoch, epoch)
        for key in [key for key in self._pending if key.startswith("route ") and int(key[6:]) <= epoch]:
            self.resolve(key)


def _window_closed(state: PendingWork, event: Envelope[monitoring.WindowClosed]) -> None:
    for decider in state.deciders:
        state.expect(
            f"window {event.data.window_id} {decider}", f"{decider} has not looked at window {event.data.window_id}"
        )


def _window_decided(state: PendingWork, event: Envelope[monitoring.WindowDecided]) -> None:
    state.resolve(f"window {event.data.window_id} {event.data.decider}")
    for opened in event.data.opened:
        state.expect(f"event {opened}", f"{event.data.decider} opened {opened}, which has not been seen yet")


def _drift_detected(state: PendingWork, event: Envelope[monitoring.DriftDetected]) -> None:
    if event.data.mode == "trigger":
        state.expect(f"reason {event.id}", f"alarm of {event.data.detector} waits for the retrain controller")


def _reason_coalesced(state: PendingWork, event: Envelope[training.ReasonCoalesced]) -> None:
    state.resolve(f"reason {event.data.reason.event_id}")


def _retrain_requested(state: PendingWork, event: Envelope[training.RetrainRequested]) -> None:
    for reason in event.data.reasons:
        state.resolve(f"reason {reason.event_id}")
    state.expect(f"run {event.data.request_id}", f"run for request {event.data.request_id} goes on")


def _candidate_trained(state: PendingWork, event: Envelope[training.CandidateTrained]) -> None:
    state.resolve(f"run {event.data.request_id}")
    state.expect(f"candidate {event.data.run_id}", f"candidate of run {event.data.run_id} has no offline verdict yet")


def _run_failed(state: PendingWork, event: Envelope[training.RunFailed]) -> None:
    state.resolve(f"run {event.data.request_id}")


def _verdict_reached(state: PendingWork, event: Envelope[evaluation.VerdictReached]) -> None:
    verdict = event.data
    description = f"{verdict.stage} verdict on {verdict.release_id} waits for the registry"
    if verdict.stage == _OFFLINE:
        state.resolve(f"candidate {verdict.run_id}")
        state.expect(f"verdict {event.id}", description)
    elif verdict.outcome in (evaluation.BETTER, evaluation.WORSE) or verdict.limit_reached:
        state.judged(event.id, verdict.release_id, description)


def _stage_entered(state: PendingWork, event: Envelope[registry.StageEntered]) -> None:
    state.resolve(f"verdict {event.causation_id}")
    if event.data.champion_release_id:  # without a champion there is no route
        state.route(event.data.epoch)


def _approval_requested(state: PendingWork, event: Envelope[registry.ApprovalRequested]) -> None:
    state.resolve(f"verdict {event.causation_id}")


def _release_rejected(state: PendingWork, event: Envelope[registry.ReleaseRejected]) -> None:
    if event.data.stage == _OFFLINE:
        state.resolve(f"verdict {event.causation_id}")
    state.ended(event.data.release_id, event.causation_id)


def _release_rolled_back(state: PendingWork, event: Envelope[registry.ReleaseRolledBack]) -> None:
    state.ended(event.data.release_id, event.causation_id)


def _route_changed(state: PendingWork, event: Envelope[registry.RouteChanged]) -> None:
    state.route(event.data.epoch)


def _route_answered(state: PendingWork, event: Envelope[serving.RouteConverged | serving.RouteFailed]) -> None:
    state.routed(event.data.epoch)


_HANDLERS: dict[type[Message], Callable[[PendingWork, Envelope[Any]], None]] = {
    monitoring.WindowClosed: _window_closed,
    monitoring.WindowDecided: _window_decided,
    monitoring.DriftDetected: _drift_detected,
    training.ReasonCoalesced: _reason_coalesced,
    training.RetrainRequested: _retrain_requested,
    training.CandidateTrained: _candidate_trained,
    training.RunFailed: _run_failed,
    evaluation.VerdictReached: _verdict_reached,
    registry.StageEntered: _stage_entered,
    registry.ApprovalRequested: _approval_requested,
    registry.ReleaseRejected: _release_rejected,
    registry.ReleaseRolledBack: _release_rolled_back,
    registry.RouteChanged: _route_changed,
    serving.RouteConverged: _route_answered,
    serving.RouteFailed: _route_answered,
}
